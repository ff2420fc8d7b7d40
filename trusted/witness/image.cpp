// The one chamber of the image witness.sgxs.
#include "trusted/runtime/chamber.hpp"
#include "trusted/witness/chamber.hpp"

#include <new>

namespace caisson::trusted {
namespace {

// An image has no constructors of static objects and no heap: everything lies here, and is measured with it.
alignas(witness::Chamber) ByteArray<sizeof(witness::Chamber)> storage;
alignas(64) ByteArray<airlock::payload_bytes_max> input;
alignas(64) ByteArray<airlock::payload_bytes_max> output;

} // namespace

ChamberEntry start_chamber(Runtime& runtime, std::uint32_t /*features*/) noexcept
{
    auto* const chamber = new (storage.data()) witness::Chamber(runtime);
    return {answer_each<witness::Chamber>, chamber, input, output};
}

} // namespace caisson::trusted
