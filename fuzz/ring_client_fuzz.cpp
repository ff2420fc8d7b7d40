// A hostile chamber: whatever it writes into the ring, the outside end stays inside its buffers.
#include "host/enclave/ring_client.hpp"

#include <algorithm>
#include <memory>
#include <vector>

namespace {

namespace airlock = caisson::airlock;

// Writes the fuzzer's bytes over the lane's slots and counters, the way a chamber could at any moment. `alive` is the
// one place the client asks while it waits, so that is where the chamber acts: no thread, no chance.
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

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    static auto ring = std::make_unique<airlock::Ring>();
    HostileChamber chamber{*ring, {data, size}};
    caisson::host::enclave::RingClient client(*ring, [&chamber] { return chamber.act(); });
    std::vector<std::uint8_t> input(size < 4096 ? size : 4096);
    static std::vector<std::uint8_t> large(sizeof(airlock::Ring::arenas) + 4096);
    const caisson::MutableBytes output(large.data(), size % 3 == 0 ? large.size() : 100);
    const auto answer = client.call(1, input, output);
    if (answer && *answer > output.size()) {
        __builtin_trap();
    }
    std::vector<caisson::host::enclave::Enclave::Call> calls(3);
    for (auto& call : calls) {
        call.input = input;
        call.output = output;
    }
    client.call_many(calls);
    return 0;
}
