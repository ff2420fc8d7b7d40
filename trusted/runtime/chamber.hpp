// What an image links exactly once: the chamber that this image is.
#pragma once

#include "airlock/table.hpp"
#include "trusted/runtime/arena.hpp"
#include "trusted/runtime/lines_ahead.hpp"
#include "trusted/runtime/runtime.hpp"

namespace caisson::trusted {

// So many requests reach a chamber at once: what waited in one lane, and nobody waits for more. It is what public keys
// need to share one inversion well.
inline constexpr std::size_t group_requests_max = 64;
// For who answers one by one: the answers of a group go out together.
inline constexpr std::size_t groups_of_few = 8;

// The chamber as the ring server sees it: one function that answers a group of requests, in their order, and private
// buffers for the inputs and answers of a group; the largest request alone must fit.
struct ChamberEntry {
    void (*answer)(void* self, std::span<airlock::Exchange> group) noexcept = nullptr;
    void* self = nullptr;
    MutableBytes input;
    MutableBytes output;
    std::size_t group_requests = groups_of_few; // a group is at most so large
    // The arena in which the buffers are reserved: they become memory as larger requests come. Null: they are memory.
    Arena* arena = nullptr;
    // Where the chamber finds what the next group will touch, to ask for it in parts while it works. Null: it is asked
    // for before the chamber works.
    LinesAhead* ahead = nullptr;
};

// ChamberEntry::answer of a chamber that answers its requests one by one.
template <typename Chamber>
void answer_each(void* self, std::span<airlock::Exchange> group) noexcept
{
    for (auto& exchange : group) {
        exchange.answer = static_cast<Chamber*>(self)->answer(exchange.request, exchange.input, exchange.output);
    }
}

// Called once, at the first entry. `features` are airlock::CpuFeature bits, those the own XFRM allows.
[[nodiscard]] ChamberEntry start_chamber(Runtime& runtime, Arena& arena, std::uint32_t features) noexcept;

} // namespace caisson::trusted
