// Comparisons and choices that neither branch on nor index by a secret.
#pragma once

#include "core/bytes.hpp"

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define CAISSON_WATCHED_BY_MSAN
extern "C" void __msan_unpoison(const volatile void* memory, std::size_t size); // sanitizer/msan_interface.h
#endif
#endif

namespace caisson::crypto {

// The compiler must not see through this value, or it could turn the arithmetic before it into a branch.
template <typename T>
void hide_from_optimiser([[maybe_unused]] T& value) noexcept
{
#ifndef CAISSON_WATCHED_BY_MSAN // which takes any use in assembly for a leak
    __asm__ volatile("" : "+r"(value));
#endif
}

// True when both hold the same bytes; the time depends on the sizes only.
[[nodiscard]] inline bool equal(Bytes left, Bytes right) noexcept
{
    if (left.size() != right.size()) {
        return false;
    }
    std::uint8_t difference = 0;
    for (std::size_t index = 0; index < left.size(); ++index) {
        difference = static_cast<std::uint8_t>(difference | (left[index] ^ right[index]));
    }
    hide_from_optimiser(difference);
    return difference == 0;
}

// Marks what may be branched on although it was computed from secrets: a verdict that everybody learns, such as that a
// tag is wrong, or one bit each for several. It does nothing but tell MSan, under which the constant-time tests run.
template <typename Verdict>
[[nodiscard]] Verdict public_verdict(Verdict verdict) noexcept
{
#ifdef CAISSON_WATCHED_BY_MSAN
    __msan_unpoison(&verdict, sizeof verdict);
#endif
    return verdict;
}

} // namespace caisson::crypto
