#include "tests/constant_time/secrecy.hpp"

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define CAISSON_MSAN 1
#endif
#endif

#ifdef CAISSON_MSAN
#include <sanitizer/msan_interface.h>
#else
#include <valgrind/memcheck.h>
#endif

namespace caisson::tests::constant_time {

#ifdef CAISSON_MSAN

void make_secret(Bytes bytes) noexcept
{
    __msan_poison(bytes.data(), bytes.size());
}
void make_public(Bytes bytes) noexcept
{
    __msan_unpoison(bytes.data(), bytes.size());
}
bool depends_on_secret(Bytes bytes) noexcept
{
    return __msan_test_shadow(bytes.data(), bytes.size()) >= 0;
}
std::size_t complaints() noexcept
{
    return 0;
}
bool counts_complaints() noexcept
{
    return false;
}
bool is_watched() noexcept
{
    return true;
}

// So that a report is told from every other way to end.
extern "C" const char* __msan_default_options(); // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern "C" const char* __msan_default_options()  // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
{
    return "exit_code=99";
}

#else

void make_secret(Bytes bytes) noexcept
{
    static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED(bytes.data(), bytes.size()));
}
void make_public(Bytes bytes) noexcept
{
    static_cast<void>(VALGRIND_MAKE_MEM_DEFINED(bytes.data(), bytes.size()));
}
// Asks for the bits without the report that VALGRIND_CHECK_MEM_IS_DEFINED would make of them.
bool depends_on_secret(Bytes bytes) noexcept
{
    for (const auto& byte : bytes) {
        std::uint8_t undefined_bits = 0;
        static_cast<void>(VALGRIND_GET_VBITS(&byte, &undefined_bits, 1));
        if (undefined_bits != 0) {
            return true;
        }
    }
    return false;
}
std::size_t complaints() noexcept
{
    return VALGRIND_COUNT_ERRORS;
}
bool counts_complaints() noexcept
{
    return true;
}
bool is_watched() noexcept
{
    return RUNNING_ON_VALGRIND != 0;
}

#endif

} // namespace caisson::tests::constant_time
