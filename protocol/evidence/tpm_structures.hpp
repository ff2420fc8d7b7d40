// TPM 2.0 structures as they travel (TPM 2.0 Library, part 2): big-endian, sizes in front, read strictly. Views into
// the bytes that were read. The bytes are hostile: limits are here, nothing may remain. Spec: docs/spec/tpm.md,
// section 1.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"

#include <array>
#include <optional>
#include <vector>

namespace caisson::protocol::evidence {

inline constexpr std::uint32_t TPM_GENERATED_VALUE = 0xff544347;
inline constexpr std::uint16_t TPM_ST_ATTEST_NV = 0x8014;
inline constexpr std::uint16_t TPM_ST_ATTEST_QUOTE = 0x8018;

inline constexpr std::uint16_t TPM_ALG_RSA = 0x0001;
inline constexpr std::uint16_t TPM_ALG_SHA1 = 0x0004;
inline constexpr std::uint16_t TPM_ALG_AES = 0x0006;
inline constexpr std::uint16_t TPM_ALG_KEYEDHASH = 0x0008;
inline constexpr std::uint16_t TPM_ALG_SHA256 = 0x000b;
inline constexpr std::uint16_t TPM_ALG_SHA384 = 0x000c;
inline constexpr std::uint16_t TPM_ALG_SHA512 = 0x000d;
inline constexpr std::uint16_t TPM_ALG_NULL = 0x0010;
inline constexpr std::uint16_t TPM_ALG_RSASSA = 0x0014;
inline constexpr std::uint16_t TPM_ALG_RSAPSS = 0x0016;
inline constexpr std::uint16_t TPM_ALG_ECDSA = 0x0018;
inline constexpr std::uint16_t TPM_ALG_ECC = 0x0023;
inline constexpr std::uint16_t TPM_ALG_CFB = 0x0043;

inline constexpr std::uint16_t TPM_ECC_NIST_P256 = 0x0003;
inline constexpr std::uint16_t TPM_ECC_NIST_P384 = 0x0004;

// TPMA_OBJECT; under names of our own, because the TPM library has macros of the spec's.
inline constexpr std::uint32_t object_fixed_tpm = 1U << 1U;
inline constexpr std::uint32_t object_fixed_parent = 1U << 4U;
inline constexpr std::uint32_t object_sensitive_data_origin = 1U << 5U;
inline constexpr std::uint32_t object_restricted = 1U << 16U;
inline constexpr std::uint32_t object_decrypt = 1U << 17U;
inline constexpr std::uint32_t object_sign_encrypt = 1U << 18U;

// Of one of these structures; a TPM's own buffers are smaller.
inline constexpr std::size_t tpm_structure_bytes_max = 2048;
inline constexpr std::size_t pcr_banks_max = 8;
inline constexpr std::size_t pcr_count = 24;
inline constexpr std::size_t pcr_select_bytes_max = 4;

// 0: no hash that is known here.
[[nodiscard]] std::size_t hash_bytes(std::uint16_t hash) noexcept;

// A TPMT_PUBLIC of a key.
struct TpmPublic {
    std::uint16_t type = 0;
    std::uint16_t name_hash = 0;
    std::uint32_t attributes = 0;
    Bytes policy;
    std::uint16_t symmetric = TPM_ALG_NULL;
    std::uint16_t symmetric_bits = 0;
    std::uint16_t scheme = TPM_ALG_NULL;
    std::uint16_t scheme_hash = TPM_ALG_NULL;
    std::uint16_t rsa_bits = 0;
    std::uint32_t rsa_exponent = 0; // 0 stands for 65537
    Bytes rsa_modulus;
    std::uint16_t curve = 0;
    Bytes x;
    Bytes y;
    Bytes whole; // what the Name is the digest of
};

// RSA and ECC keys alone. Fails: truncated, malformed.
[[nodiscard]] Result<TpmPublic> read_tpm_public(Bytes bytes) noexcept;

// The Name: the hash's identifier and the digest. Fails: malformed (a hash that is not known here).
[[nodiscard]] Result<std::vector<std::uint8_t>> tpm_name(std::uint16_t name_hash, Bytes public_area);

struct PcrBank {
    std::uint16_t hash = 0;
    std::uint32_t mask = 0; // bit n: PCR n

    friend bool operator==(const PcrBank&, const PcrBank&) = default;
};

struct PcrSelection {
    std::array<PcrBank, pcr_banks_max> banks{};
    std::size_t count = 0;
};

// A TPMS_ATTEST of a quote or of the content of an NV index; no other is read.
struct TpmAttest {
    std::uint16_t type = 0;
    Bytes qualified_signer;
    Bytes extra_data;
    std::uint64_t clock = 0;
    std::uint32_t reset_count = 0;
    std::uint32_t restart_count = 0;
    bool safe = false;
    std::uint64_t firmware = 0;
    // A quote.
    PcrSelection selection;
    Bytes pcr_digest;
    // An NV certification.
    Bytes index_name;
    std::uint16_t offset = 0;
    Bytes content;
};

// [TPM-1] Fails: truncated, malformed; unauthentic (not made by a TPM: another magic), unacceptable (another type).
[[nodiscard]] Result<TpmAttest> read_tpm_attest(Bytes bytes, std::uint16_t wanted_type) noexcept;

struct TpmSignature {
    std::uint16_t scheme = 0;
    std::uint16_t hash = 0;
    Bytes rsa;
    Bytes r;
    Bytes s;
};

// A TPMT_SIGNATURE. Fails: truncated, malformed; unauthentic (a scheme that is not known here).
[[nodiscard]] Result<TpmSignature> read_tpm_signature(Bytes bytes) noexcept;

// A TPMS_NV_PUBLIC: what an index is. Its Name says all of it.
struct NvPublic {
    std::uint32_t index = 0;
    std::uint32_t attributes = 0;
    std::uint16_t data_bytes = 0;
};

// The Name of an index with a SHA-256 Name and no policy.
[[nodiscard]] std::vector<std::uint8_t> nv_name(const NvPublic& nv);

} // namespace caisson::protocol::evidence
