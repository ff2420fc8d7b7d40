// The one chamber of the image null.sgxs.
#include "airlock/limits.hpp"
#include "tests/null_chamber/chamber.hpp"
#include "trusted/runtime/chamber.hpp"

#include <new>

namespace caisson::trusted {
namespace {

alignas(tests::null_chamber::Chamber) ByteArray<sizeof(tests::null_chamber::Chamber)> storage;
alignas(64) ByteArray<airlock::payload_bytes_max> input;
alignas(64) ByteArray<airlock::payload_bytes_max> output;

} // namespace

ChamberEntry start_chamber(Runtime& runtime, std::uint32_t /*features*/) noexcept
{
    auto* const chamber = new (storage.data()) tests::null_chamber::Chamber(runtime);
    return {answer_each<tests::null_chamber::Chamber>, chamber, input, output};
}

} // namespace caisson::trusted
