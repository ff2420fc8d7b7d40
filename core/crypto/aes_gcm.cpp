#include "core/crypto/aes_gcm.hpp"

#include "core/check.hpp"
#include "core/crypto/constant_time.hpp"
#include "core/wire.hpp"

#include <algorithm>

namespace caisson::crypto {
namespace {

constexpr std::uint64_t every_fourth_bit = 0x1111111111111111U;

// The low 64 bits of the carry-less product: integer multiplication with three holes behind every bit, so that carries
// stay in the holes (at most 16 partial products meet below bit 64).
std::uint64_t multiply_low(std::uint64_t left, std::uint64_t right) noexcept
{
    std::uint64_t product = 0;
    for (unsigned residue = 0; residue < 4; ++residue) {
        std::uint64_t sum = 0;
        for (unsigned part = 0; part < 4; ++part) {
            const auto left_part = left & (every_fourth_bit << part);
            const auto right_part = right & (every_fourth_bit << ((residue + 4 - part) % 4));
            sum ^= left_part * right_part;
        }
        product |= sum & (every_fourth_bit << residue);
    }
    return product;
}

std::uint64_t reversed_bits(std::uint64_t value) noexcept
{
    const auto swap = [&value](unsigned count, std::uint64_t mask) {
        value = ((value & mask) << count) | ((value >> count) & mask);
    };
    swap(1, 0x5555555555555555U);
    swap(2, 0x3333333333333333U);
    swap(4, 0x0f0f0f0f0f0f0f0fU);
    return __builtin_bswap64(value);
}

std::uint64_t multiply_high(std::uint64_t left, std::uint64_t right) noexcept
{
    return reversed_bits(multiply_low(reversed_bits(left), reversed_bits(right))) >> 1U;
}

struct Element {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

// Multiplication in GF(2^128) in GCM's bit order (SP 800-38D, section 6.3), by Karatsuba and two folds.
Element multiply(const Element& left, const Element& right) noexcept
{
    const auto low = multiply_low(left.low, right.low);
    const auto low_carry = multiply_high(left.low, right.low);
    const auto high = multiply_low(left.high, right.high);
    const auto high_carry = multiply_high(left.high, right.high);
    const auto middle = multiply_low(left.low ^ left.high, right.low ^ right.high) ^ low ^ high;
    const auto middle_carry = multiply_high(left.low ^ left.high, right.low ^ right.high) ^ low_carry ^ high_carry;

    std::array<std::uint64_t, 4> word{low, low_carry ^ middle, high ^ middle_carry, high_carry};
    for (std::size_t index = 3; index > 0; --index) {
        word[index] = (word[index] << 1U) | (word[index - 1] >> 63U);
    }
    word[0] <<= 1U;
    for (std::size_t index = 0; index < 2; ++index) {
        const auto value = word[index];
        word[index + 2] ^= value ^ (value >> 1U) ^ (value >> 2U) ^ (value >> 7U);
        word[index + 1] ^= (value << 63U) ^ (value << 62U) ^ (value << 57U);
    }
    return {word[2], word[3]};
}

Element element_of(const AesBlock& block) noexcept
{
    Element element;
    std::memcpy(&element.high, block.data(), sizeof element.high);
    std::memcpy(&element.low, block.data() + sizeof element.high, sizeof element.low);
    return {__builtin_bswap64(element.low), __builtin_bswap64(element.high)};
}

class Ghash {
  public:
    explicit Ghash(const Aes& cipher) noexcept
    {
        AesBlock zero{};
        cipher.encrypt({&zero, 1});
        key_ = element_of(zero);
        wipe(zero);
    }
    ~Ghash() { wipe({reinterpret_cast<std::uint8_t*>(&key_), sizeof key_}); }
    Ghash(const Ghash&) = delete;
    Ghash& operator=(const Ghash&) = delete;

    // Padded with zeros to whole blocks.
    void absorb(Bytes bytes) noexcept
    {
        while (!bytes.empty()) {
            const auto part = bytes.first(std::min(aes_block_bytes, bytes.size()));
            AesBlock block{};
            copy_bytes(block, part);
            absorb_block(block);
            bytes = bytes.subspan(part.size());
        }
    }

    AesBlock finish(std::size_t associated_bytes, std::size_t text_bytes) noexcept
    {
        AesBlock block{};
        Writer lengths(block);
        lengths.write_be(std::uint64_t{associated_bytes} * 8);
        lengths.write_be(std::uint64_t{text_bytes} * 8);
        absorb_block(block);
        Writer out(block);
        out.write_be(state_.high);
        out.write_be(state_.low);
        return block;
    }

  private:
    void absorb_block(const AesBlock& block) noexcept
    {
        const auto element = element_of(block);
        state_.low ^= element.low;
        state_.high ^= element.high;
        state_ = multiply(state_, key_);
    }

    Element key_;
    Element state_;
};

AesBlock counter_block(const GcmNonce& nonce, std::uint32_t counter) noexcept
{
    AesBlock block{};
    Writer writer(block);
    writer.write_bytes(nonce.bytes);
    writer.write_be(counter);
    return block;
}

void apply_key_stream(const Aes& cipher, const GcmNonce& nonce, Bytes input, MutableBytes output) noexcept
{
    constexpr std::size_t group = 8;
    std::uint32_t counter = 2;
    std::array<AesBlock, group> stream;
    for (std::size_t at = 0; at < input.size(); at += group * aes_block_bytes) {
        for (auto& block : stream) {
            block = counter_block(nonce, counter++);
        }
        cipher.encrypt(stream);
        const auto count = std::min(group * aes_block_bytes, input.size() - at);
        for (std::size_t index = 0; index < count; ++index) {
            output[at + index] =
                static_cast<std::uint8_t>(input[at + index] ^ stream[index / aes_block_bytes][index % aes_block_bytes]);
        }
    }
    wipe({stream.data()->data(), sizeof stream});
}

GcmTag tag_of(const Aes& cipher, const GcmNonce& nonce, Bytes associated, Bytes ciphertext) noexcept
{
    Ghash ghash(cipher);
    ghash.absorb(associated);
    ghash.absorb(ciphertext);
    auto tag = ghash.finish(associated.size(), ciphertext.size());
    auto mask = counter_block(nonce, 1);
    cipher.encrypt({&mask, 1});
    for (std::size_t index = 0; index < tag.size(); ++index) {
        tag[index] = static_cast<std::uint8_t>(tag[index] ^ mask[index]);
    }
    return tag;
}

} // namespace

GcmTag gcm_encrypt(const Aes& cipher, const GcmNonce& nonce, Bytes associated, Bytes plaintext,
                   MutableBytes output) noexcept
{
    CHECK(output.size() == plaintext.size());
    apply_key_stream(cipher, nonce, plaintext, output);
    return tag_of(cipher, nonce, associated, output);
}

Status gcm_decrypt(const Aes& cipher, const GcmNonce& nonce, Bytes associated, Bytes ciphertext, const GcmTag& tag,
                   MutableBytes output) noexcept
{
    CHECK(output.size() == ciphertext.size());
    if (!public_verdict(equal(tag_of(cipher, nonce, associated, ciphertext), tag))) {
        return fail(Kind::unauthentic, "an AES-GCM tag does not verify");
    }
    apply_key_stream(cipher, nonce, ciphertext, output);
    return {};
}

} // namespace caisson::crypto
