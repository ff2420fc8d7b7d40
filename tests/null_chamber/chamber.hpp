// A chamber for tests of loaders and rings: no job of its own, one request for each thing the runtime can do.
#pragma once

#include "airlock/table.hpp"
#include "trusted/runtime/runtime.hpp"

namespace caisson::tests::null_chamber {

struct Chamber {
    explicit Chamber(trusted::Runtime& stands_on) noexcept
        : runtime(stands_on)
    {
        runtime.random(box_key);
    }

    airlock::Answer answer(std::uint32_t request, Bytes input, MutableBytes output) noexcept;

    trusted::Runtime& runtime;
    ByteArray<64> kept{};
    ByteArray<32> box_key{};
    std::uint64_t boxes = 0;
};

} // namespace caisson::tests::null_chamber
