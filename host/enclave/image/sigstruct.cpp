#include "host/enclave/image/sigstruct.hpp"

#include <sodium.h>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::rsa_bytes;
using protocol::sgx::Sigstruct;

constexpr std::size_t limb_count = rsa_bytes / sizeof(std::uint64_t);
__extension__ using Wide = unsigned __int128;

// Little-endian numbers of 3072 and 6144 bits.
using Number = std::array<std::uint64_t, limb_count>;
using Product = std::array<std::uint64_t, 2 * limb_count>;

Number number_of(const ByteArray<rsa_bytes>& bytes) noexcept
{
    Number number;
    std::memcpy(number.data(), bytes.data(), rsa_bytes);
    return number;
}

Product multiply(const Number& left, const Number& right) noexcept
{
    Product product{};
    for (std::size_t i = 0; i < limb_count; ++i) {
        std::uint64_t carry = 0;
        for (std::size_t j = 0; j < limb_count; ++j) {
            const Wide sum = static_cast<Wide>(left[i]) * right[j] + product[i + j] + carry;
            product[i + j] = static_cast<std::uint64_t>(sum);
            carry = static_cast<std::uint64_t>(sum >> 64U);
        }
        product[i + limb_count] = carry;
    }
    return product;
}

bool less(const Number& left, const Number& right) noexcept
{
    for (std::size_t index = limb_count; index-- > 0;) {
        if (left[index] != right[index]) {
            return left[index] < right[index];
        }
    }
    return false;
}

// left - right, which must be a remainder: not negative and below `modulus`.
Result<Number> remainder(const Product& left, const Product& right, const Number& modulus) noexcept
{
    Product difference;
    std::uint64_t borrow = 0;
    for (std::size_t index = 0; index < difference.size(); ++index) {
        const Wide value = static_cast<Wide>(left[index]) - right[index] - borrow;
        difference[index] = static_cast<std::uint64_t>(value);
        borrow = static_cast<std::uint64_t>(value >> 64U) & 1U;
    }
    Number out;
    std::uint64_t high = 0;
    for (std::size_t index = 0; index < limb_count; ++index) {
        out[index] = difference[index];
        high |= difference[limb_count + index];
    }
    if (borrow != 0 || high != 0 || !less(out, modulus)) {
        return fail(Kind::unauthentic, "an enclave signature's quotients do not fit it");
    }
    return out;
}

Digest signed_digest(const Sigstruct& sigstruct) noexcept
{
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&sigstruct);
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, bytes, signed_part_bytes);
    crypto_hash_sha256_update(&state, bytes + second_part_offset, signed_part_bytes);
    Digest digest;
    crypto_hash_sha256_final(&state, digest.data());
    return digest;
}

// PKCS#1 v1.5 of a SHA-256 digest (RFC 8017, section 9.2), little-endian.
Number expected_padding(const Digest& digest) noexcept
{
    constexpr ByteArray<19> digest_info{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                        0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    ByteArray<rsa_bytes> big_endian;
    big_endian.fill(0xff);
    big_endian[0] = 0;
    big_endian[1] = 1;
    const std::size_t digest_at = rsa_bytes - digest.size();
    copy_bytes(MutableBytes(big_endian).subspan(digest_at), digest);
    copy_bytes(MutableBytes(big_endian).subspan(digest_at - digest_info.size()), digest_info);
    big_endian[digest_at - digest_info.size() - 1] = 0;
    ByteArray<rsa_bytes> little_endian;
    for (std::size_t index = 0; index < rsa_bytes; ++index) {
        little_endian[index] = big_endian[rsa_bytes - 1 - index];
    }
    return number_of(little_endian);
}

} // namespace

Result<Sigstruct> read_sigstruct(Bytes bytes) noexcept
{
    if (bytes.size() != sizeof(Sigstruct)) {
        return fail(Kind::malformed, "an enclave signature file must have 1808 bytes");
    }
    Sigstruct sigstruct;
    std::memcpy(&sigstruct, bytes.data(), sizeof sigstruct);
    return sigstruct;
}

Digest mrsigner_of(const Sigstruct& sigstruct) noexcept
{
    return [&] {
        Digest digest;
        crypto_hash_sha256(digest.data(), sigstruct.modulus.data(), sigstruct.modulus.size());
        return digest;
    }();
}

// [IMAGE-3]
Status verify_sigstruct(const Sigstruct& sigstruct) noexcept
{
    constexpr std::size_t header_type_bytes = 12; // the last word of the header is software's
    if (!same_bytes(Bytes(sigstruct.header).first(header_type_bytes),
                    Bytes(protocol::sgx::SIGSTRUCT_HEADER).first(header_type_bytes)) ||
        sigstruct.header2 != protocol::sgx::SIGSTRUCT_HEADER2 || sigstruct.exponent != 3) {
        return fail(Kind::malformed, "an enclave signature has another header or exponent than SGX's");
    }
    const auto modulus = number_of(sigstruct.modulus);
    const auto signature = number_of(sigstruct.signature);
    if (!less(signature, modulus)) {
        return fail(Kind::unauthentic, "an enclave signature is not below its modulus");
    }
    const auto square =
        TRY(remainder(multiply(signature, signature), multiply(number_of(sigstruct.q1), modulus), modulus));
    const auto cube = TRY(remainder(multiply(square, signature), multiply(number_of(sigstruct.q2), modulus), modulus));
    if (cube != expected_padding(signed_digest(sigstruct))) {
        return fail(Kind::unauthentic, "an enclave signature does not verify");
    }
    return {};
}

Status verify_enclave(const Sigstruct& sigstruct, const Digest& mrenclave,
                      const protocol::sgx::Attributes& attributes) noexcept
{
    if (sigstruct.enclave_hash != mrenclave) {
        return fail(Kind::unauthentic, "the image is not the one that was signed (MRENCLAVE differs)");
    }
    const auto& mask = sigstruct.attribute_mask;
    if ((attributes.flags & mask.flags) != (sigstruct.attributes.flags & mask.flags) ||
        (attributes.xfrm & mask.xfrm) != (sigstruct.attributes.xfrm & mask.xfrm)) {
        return fail(Kind::unauthentic, "the enclave's attributes are not those that were signed");
    }
    return {};
}

} // namespace caisson::host::enclave::image
