// The one chamber of the image witness.sgxs.
#include "trusted/runtime/chamber.hpp"
#include "trusted/witness/chamber.hpp"

#include <new>

namespace caisson::trusted {
namespace {

// An image has no constructors of static objects and no heap: everything lies here, and is measured with it.
alignas(witness::Chamber) ByteArray<sizeof(witness::Chamber)> storage;

} // namespace

ChamberEntry start_chamber(Runtime& runtime, Arena& arena, std::uint32_t /*features*/) noexcept
{
    auto* const chamber = new (storage.data()) witness::Chamber(runtime);
    const auto input = arena.reserve(airlock::payload_bytes_max);
    const auto output = arena.reserve(airlock::payload_bytes_max);
    return {answer_each<witness::Chamber>, chamber, input, output, groups_of_few, &arena};
}

} // namespace caisson::trusted
