#include "core/crypto/sha1.hpp"

#include "core/wire.hpp"

#include <algorithm>
#include <bit>

namespace caisson::crypto {

Sha1::Sha1() noexcept
    : state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
{
}

Sha1::~Sha1()
{
    wipe(block_);
    wipe({reinterpret_cast<std::uint8_t*>(state_.data()), sizeof state_});
}

void Sha1::compress() noexcept
{
    std::array<std::uint32_t, 80> words{};
    for (std::size_t index = 0; index < 16; ++index) {
        std::uint32_t word = 0;
        std::memcpy(&word, block_.data() + 4 * index, sizeof word);
        words[index] = __builtin_bswap32(word);
    }
    for (std::size_t index = 16; index < words.size(); ++index) {
        words[index] = std::rotl(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1);
    }
    auto [a, b, c, d, e] = state_;
    for (std::size_t index = 0; index < words.size(); ++index) {
        std::uint32_t mixed = 0;
        if (index < 20) {
            mixed = ((b & c) | (~b & d)) + 0x5a827999U;
        } else if (index < 40) {
            mixed = (b ^ c ^ d) + 0x6ed9eba1U;
        } else if (index < 60) {
            mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcU;
        } else {
            mixed = (b ^ c ^ d) + 0xca62c1d6U;
        }
        const auto next = std::rotl(a, 5) + mixed + e + words[index];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    const std::array<std::uint32_t, 5> added{a, b, c, d, e};
    for (std::size_t index = 0; index < state_.size(); ++index) {
        state_[index] += added[index];
    }
    wipe({reinterpret_cast<std::uint8_t*>(words.data()), sizeof words});
}

void Sha1::absorb(Bytes bytes) noexcept
{
    while (!bytes.empty()) {
        const auto used = static_cast<std::size_t>(size_ % block_bytes);
        const auto part = bytes.first(std::min(block_bytes - used, bytes.size()));
        copy_bytes(MutableBytes(block_).subspan(used), part);
        size_ += part.size();
        bytes = bytes.subspan(part.size());
        if (size_ % block_bytes == 0) {
            compress();
        }
    }
}

Sha1Digest Sha1::finish() noexcept
{
    constexpr std::size_t length_bytes = 8;
    const auto message_bits = size_ * 8;
    absorb(ByteArray<1>{0x80});
    while (size_ % block_bytes != block_bytes - length_bytes) {
        absorb(ByteArray<1>{});
    }
    ByteArray<length_bytes> length;
    Writer(length).write_be(message_bits);
    absorb(length);
    Sha1Digest digest;
    Writer writer(digest);
    for (const auto word : state_) {
        writer.write_be(word);
    }
    return digest;
}

Sha1Digest hmac_sha1(Bytes key, Bytes message) noexcept
{
    ByteArray<64> pad{};
    if (key.size() > pad.size()) {
        Sha1 hash;
        hash.absorb(key);
        copy_bytes(pad, hash.finish());
    } else {
        copy_bytes(pad, key);
    }
    const auto padded = [&pad](std::uint8_t with) {
        for (auto& byte : pad) {
            byte = static_cast<std::uint8_t>(byte ^ with);
        }
        return Bytes(pad);
    };
    Sha1 inner;
    inner.absorb(padded(0x36));
    inner.absorb(message);
    const auto inner_digest = inner.finish();
    Sha1 outer;
    outer.absorb(padded(0x36 ^ 0x5c));
    outer.absorb(inner_digest);
    wipe(pad);
    return outer.finish();
}

} // namespace caisson::crypto
