// What an image links exactly once: the chamber that this image is.
#pragma once

#include "airlock/table.hpp"
#include "trusted/runtime/runtime.hpp"

namespace caisson::trusted {

// The chamber as the ring server sees it: one function, and private buffers for one request and one answer.
struct ChamberEntry {
    airlock::Answer (*answer)(void* self, std::uint32_t request, Bytes input, MutableBytes output) noexcept = nullptr;
    void* self = nullptr;
    MutableBytes input;
    MutableBytes output;
};

// Called once, at the first entry. `features` are airlock::CpuFeature bits, those the own XFRM allows.
[[nodiscard]] ChamberEntry start_chamber(Runtime& runtime, std::uint32_t features) noexcept;

} // namespace caisson::trusted
