// A hostile chamber: whatever it writes into the ring, the outside end stays inside its buffers. Once by turns, with
// the fuzzer's bytes, and meanwhile a thread that scribbles over slots and arena at any moment.
#include "host/enclave/ring_client.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace {

namespace airlock = caisson::airlock;
using caisson::host::enclave::Enclave;
using caisson::host::enclave::Stall;

// Writes the fuzzer's bytes over the lane's slots and counters, the way a chamber could at any moment; `serves` is
// where the client asks while it waits.
struct HostileChamber {
    airlock::Ring& ring;
    caisson::Bytes bytes;
    int looks = 0;

    bool act()
    {
        constexpr int looks_max = 3;
        auto& lane = ring.lanes[0];
        auto* slots = reinterpret_cast<std::uint8_t*>(lane.slots);
        const auto offset = bytes.empty() ? std::size_t{0} : std::size_t{bytes[0]} * 8;
        const auto size = std::min(bytes.size(), sizeof lane.slots - offset);
        std::copy_n(bytes.data(), size, slots + offset);
        const bool answers = bytes.size() % 2 == 0;
        lane.tail.store(answers ? lane.head.load() : lane.head.load() + 1);
        return answers && ++looks < looks_max;
    }
};

// Answers everything with sizes and kinds of its own invention.
class Scribbler {
  public:
    explicit Scribbler(airlock::Ring& ring, std::uint32_t seed)
        : ring_(ring)
        , state_(seed | 1U)
        , thread_([this] { scribble(); })
    {
    }
    ~Scribbler()
    {
        ended_ = true;
        thread_.join();
    }
    Scribbler(const Scribbler&) = delete;
    Scribbler& operator=(const Scribbler&) = delete;

  private:
    std::uint32_t next() noexcept
    {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 17U;
        state_ ^= state_ << 5U;
        return state_;
    }
    void scribble() noexcept
    {
        auto& lane = ring_.lanes[0];
        while (!ended_) {
            auto& slot = lane.slots[next() % airlock::slots_per_lane];
            const auto word = std::uint64_t{next()} << 32U | (next() % 4 == 0 ? next() : 0);
            __atomic_store_n(reinterpret_cast<std::uint64_t*>(&slot.status), word, __ATOMIC_RELAXED);
            __atomic_store_n(&slot.output_offset, std::uint64_t{next()} << 20U, __ATOMIC_RELAXED);
            lane.tail.store(next());
            const auto at = next() % sizeof ring_.arenas[0];
            __atomic_store_n(&ring_.arenas[0][at], static_cast<std::uint8_t>(word), __ATOMIC_RELAXED);
        }
    }

    airlock::Ring& ring_;
    std::uint32_t state_;
    std::atomic<bool> ended_ = false;
    std::thread thread_;
};

void exercise(caisson::host::enclave::RingClient& client, std::size_t size)
{
    std::vector<std::uint8_t> input(size < 4096 ? size : 4096);
    static std::vector<std::uint8_t> large(sizeof(airlock::Ring::arenas) + 4096);
    const caisson::MutableBytes output(large.data(), size % 3 == 0 ? large.size() : 100);
    const auto answer = client.call(1, input, output);
    if (answer && *answer > output.size()) {
        __builtin_trap();
    }
    std::vector<Enclave::Call> calls(3);
    for (auto& call : calls) {
        call.input = input;
        call.output = output;
    }
    const auto first = client.submit(calls);
    client.call_many(calls);
    client.reap(first);
    for (const auto& call : calls) {
        if (call.result && *call.result > call.output.size()) {
            __builtin_trap();
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static auto ring = std::make_unique<airlock::Ring>();
    {
        HostileChamber chamber{*ring, {data, size}};
        caisson::host::enclave::RingClient client(*ring, [&chamber](const Stall&) { return chamber.act(); }, 0);
        exercise(client, size);
    }
    const Scribbler scribbler(*ring, static_cast<std::uint32_t>(size));
    caisson::host::enclave::RingClient client(*ring, [](const Stall&) { return false; }, 1000);
    exercise(client, size);
    return 0;
}
