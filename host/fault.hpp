// Fault: an Error with the details a tired operator needs (path, address, what was expected, what to do).
// Outside only: chambers and protocol speak Error. TRY passes an Error up as a Fault by itself.
#pragma once

#include "core/result.hpp"

#include <string>

namespace caisson::host {

struct Fault {
    Kind kind;
    std::string what;

    Fault(Kind fault_kind, std::string text)
        : kind(fault_kind)
        , what(std::move(text))
    {
    }
    Fault(const Error& error)
        : kind(error.kind)
        , what(error.what)
    {
    } // NOLINT(google-explicit-constructor)
};

template <typename T>
using Outcome = std::expected<T, Fault>;
using Done = Outcome<void>;

[[nodiscard]] inline std::unexpected<Fault> fault(Kind kind, std::string what)
{
    return std::unexpected<Fault>(Fault{kind, std::move(what)});
}

// "opening /x/y: No such file or directory", with the kind that errno suggests.
[[nodiscard]] Fault system_fault(std::string_view doing, int error_number);

} // namespace caisson::host
