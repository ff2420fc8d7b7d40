// The one chamber of the image curve.sgxs.
#include "trusted/curve/boxes.hpp"
#include "trusted/curve/chamber.hpp"
#include "trusted/runtime/chamber.hpp"

#include <new>

namespace caisson::trusted {
namespace {

alignas(curve::Chamber) ByteArray<sizeof(curve::Chamber)> storage;

void answer(void* self, std::span<airlock::Exchange> group) noexcept
{
    static_cast<curve::Chamber*>(self)->answer(group);
}

} // namespace

ChamberEntry start_chamber(Runtime& runtime, Arena& arena, std::uint32_t features) noexcept
{
    curve::choose_box_kernel(features);
    const auto input = arena.reserve(airlock::payload_bytes_max);
    const auto output = arena.reserve(airlock::payload_bytes_max);
    auto* const chamber = new (storage.data()) curve::Chamber(runtime, arena);
    return {answer, chamber, input, output, group_requests_max, &arena, &chamber->lines_ahead()};
}

} // namespace caisson::trusted
