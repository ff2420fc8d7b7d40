// What AESM answers, whoever it is: an answer after the other, each behind its length (16 bits), to a target and to a
// quote.
#include "core/wire.hpp"
#include "host/enclave/sgx_aesm.hpp"

namespace {

constexpr std::size_t quote_bytes_max = 32768;

caisson::host::Outcome<std::vector<std::uint8_t>> next_answer(caisson::Reader& input)
{
    const auto size = input.read_le<std::uint16_t>();
    const auto bytes = size ? input.read_bytes(*size) : caisson::Result<caisson::Bytes>(input.rest());
    if (!bytes) {
        return caisson::host::fault(caisson::Kind::truncated, "no more answers");
    }
    return std::vector<std::uint8_t>(bytes->begin(), bytes->end());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    Reader for_target(Bytes(input, size));
    const host::enclave::Aesm targeting([&](Bytes) { return next_answer(for_target); });
    static_cast<void>(targeting.target());
    Reader for_quote(Bytes(input, size));
    const host::enclave::Aesm quoting([&](Bytes) { return next_answer(for_quote); });
    if (const auto quote = quoting.quote({}); quote && (quote->empty() || quote->size() > quote_bytes_max)) {
        __builtin_trap();
    }
    return 0;
}
