#include "host/enclave/image/sha256.hpp"

#include <cpuid.h>

#include <algorithm>

namespace caisson::host::enclave::image {
namespace {

// FIPS 180-4, 5.3.3.
constexpr Sha256::Words initial_words{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
constexpr std::size_t size_bytes = 8;

} // namespace

bool has_sha_instructions() noexcept
{
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    constexpr unsigned features_leaf = 1;
    constexpr unsigned more_features_leaf = 7;
    constexpr unsigned vectors = bit_SSSE3 | bit_SSE4_1;
    return __get_cpuid(features_leaf, &eax, &ebx, &ecx, &edx) != 0 && (ecx & vectors) == vectors &&
           __get_cpuid_count(more_features_leaf, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_SHA) != 0;
}

Sha256::Sha256(Way way) noexcept
    : way_(way)
    , words_(initial_words)
{
    crypto_hash_sha256_init(&portable_);
}

Sha256::Sha256() noexcept
    : Sha256([] {
        static const bool by_instructions = has_sha_instructions();
        return by_instructions ? Way::by_instructions : Way::portable;
    }())
{
}

void Sha256::absorb(Bytes piece) noexcept
{
    if (way_ == Way::by_instructions) {
        absorb_by_instructions(piece);
    } else {
        crypto_hash_sha256_update(&portable_, piece.data(), piece.size());
    }
}

void Sha256::absorb_by_instructions(Bytes piece) noexcept
{
    const auto waiting = static_cast<std::size_t>(bytes_ % block_bytes);
    bytes_ += piece.size();
    if (waiting != 0) {
        const auto missing = std::min(block_bytes - waiting, piece.size());
        copy_bytes(MutableBytes(waiting_).subspan(waiting), piece.first(missing));
        piece = piece.subspan(missing);
        if (waiting + missing < block_bytes) {
            return;
        }
        absorb_blocks(words_, waiting_);
    }
    const auto whole = piece.size() - piece.size() % block_bytes;
    absorb_blocks(words_, piece.first(whole));
    copy_bytes(waiting_, piece.subspan(whole));
}

Digest Sha256::finish_by_instructions() noexcept
{
    const auto bits = __builtin_bswap64(std::uint64_t{8} * bytes_);
    const auto waiting = static_cast<std::size_t>(bytes_ % block_bytes);
    ByteArray<2 * block_bytes> end{};
    copy_bytes(end, Bytes(waiting_).first(waiting));
    end[waiting] = 0x80;
    const auto end_bytes = waiting + 1 + size_bytes <= block_bytes ? block_bytes : 2 * block_bytes;
    __builtin_memcpy(end.data() + end_bytes - size_bytes, &bits, size_bytes);
    absorb_blocks(words_, Bytes(end).first(end_bytes));
    std::transform(words_.begin(), words_.end(), words_.begin(),
                   [](std::uint32_t word) { return __builtin_bswap32(word); });
    Digest digest;
    static_assert(sizeof digest == sizeof words_);
    __builtin_memcpy(digest.data(), words_.data(), digest.size());
    return digest;
}

Digest Sha256::finish() noexcept
{
    if (way_ == Way::by_instructions) {
        return finish_by_instructions();
    }
    Digest digest;
    crypto_hash_sha256_final(&portable_, digest.data());
    return digest;
}

Digest sha256(Bytes message) noexcept
{
    Sha256 hash;
    hash.absorb(message);
    return hash.finish();
}

} // namespace caisson::host::enclave::image
