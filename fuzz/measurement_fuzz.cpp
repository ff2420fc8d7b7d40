// Policies, results and evidence: hostile bytes as they come, and hostile payloads and lists under a good signature.
#include "protocol/measurement.hpp"

#include <sodium.h>

#include <vector>

namespace caisson::protocol {
namespace {

struct Signer {
    SigningKey secret;
    VerifyingKey key;
    WitnessKey witness;
    Signer()
    {
        const ByteArray<crypto_sign_SEEDBYTES> seed{};
        crypto_sign_seed_keypair(key.bytes.data(), secret.expose().data(), seed.data());
        witness.bytes = key.bytes;
    }
};

void read_all(Bytes document, const Signer& signer)
{
    if (auto policy = verify_policy(document, signer.key)) {
        while (policy->items.left() != 0) {
            if (!policy->items.next()) {
                __builtin_trap(); // a verified list was read once already
            }
        }
    }
    if (auto result = verify_result(document, signer.witness)) {
        while (result->measurements.left() != 0) {
            if (!result->measurements.next()) {
                __builtin_trap();
            }
        }
    }
    static_cast<void>(verify_evidence(document));
}

// The input as the list of a policy whose signature is good.
void read_signed_list(Bytes list, const Signer& signer)
{
    ByteArray<256> payload;
    CborWriter head(payload);
    head.begin_map(4);
    for (std::uint64_t field = 1; field <= 3; ++field) {
        head.write_uint(field);
        head.write_bytes(ByteArray<32>{});
    }
    Digest digest;
    crypto_hash_sha256(digest.data(), list.data(), list.size());
    head.write_uint(4);
    head.write_bytes(digest);
    ByteArray<512> signed_head;
    const auto size = write_cose_sign1(signed_head, signer.secret, "caisson policy v1", head.written());
    std::vector<std::uint8_t> document(list.size() + 600);
    CborWriter writer(document);
    writer.begin_array(2);
    writer.write_bytes(Bytes(signed_head).first(*size));
    writer.write_bytes(list);
    read_all(writer.written(), signer);
}

} // namespace
} // namespace caisson::protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson::protocol;
    static const Signer signer;
    const caisson::Bytes bytes(input, size);
    read_all(bytes, signer);
    read_signed_list(bytes, signer);
    return 0;
}
