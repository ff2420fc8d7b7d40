// Signed documents: hostile bytes as they come, and hostile payloads under a good signature (a Verifier gone wrong).
#include "protocol/attestation_result.hpp"
#include "protocol/time_token.hpp"

#include <sodium.h>

#include <vector>

namespace caisson::protocol {
namespace {

struct Signer {
    SigningKey secret;
    VerifyingKey key;
    Signer()
    {
        ByteArray<crypto_sign_SEEDBYTES> seed{};
        crypto_sign_seed_keypair(key.bytes.data(), secret.expose().data(), seed.data());
    }
};

void read_both(Bytes document, const VerifyingKey& key)
{
    if (const auto result = verify_attestation_result(document, key)) {
        std::vector<std::uint8_t> again(attestation_result_bytes_max);
        static const Signer signer;
        if (!write_attestation_result(again, signer.secret, *result)) {
            __builtin_trap(); // what was read must be writable
        }
    }
    static_cast<void>(verify_time_token(document, key));
}

} // namespace
} // namespace caisson::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    using namespace caisson::protocol;
    static const Signer signer;
    const Bytes bytes(input, size);
    read_both(bytes, signer.key);
    std::vector<std::uint8_t> document(size + cose_overhead_bytes + 64);
    for (const auto* domain : {"caisson attestation result v1", "caisson time token v1"}) {
        const auto written = write_cose_sign1(document, signer.secret, domain, bytes);
        if (written) {
            read_both(Bytes(document).first(*written), signer.key);
        }
    }
    return 0;
}
