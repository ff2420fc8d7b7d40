// CHECK(condition): our own mistakes end the process (outside) or the enclave (inside). Always on.
#pragma once

namespace caisson {

// Outside it prints and aborts; inside it stops the chamber for good. Each side links its own.
[[noreturn]] void check_failed(const char* condition, int line) noexcept;

} // namespace caisson

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) [[unlikely]] {                                                                               \
            ::caisson::check_failed(#condition, __LINE__);                                                             \
        }                                                                                                              \
    } while (false)
