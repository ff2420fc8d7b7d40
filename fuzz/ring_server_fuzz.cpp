// A hostile producer: slots, turns and tails from the input, a chamber that echoes; and a thread that changes slots and
// arena while the server serves. Nothing outside the ring may be touched, and serving must end.
#include "trusted/runtime/ring_server.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

using namespace caisson;

// The buffers of a group are ours to write, and apart: each is filled before any is looked at.
void echo(void* /*self*/, std::span<airlock::Exchange> group) noexcept
{
    std::uint8_t mark = 0;
    for (auto& exchange : group) {
        const auto size = std::min(exchange.input.size(), exchange.output.size());
        copy_bytes(exchange.output, exchange.input.first(size));
        if (!exchange.output.empty()) {
            exchange.output.front() = ++mark;
        }
        exchange.answer.result = size;
        if (exchange.request % 3 == 0) {
            exchange.answer = {airlock::Refusal::no_such_request, std::size_t{0}};
        }
    }
    mark = 0;
    for (const auto& exchange : group) {
        if (!exchange.output.empty() && exchange.output.front() != ++mark) {
            __builtin_trap();
        }
    }
}

constexpr std::size_t arena_start = 4096; // where small requests lie

// Flips words of the first slots of a lane, their turns among them, between values that fit and values that do not; and
// bytes of the requests themselves, under the hands of who copies them.
class Mutator {
  public:
    explicit Mutator(airlock::Ring& ring, Bytes words)
        : ring_(ring)
        , words_(words)
        , thread_([this] { mutate(); })
    {
    }
    ~Mutator()
    {
        ended_ = true;
        thread_.join();
    }
    Mutator(const Mutator&) = delete;
    Mutator& operator=(const Mutator&) = delete;

  private:
    void mutate() noexcept
    {
        auto& lane = ring_.lanes[0];
        std::size_t at = 0;
        while (!ended_) {
            auto* slot = reinterpret_cast<std::uint64_t*>(&lane.slots[at % 16]);
            std::uint64_t word = 0;
            for (std::size_t index = 0; index < sizeof word; ++index) {
                word = word << 8U | words_[(at + index) % words_.size()];
            }
            __atomic_store_n(slot + at % 8, word, __ATOMIC_RELAXED);
            lane.tail.store(static_cast<std::uint32_t>(word));
            __atomic_store_n(&ring_.arenas[0][word % arena_start], static_cast<std::uint8_t>(at), __ATOMIC_RELAXED);
            ++at;
        }
    }

    airlock::Ring& ring_;
    Bytes words_;
    std::atomic<bool> ended_ = false;
    std::thread thread_;
};

void reset(airlock::Ring& ring)
{
    for (auto& lane : ring.lanes) {
        lane.head = 0;
        lane.tail = 0;
        lane.producer_asleep = 0;
        for (auto& slot : lane.slots) {
            slot.turn = 0;
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    static const auto ring = std::make_unique<airlock::Ring>();
    static std::vector<std::uint8_t> in(airlock::payload_bytes_max);
    static std::vector<std::uint8_t> out(airlock::payload_bytes_max);
    const Bytes all(input, size);
    reset(*ring);
    trusted::LinesAhead ahead;
    trusted::RingServer server(*ring, {echo, nullptr, in, out, trusted::group_requests_max, nullptr, &ahead}, 0);
    std::array<std::uint32_t, airlock::lane_count> next{};
    while (size >= sizeof(airlock::Slot) + 8) {
        const auto lane_index = input[0] % airlock::lane_count;
        auto& lane = ring->lanes[lane_index];
        auto& position = next[lane_index];
        auto& slot = lane.slots[position % airlock::slots_per_lane];
        std::memcpy(&slot, input + 8, sizeof slot);
        if (input[1] % 8 != 0) { // mostly its turn, at times whatever the input has there
            airlock::publish(slot, position++);
        }
        lane.producer_asleep = input[3] & 1U;
        if (input[2] % 4 == 0) { // else a group grows
            static_cast<void>(server.serve());
        }
        input += sizeof(airlock::Slot) + 8;
        size -= sizeof(airlock::Slot) + 8;
    }
    static_cast<void>(server.serve());
    if (all.size() >= 64) {
        reset(*ring);
        trusted::RingServer mutated(*ring, {echo, nullptr, in, out, trusted::group_requests_max}, 0);
        const Mutator mutator(*ring, all);
        for (int round = 0; round < 4; ++round) {
            auto& lane = ring->lanes[0];
            for (std::uint32_t index = 0; index < 16; ++index) {
                airlock::publish(lane.slots[index], index);
            }
            static_cast<void>(mutated.serve());
        }
    }
    return 0;
}
