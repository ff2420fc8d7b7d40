// The one chamber of the image curve.sgxs.
#include "trusted/curve/boxes.hpp"
#include "trusted/curve/chamber.hpp"
#include "trusted/runtime/chamber.hpp"

#include <new>

namespace caisson::trusted {
namespace {

alignas(curve::Chamber) ByteArray<sizeof(curve::Chamber)> storage;
alignas(64) ByteArray<airlock::payload_bytes_max> input;
alignas(64) ByteArray<airlock::payload_bytes_max> output;

void answer(void* self, std::span<airlock::Exchange> group) noexcept
{
    static_cast<curve::Chamber*>(self)->answer(group);
}

} // namespace

ChamberEntry start_chamber(Runtime& runtime, std::uint32_t features) noexcept
{
    curve::choose_box_kernel(features);
    auto* const chamber = new (storage.data()) curve::Chamber(runtime);
    return {answer, chamber, input, output, group_requests_max};
}

} // namespace caisson::trusted
