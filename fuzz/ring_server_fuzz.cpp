// A hostile producer: slots, heads and tails from the input, a chamber that echoes. Nothing outside the ring may be
// touched, and serving must end.
#include "trusted/runtime/ring_server.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace {

using namespace caisson;

airlock::Answer echo(void* /*self*/, std::uint32_t request, Bytes input, MutableBytes output) noexcept
{
    if (request % 3 == 0) {
        return {airlock::Refusal::no_such_request, std::size_t{0}};
    }
    const auto size = std::min(input.size(), output.size());
    copy_bytes(output, input.first(size));
    return {airlock::Refusal::none, size};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    static const auto ring = std::make_unique<airlock::Ring>();
    static std::vector<std::uint8_t> in(airlock::payload_bytes_max);
    static std::vector<std::uint8_t> out(airlock::payload_bytes_max);
    for (auto& lane : ring->lanes) {
        lane.head = 0;
        lane.tail = 0;
        lane.producer_asleep = 0;
    }
    trusted::RingServer server(*ring, {echo, nullptr, in, out}, 0);
    while (size >= sizeof(airlock::Slot) + 8) {
        auto& lane = ring->lanes[input[0] % airlock::lane_count];
        std::uint32_t head = 0;
        std::memcpy(&head, input + 4, sizeof head);
        // Mostly one more, at times anything.
        lane.head = input[1] % 8 == 0 ? head : lane.head + 1;
        std::memcpy(&lane.slots[input[2] % airlock::slots_per_lane], input + 8, sizeof(airlock::Slot));
        lane.producer_asleep = input[3] & 1U;
        static_cast<void>(server.serve());
        input += sizeof(airlock::Slot) + 8;
        size -= sizeof(airlock::Slot) + 8;
    }
    return 0;
}
