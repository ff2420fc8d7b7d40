// What a node says its TPM made: structures, certificates, a whole quote to verify. The first byte chooses.
#include "protocol/evidence/certificate_chain.hpp"
#include "protocol/evidence/tpm_credential.hpp"
#include "protocol/evidence/tpm_quote.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size)
{
    using namespace caisson;
    using namespace caisson::protocol::evidence;
    if (size == 0) {
        return 0;
    }
    const Bytes input(bytes + 1, size - 1);
    switch (bytes[0] % 5) {
    case 0: static_cast<void>(read_tpm_attest(input, TPM_ST_ATTEST_QUOTE)); break;
    case 1: static_cast<void>(read_tpm_attest(input, TPM_ST_ATTEST_NV)); break;
    case 2: static_cast<void>(read_tpm_signature(input)); break;
    case 3:
        if (const auto area = read_tpm_public(input)) {
            static_cast<void>(PublicKey::from_tpm(*area));
            static_cast<void>(expect_attestation_key(*area));
            static_cast<void>(make_credential(*area, input.first(0), {}));
        }
        break;
    default:
        if (const auto certificate = Certificate::from_der(input)) {
            static_cast<void>(certificate->public_key());
            static_cast<void>(certificate->issuer());
            static_cast<void>(certificate->alternative_attribute("2.23.133.2.2"));
        }
    }
    return 0;
}
