#include "host/enclave/emulated_leaves.hpp"

#include "core/crypto/aes_cmac.hpp"
#include "core/wire.hpp"

namespace caisson::host::enclave {
namespace {

using protocol::sgx::KeyName;

// Everything a key depends on, in one buffer for the CMAC.
struct Dependencies {
    KeyName key_name{};
    std::uint16_t key_policy = 0;
    std::uint16_t isv_prod_id = 0;
    std::uint16_t isv_svn = 0;
    protocol::sgx::Attributes attributes{};
    protocol::sgx::Attributes attribute_mask{};
    Digest mrenclave{};
    Digest mrsigner{};
    ByteArray<32> key_id{};
    ByteArray<16> cpusvn{};
    std::uint32_t miscselect = 0;
    std::uint32_t misc_mask = 0;
};

ByteArray<16> derive(const PlatformKey& from, const Dependencies& of) noexcept
{
    ByteArray<256> buffer;
    Writer writer(buffer);
    writer.write_bytes(from.expose().last(16));
    writer.write_le(static_cast<std::uint16_t>(of.key_name));
    writer.write_le(of.key_policy);
    writer.write_le(of.isv_prod_id);
    writer.write_le(of.isv_svn);
    writer.write_le(of.attributes.flags);
    writer.write_le(of.attributes.xfrm);
    writer.write_le(of.attribute_mask.flags);
    writer.write_le(of.attribute_mask.xfrm);
    writer.write_bytes(of.mrenclave);
    writer.write_bytes(of.mrsigner);
    writer.write_bytes(of.key_id);
    writer.write_bytes(of.cpusvn);
    writer.write_le(of.miscselect);
    writer.write_le(of.misc_mask);
    crypto::AesCmacKey key;
    copy_bytes(key.expose(), from.expose().first(16));
    const auto derived = crypto::aes128_cmac(key, writer.written());
    wipe(buffer);
    return derived;
}

Dependencies report_dependencies(const Digest& mrenclave, const protocol::sgx::Attributes& attributes,
                                 std::uint32_t miscselect, const ByteArray<16>& cpusvn,
                                 const ByteArray<32>& key_id) noexcept
{
    Dependencies of;
    of.key_name = KeyName::REPORT;
    of.mrenclave = mrenclave;
    of.attributes = attributes;
    of.miscselect = miscselect;
    of.cpusvn = cpusvn;
    of.key_id = key_id;
    return of;
}

} // namespace

ByteArray<16> emulated_cpusvn(protocol::sgx::Platform platform, protocol::sgx::RootKind root) noexcept
{
    ByteArray<16> cpusvn{};
    copy_bytes(cpusvn, protocol::sgx::emulated_cpusvn_prefix);
    cpusvn[8] = static_cast<std::uint8_t>(platform);
    cpusvn[9] = static_cast<std::uint8_t>(root);
    return cpusvn;
}

void emulate_ereport(const EnclaveIdentity& self, const PlatformKeys& keys, const protocol::sgx::TargetInfo& target,
                     const protocol::sgx::ReportData& data, protocol::sgx::Report& report) noexcept
{
    report = {};
    report.cpusvn = self.cpusvn;
    report.miscselect = self.miscselect;
    report.attributes = self.attributes;
    report.mrenclave = self.mrenclave;
    report.mrsigner = self.mrsigner;
    report.isv_prod_id = self.isv_prod_id;
    report.isv_svn = self.isv_svn;
    report.report_data = data;
    const auto of =
        report_dependencies(target.mrenclave, target.attributes, target.miscselect, self.cpusvn, report.key_id);
    crypto::AesCmacKey key;
    copy_bytes(key.expose(), derive(keys.report, of));
    report.mac =
        crypto::aes128_cmac(key, {reinterpret_cast<const std::uint8_t*>(&report), protocol::sgx::report_maced_bytes});
}

bool is_key_request(const protocol::sgx::KeyRequest& request) noexcept
{
    constexpr unsigned policies = protocol::sgx::KEYPOLICY_MRENCLAVE | protocol::sgx::KEYPOLICY_MRSIGNER;
    return (request.key_policy & ~policies) == 0 && request.config_svn == 0 && request.cet_attributes_mask == 0 &&
           request.reserved1 == 0 && same_bytes(request.reserved2, decltype(request.reserved2){});
}

std::uint32_t emulate_egetkey(const EnclaveIdentity& self, const PlatformKeys& keys,
                              const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept
{
    if (request.key_name == KeyName::REPORT) {
        key = derive(keys.report, report_dependencies(self.mrenclave, self.attributes, self.miscselect, self.cpusvn,
                                                      request.key_id));
        return 0;
    }
    if (request.key_name == KeyName::EINITTOKEN || request.key_name == KeyName::PROVISION ||
        request.key_name == KeyName::PROVISION_SEAL) {
        return protocol::sgx::SGX_INVALID_ATTRIBUTE; // keys of Intel's own enclaves; no image here has the attribute
    }
    const bool by_enclave = (request.key_policy & protocol::sgx::KEYPOLICY_MRENCLAVE) != 0;
    const bool by_signer = (request.key_policy & protocol::sgx::KEYPOLICY_MRSIGNER) != 0;
    if (request.key_name != KeyName::SEAL || (!by_enclave && !by_signer)) {
        return protocol::sgx::SGX_INVALID_KEYNAME;
    }
    if (request.cpusvn != self.cpusvn) {
        return protocol::sgx::SGX_INVALID_CPUSVN; // it says platform and root: there was none before this one
    }
    if (request.isv_svn > self.isv_svn) {
        return protocol::sgx::SGX_INVALID_ISVSVN;
    }
    constexpr auto always = protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_DEBUG;
    Dependencies of;
    of.key_name = KeyName::SEAL;
    of.key_policy = request.key_policy;
    of.isv_prod_id = self.isv_prod_id;
    of.isv_svn = request.isv_svn;
    of.attribute_mask = request.attribute_mask;
    of.attributes = {self.attributes.flags & (request.attribute_mask.flags | always),
                     self.attributes.xfrm & request.attribute_mask.xfrm};
    of.mrenclave = by_enclave ? self.mrenclave : Digest{};
    of.mrsigner = by_signer ? self.mrsigner : Digest{};
    of.key_id = request.key_id;
    of.cpusvn = request.cpusvn;
    of.miscselect = self.miscselect & request.misc_mask;
    of.misc_mask = request.misc_mask;
    key = derive(by_enclave ? keys.seal_enclave : keys.seal_signer, of);
    return 0;
}

} // namespace caisson::host::enclave
