// EREPORT and EGETKEY in software: what the emulator and `inproc` answer with. Semantics of the SDM (vol. 3D); the
// bytes inside the key derivation are ours, as the hardware's are secret.
#pragma once

#include "host/enclave/root.hpp"

namespace caisson::host::enclave {

// What a built and initialised enclave is (from its SECS).
struct EnclaveIdentity {
    protocol::sgx::Attributes attributes{};
    Digest mrenclave{};
    Digest mrsigner{};
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    std::uint32_t miscselect = 0;
    ByteArray<16> cpusvn{};
};

// The CPUSVN that says which platform emulates and what root it stands on.
[[nodiscard]] ByteArray<16> emulated_cpusvn(protocol::sgx::Platform platform, protocol::sgx::RootKind root) noexcept;

void emulate_ereport(const EnclaveIdentity& self, const PlatformKeys& keys, const protocol::sgx::TargetInfo& target,
                     const protocol::sgx::ReportData& data, protocol::sgx::Report& report) noexcept;

// Does EGETKEY take this request at all? If not, it is #GP: reserved bits, and what only enclaves with key separation
// and sharing (KSS) or shadow stacks (CET) may ask for, which no emulated enclave has.
[[nodiscard]] bool is_key_request(const protocol::sgx::KeyRequest& request) noexcept;

// What RAX says: 0, or the architecture's refusal (SGX_INVALID_...), and then `key` is as it was. Stricter than a CPU
// in one thing: a sealing key that asks for neither MRENCLAVE nor MRSIGNER, which every enclave of that product has, is
// refused, for no image is handed what it could be made of. Requires: is_key_request.
[[nodiscard]] std::uint32_t emulate_egetkey(const EnclaveIdentity& self, const PlatformKeys& keys,
                                            const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept;

} // namespace caisson::host::enclave
