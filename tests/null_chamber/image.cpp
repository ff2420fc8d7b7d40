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

airlock::Answer answer(void* self, std::uint32_t request, Bytes request_input, MutableBytes request_output) noexcept
{
    return static_cast<tests::null_chamber::Chamber*>(self)->answer(request, request_input, request_output);
}

} // namespace

ChamberEntry start_chamber(Runtime& runtime, std::uint32_t /*features*/) noexcept
{
    auto* const chamber = new (storage.data()) tests::null_chamber::Chamber(runtime);
    return {answer, chamber, input, output};
}

} // namespace caisson::trusted
