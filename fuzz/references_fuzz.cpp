// Reference values (JSON): what is read can be written, and is then read the same.
#include "core/text.hpp"
#include "services/attestation/references.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    namespace attestation = services::attestation;
    const std::string text(text_of(Bytes(input, size)));
    if (const auto references = attestation::parse_references(text, "fuzz")) {
        const auto written = attestation::write_references(*references);
        const auto again = attestation::parse_references(written, "again");
        if (!again || attestation::write_references(*again) != written) {
            __builtin_trap();
        }
    }
    return 0;
}
