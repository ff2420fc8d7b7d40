// Many boxes a call, of one session or of several: short messages side by side in the lanes of vector registers.
// The bytes are those of core/crypto/box.hpp. Sizes may differ; equal sizes of one session go fastest.
#pragma once

#include "core/crypto/box.hpp"

namespace caisson::crypto {

struct BoxJob {
    const BoxSubkey* key = nullptr;
    std::uint64_t counter = 0;
    const std::uint8_t* from = nullptr; // sealing: the text; opening: the box
    std::uint8_t* to = nullptr;         // sealing: the box; opening: the text
    std::size_t size = 0;               // of the text
};

// `from` and `to` of one job may overlap; of different jobs nothing that is written may overlap anything.
void seal_boxes(BoxKernel kernel, std::span<const BoxJob> jobs) noexcept;

// opened[i] tells whether box i is authentic; of one that is not, nothing is written.
// Requires: opened.size() == jobs.size().
void open_boxes(BoxKernel kernel, std::span<const BoxJob> jobs, std::span<bool> opened) noexcept;

} // namespace caisson::crypto
