// Comparisons and choices that neither branch on nor index by a secret.
#pragma once

#include "core/bytes.hpp"

namespace caisson::crypto {

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
    __asm__ volatile("" : "+r"(difference));
    return difference == 0;
}

} // namespace caisson::crypto
