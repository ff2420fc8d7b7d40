// Signed documents: hostile bytes as they come, and hostile payloads under a good signature (a Verifier gone wrong).
#include "protocol/access_list.hpp"
#include "protocol/attestation_result.hpp"
#include "protocol/cbor.hpp"
#include "protocol/time_token.hpp"

#include <sodium.h>

#include <algorithm>
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

void read_all(Bytes document, const VerifyingKey& key)
{
    if (const auto result = verify_attestation_result(document, key)) {
        std::vector<std::uint8_t> again(attestation_result_bytes_max);
        static const Signer signer;
        if (!write_attestation_result(again, signer.secret, *result)) {
            __builtin_trap(); // what was read must be writable
        }
    }
    static_cast<void>(verify_time_token(document, key));
    if (const auto list = verify_access_list(document, key)) {
        std::vector<std::uint8_t> again(access_list_bytes_max);
        static const Signer signer;
        if (list->key_count() > access_keys_max || !write_access_list(again, signer.secret, *list)) {
            __builtin_trap();
        }
    }
}

// The first octet says how much of the rest was signed; what is left stands where the keys do.
void read_as_list(Bytes input, const Signer& signer)
{
    if (input.empty()) {
        return;
    }
    const auto split = std::min<std::size_t>(input[0], input.size() - 1);
    ByteArray<512> document;
    const auto size = write_cose_sign1(document, signer.secret, "caisson access list v1", input.subspan(1, split));
    if (!size) {
        return;
    }
    std::vector<std::uint8_t> whole(*size + input.size() + 32);
    CborWriter writer(whole);
    writer.begin_array(2);
    writer.write_bytes(Bytes(document).first(*size));
    writer.write_bytes(input.subspan(1 + split));
    read_all(writer.written(), signer.key);
}

} // namespace
} // namespace caisson::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    using namespace caisson::protocol;
    static const Signer signer;
    const Bytes bytes(input, size);
    read_all(bytes, signer.key);
    read_as_list(bytes, signer);
    std::vector<std::uint8_t> document(size + cose_overhead_bytes + 64);
    for (const auto* domain : {"caisson attestation result v1", "caisson time token v1"}) {
        const auto written = write_cose_sign1(document, signer.secret, domain, bytes);
        if (written) {
            read_all(Bytes(document).first(*written), signer.key);
        }
    }
    return 0;
}
