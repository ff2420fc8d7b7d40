// What a function of the C interface returns: a code, and a text for people that the thread keeps.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"
#include "library/include/caisson/caisson.h"

#include <exception>
#include <new>

namespace caisson::library {

using host::Done;
using host::Fault;
using host::fault;
using host::Outcome;

int code_of(Kind kind) noexcept;

// Keeps the text for caisson_error_text and returns the code. Never throws: a text that finds no memory is shortened.
int failed(Kind kind, const char* what) noexcept;

// Runs the body of a C function, a callable that returns Done: no exception leaves the library.
template <typename Body>
int guarded(Body&& body) noexcept
{
    try {
        const Done done = body();
        return done ? int{CAISSON_OK} : failed(done.error().kind, done.error().what.c_str());
    } catch (const std::bad_alloc&) {
        return failed(Kind::exhausted, "out of memory");
    } catch (const std::exception& error) {
        return failed(Kind::unavailable, error.what());
    }
}

inline std::unexpected<Fault> null_pointer()
{
    return fault(Kind::malformed, "a pointer is null that may not be");
}

// A buffer of the caller: pointer and size; null with size 0 is empty.
inline Bytes view(const std::uint8_t* bytes, std::size_t size) noexcept
{
    return bytes == nullptr ? Bytes() : Bytes(bytes, size);
}

} // namespace caisson::library
