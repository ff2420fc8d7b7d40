// SGX's architectural structures (Intel SDM vol. 3D, chapters 34 to 38), little-endian and packed by construction.
// Spec constants keep their names. The emulator, the image builder and the trusted runtime share them.
#pragma once

#include "core/bytes.hpp"

namespace caisson::protocol::sgx {

inline constexpr std::size_t page_bytes = 4096;
inline constexpr std::size_t eextend_bytes = 256;

struct Attributes {
    std::uint64_t flags;
    std::uint64_t xfrm;

    friend bool operator==(const Attributes&, const Attributes&) = default;
};
inline constexpr std::uint64_t ATTRIBUTES_INIT = 1;
inline constexpr std::uint64_t ATTRIBUTES_DEBUG = 2;
inline constexpr std::uint64_t ATTRIBUTES_MODE64BIT = 4;
inline constexpr std::uint64_t XFRM_LEGACY = 3; // x87 and SSE, always set
inline constexpr std::uint64_t XFRM_AVX = 4;
inline constexpr std::uint64_t XFRM_AVX512 = 0xe0; // opmask, ZMM_Hi256, Hi16_ZMM

enum class PageType : std::uint8_t { PT_SECS = 0, PT_TCS = 1, PT_REG = 2, PT_VA = 3, PT_TRIM = 4 };
inline constexpr std::uint64_t SECINFO_R = 1;
inline constexpr std::uint64_t SECINFO_W = 2;
inline constexpr std::uint64_t SECINFO_X = 4;
inline constexpr std::uint64_t SECINFO_PENDING = 8;
inline constexpr std::uint64_t SECINFO_MODIFIED = 16;

constexpr std::uint64_t secinfo_flags(PageType type, std::uint64_t permissions) noexcept
{
    return (static_cast<std::uint64_t>(type) << 8U) | permissions;
}

struct Secs {
    std::uint64_t size;
    std::uint64_t base;
    std::uint32_t ssa_frame_size; // in pages
    std::uint32_t miscselect;
    ByteArray<24> reserved1;
    Attributes attributes;
    Digest mrenclave;
    ByteArray<32> reserved2;
    Digest mrsigner;
    ByteArray<32> reserved3;
    ByteArray<64> config_id;
    std::uint16_t isv_prod_id;
    std::uint16_t isv_svn;
    std::uint16_t config_svn;
    ByteArray<3834> reserved4;
};
static_assert(sizeof(Secs) == page_bytes);

struct Tcs {
    std::uint64_t state;
    std::uint64_t flags;
    std::uint64_t ossa;
    std::uint32_t cssa;
    std::uint32_t nssa;
    std::uint64_t oentry;
    std::uint64_t aep;
    std::uint64_t ofsbase;
    std::uint64_t ogsbase;
    std::uint32_t fslimit;
    std::uint32_t gslimit;
    ByteArray<4024> reserved;
};
static_assert(sizeof(Tcs) == page_bytes);

inline constexpr std::size_t rsa_bytes = 384;

struct Sigstruct {
    ByteArray<16> header;
    std::uint32_t vendor;
    std::uint32_t date; // BCD, yyyymmdd
    ByteArray<16> header2;
    std::uint32_t swdefined;
    ByteArray<84> reserved1;
    ByteArray<rsa_bytes> modulus;
    std::uint32_t exponent;
    ByteArray<rsa_bytes> signature;
    std::uint32_t miscselect;
    std::uint32_t miscmask;
    ByteArray<4> cet;
    ByteArray<16> isv_family_id;
    Attributes attributes;
    Attributes attribute_mask;
    Digest enclave_hash;
    ByteArray<16> reserved3;
    ByteArray<16> isv_ext_prod_id;
    std::uint16_t isv_prod_id;
    std::uint16_t isv_svn;
    ByteArray<12> reserved4;
    ByteArray<rsa_bytes> q1;
    ByteArray<rsa_bytes> q2;
};
static_assert(sizeof(Sigstruct) == 1808);
inline constexpr ByteArray<16> SIGSTRUCT_HEADER{6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
inline constexpr ByteArray<16> SIGSTRUCT_HEADER2{1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0};

struct alignas(512) TargetInfo {
    Digest mrenclave;
    Attributes attributes;
    std::uint8_t cet_attributes;
    std::uint8_t reserved1;
    std::uint16_t config_svn;
    std::uint32_t miscselect;
    ByteArray<8> reserved2;
    ByteArray<64> config_id;
    ByteArray<384> reserved3;
};
static_assert(sizeof(TargetInfo) == 512);

using ReportData = ByteArray<64>;

struct Report {
    ByteArray<16> cpusvn;
    std::uint32_t miscselect;
    std::uint8_t cet_attributes;
    ByteArray<11> reserved1;
    ByteArray<16> isv_ext_prod_id;
    Attributes attributes;
    Digest mrenclave;
    ByteArray<32> reserved2;
    Digest mrsigner;
    ByteArray<32> reserved3;
    ByteArray<64> config_id;
    std::uint16_t isv_prod_id;
    std::uint16_t isv_svn;
    std::uint16_t config_svn;
    ByteArray<42> reserved4;
    ByteArray<16> isv_family_id;
    ReportData report_data;
    ByteArray<32> key_id;
    ByteArray<16> mac;
};
static_assert(sizeof(Report) == 432);
inline constexpr std::size_t report_maced_bytes = 384;

enum class KeyName : std::uint16_t { EINITTOKEN = 0, PROVISION = 1, PROVISION_SEAL = 2, REPORT = 3, SEAL = 4 };
inline constexpr std::uint16_t KEYPOLICY_MRENCLAVE = 1;
inline constexpr std::uint16_t KEYPOLICY_MRSIGNER = 2;

struct alignas(512) KeyRequest {
    KeyName key_name;
    std::uint16_t key_policy;
    std::uint16_t isv_svn;
    std::uint8_t cet_attributes_mask;
    std::uint8_t reserved1;
    ByteArray<16> cpusvn;
    Attributes attribute_mask;
    ByteArray<32> key_id;
    std::uint32_t misc_mask;
    std::uint16_t config_svn;
    ByteArray<434> reserved2;
};
static_assert(sizeof(KeyRequest) == 512);

// ENCLU leaves.
inline constexpr std::uint32_t EREPORT = 0;
inline constexpr std::uint32_t EGETKEY = 1;
inline constexpr std::uint32_t EENTER = 2;
inline constexpr std::uint32_t ERESUME = 3;
inline constexpr std::uint32_t EEXIT = 4;
inline constexpr std::uint32_t EACCEPT = 5;
inline constexpr std::uint32_t EMODPE = 6;
inline constexpr std::uint32_t EACCEPTCOPY = 7;

// What RAX says after EGETKEY and EACCEPT; 0 is success.
inline constexpr std::uint32_t SGX_INVALID_ATTRIBUTE = 2;
inline constexpr std::uint32_t SGX_PAGE_ATTRIBUTES_MISMATCH = 19;
inline constexpr std::uint32_t SGX_INVALID_CPUSVN = 32;
inline constexpr std::uint32_t SGX_INVALID_ISVSVN = 64;
inline constexpr std::uint32_t SGX_INVALID_KEYNAME = 256;

// The operand of EACCEPT and EMODPE.
struct alignas(64) SecInfo {
    std::uint64_t flags;
    ByteArray<56> reserved;
};
static_assert(sizeof(SecInfo) == 64);

// The exceptions an enclave can meet (SDM vol. 3A, chapter 6), by their vectors.
inline constexpr std::uint16_t vector_de = 0;
inline constexpr std::uint16_t vector_bp = 3;
inline constexpr std::uint16_t vector_ud = 6;
inline constexpr std::uint16_t vector_gp = 13;
inline constexpr std::uint16_t vector_pf = 14;
inline constexpr std::uint16_t vector_mf = 16;
inline constexpr std::uint16_t vector_ac = 17;
inline constexpr std::uint16_t vector_xm = 19;

// SsaGpr.exitinfo: the vector, its type, and whether there is one to tell.
inline constexpr std::uint32_t EXITINFO_VALID = 1U << 31U;
inline constexpr std::uint32_t EXITINFO_HARDWARE = 3U << 8U;
inline constexpr std::uint32_t EXITINFO_SOFTWARE = 6U << 8U;

// The general registers at the end of each SSA frame.
struct SsaGpr {
    std::uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
    std::uint64_t rflags, rip, ursp, urbp;
    std::uint32_t exitinfo;
    std::uint32_t reserved;
    std::uint64_t fsbase, gsbase;
};
static_assert(sizeof(SsaGpr) == 184);

// What guards a chamber, and what its sealing key and evidence stand on. On an emulated platform the CPUSVN of a
// REPORT says both (bytes 0..7 "CAISSON\0", byte 8 platform, byte 9 root); a CPU's own CPUSVN never looks like it.
enum class Platform : std::uint8_t { inproc = 1, process = 2, sgx = 3 };
// software_tpm: an emulated TPM, which proves nothing about hardware and says so.
enum class RootKind : std::uint8_t { file = 1, tpm = 2, cpu = 3, software_tpm = 4 };
inline constexpr ByteArray<8> emulated_cpusvn_prefix{'C', 'A', 'I', 'S', 'S', 'O', 'N', 0};

} // namespace caisson::protocol::sgx
