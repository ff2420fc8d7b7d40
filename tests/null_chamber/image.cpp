// The one chamber of the image null.sgxs.
#include "airlock/limits.hpp"
#include "tests/null_chamber/chamber.hpp"
#include "trusted/runtime/chamber.hpp"

#include <new>

namespace caisson::trusted {
namespace {

alignas(tests::null_chamber::Chamber) ByteArray<sizeof(tests::null_chamber::Chamber)> storage;

} // namespace

ChamberEntry start_chamber(Runtime& runtime, Arena& arena, std::uint32_t /*features*/) noexcept
{
    auto* const chamber = new (storage.data()) tests::null_chamber::Chamber(runtime);
    const auto input = arena.reserve(airlock::payload_bytes_max);
    const auto output = arena.reserve(airlock::payload_bytes_max);
    return {answer_each<tests::null_chamber::Chamber>, chamber, input, output, groups_of_few, &arena};
}

} // namespace caisson::trusted
