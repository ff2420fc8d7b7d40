#include "host/enclave/image/sha256.hpp"

#include <cpuid.h>
#include <sodium.h>

namespace caisson::host::enclave::image {

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

Digest sha256_portable(Bytes message) noexcept
{
    Digest digest;
    crypto_hash_sha256(digest.data(), message.data(), message.size());
    return digest;
}

Digest sha256(Bytes message) noexcept
{
    static const bool by_instructions = has_sha_instructions();
    return by_instructions ? sha256_by_instructions(message) : sha256_portable(message);
}

} // namespace caisson::host::enclave::image
