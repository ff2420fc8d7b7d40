#include "trusted/runtime/enclave_runtime.hpp"

#include "core/check.hpp"
#include "core/crypto/aes_cmac.hpp"
#include "core/crypto/constant_time.hpp"
#include "core/wire.hpp"
#include "trusted/runtime/clock.hpp"

#include <sodium.h>

namespace caisson::trusted {
namespace {

using protocol::sgx::KeyName;
using protocol::sgx::KeyRequest;
using protocol::sgx::Report;
using protocol::sgx::ReportData;
using protocol::sgx::TargetInfo;

// [SEAL-1] The header of a sealed blob; all of it is associated data.
struct SealedHeader {
    static constexpr std::uint32_t current_version = 2;

    SealPolicy policy = SealPolicy::mrsigner;
    std::uint16_t isv_svn = 0;
    std::uint64_t counter = 0; // of the root, when it was sealed
    ByteArray<16> cpusvn{};
    ByteArray<32> key_id{};
    ByteArray<crypto_aead_xchacha20poly1305_ietf_NPUBBYTES> nonce{};

    static constexpr std::size_t bytes = 4 + 2 + 2 + 8 + 16 + 32 + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
};
constexpr std::size_t tag_bytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(SealedHeader::bytes + tag_bytes <= seal_overhead_bytes);

struct SealKeyTag;
using SealKey = Secret<crypto_aead_xchacha20poly1305_ietf_KEYBYTES, SealKeyTag>;

void write_header(Writer& writer, const SealedHeader& header) noexcept
{
    writer.write_le(SealedHeader::current_version);
    writer.write_le(static_cast<std::uint16_t>(header.policy));
    writer.write_le(header.isv_svn);
    writer.write_le(header.counter);
    writer.write_bytes(header.cpusvn);
    writer.write_bytes(header.key_id);
    writer.write_bytes(header.nonce);
}

Result<SealedHeader> read_header(Reader& reader) noexcept
{
    SealedHeader header;
    if (TRY(reader.read_le<std::uint32_t>()) != SealedHeader::current_version) {
        return fail(Kind::malformed, "a sealed blob has an unknown version");
    }
    const auto policy = TRY(reader.read_le<std::uint16_t>());
    if (policy != static_cast<std::uint16_t>(SealPolicy::mrenclave) &&
        policy != static_cast<std::uint16_t>(SealPolicy::mrsigner)) {
        return fail(Kind::malformed, "a sealed blob has an unknown policy");
    }
    header.policy = static_cast<SealPolicy>(policy);
    header.isv_svn = TRY(reader.read_le<std::uint16_t>());
    header.counter = TRY(reader.read_le<std::uint64_t>());
    header.cpusvn = TRY(reader.read_array<16>());
    header.key_id = TRY(reader.read_array<32>());
    header.nonce = TRY(reader.read_array<crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>());
    return header;
}

// Header and context as one string of associated data.
struct AssociatedData {
    ByteArray<SealedHeader::bytes + seal_context_bytes_max> bytes;
    std::size_t size = 0;

    AssociatedData(const SealedHeader& header, Bytes context) noexcept
    {
        CHECK(context.size() <= seal_context_bytes_max);
        Writer writer(bytes);
        write_header(writer, header);
        writer.write_bytes(context);
        size = writer.written().size();
    }
};

// The architecture gives 128 bits; the AEAD wants 256. [SEAL-2]
Result<SealKey> seal_key(const Leaves& leaves, const SealedHeader& header) noexcept
{
    KeyRequest request{};
    request.key_name = KeyName::SEAL;
    request.key_policy = static_cast<std::uint16_t>(header.policy);
    request.isv_svn = header.isv_svn;
    request.cpusvn = header.cpusvn;
    request.attribute_mask = {protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_DEBUG, 0};
    request.key_id = header.key_id;
    ByteArray<16> key{};
    if (!leaves.egetkey(leaves.context, request, key)) {
        return fail(Kind::unauthentic, "a blob was sealed on another platform or root, or by another kind of chamber");
    }
    constexpr std::string_view purpose = "caisson seal v1";
    SealKey wide;
    crypto_generichash(wide.expose().data(), SealKey::size, bytes_of(purpose).data(), purpose.size(), key.data(),
                       key.size());
    wipe(key);
    return wide;
}

} // namespace

Status EnclaveRuntime::start(const Leaves& leaves, const Seed& seed, Random::HardwareSource hardware,
                             Random::HardwareSource rdseed) noexcept
{
    leaves_ = leaves;
    return random_.start(seed, hardware, rdseed);
}

std::uint64_t EnclaveRuntime::ticks() noexcept
{
    return read_tick_counter();
}

Report EnclaveRuntime::report(const TargetInfo& target, const ReportData& data) noexcept
{
    Report report{};
    leaves_.ereport(leaves_.context, target, data, report);
    return report;
}

Report EnclaveRuntime::own_report() noexcept
{
    return report(TargetInfo{}, ReportData{});
}

TargetInfo EnclaveRuntime::own_target() noexcept
{
    const auto own = own_report();
    TargetInfo target{};
    target.mrenclave = own.mrenclave;
    target.attributes = own.attributes;
    target.miscselect = own.miscselect;
    return target;
}

Status EnclaveRuntime::verify_report(const Report& report) noexcept
{
    KeyRequest request{};
    request.key_name = KeyName::REPORT;
    request.key_id = report.key_id;
    crypto::AesCmacKey key;
    ByteArray<16> raw{};
    if (!leaves_.egetkey(leaves_.context, request, raw)) {
        return fail(Kind::unauthentic, "the report key cannot be had");
    }
    copy_bytes(key.expose(), raw);
    wipe(raw);
    const Bytes maced(reinterpret_cast<const std::uint8_t*>(&report), protocol::sgx::report_maced_bytes);
    if (!crypto::equal(crypto::aes128_cmac(key, maced), report.mac)) {
        return fail(Kind::unauthentic, "a local report was not made for this chamber on this machine");
    }
    return {};
}

Result<std::size_t> EnclaveRuntime::seal(SealPolicy policy, Bytes context, Bytes secret, MutableBytes output) noexcept
{
    const auto own = own_report();
    SealedHeader header;
    header.policy = policy;
    header.isv_svn = own.isv_svn;
    header.counter = counters_.sealed;
    header.cpusvn = own.cpusvn;
    random_.fill(header.key_id);
    random_.fill(header.nonce);
    if (output.size() < SealedHeader::bytes + secret.size() + tag_bytes) {
        return fail(Kind::exhausted, "the buffer for a sealed blob is too small");
    }
    const auto key = TRY(seal_key(leaves_, header));
    Writer writer(output);
    write_header(writer, header);
    const AssociatedData associated(header, context);
    crypto_aead_xchacha20poly1305_ietf_encrypt(writer.rest().data(), nullptr, secret.data(), secret.size(),
                                               associated.bytes.data(), associated.size, nullptr, header.nonce.data(),
                                               key.expose().data());
    return SealedHeader::bytes + secret.size() + tag_bytes;
}

Result<std::size_t> EnclaveRuntime::unseal(Bytes context, Bytes blob, MutableBytes output, OlderCopy older) noexcept
{
    Reader reader(blob);
    const auto header = TRY(read_header(reader));
    const auto sealed = reader.rest();
    if (sealed.size() < tag_bytes) {
        return fail(Kind::truncated, "a sealed blob is too short");
    }
    if (header.isv_svn > own_report().isv_svn) { // [SEAL-4]; EGETKEY would refuse as well
        return fail(Kind::expired, "a blob was sealed by a later version of this chamber");
    }
    if (output.size() < sealed.size() - tag_bytes) {
        return fail(Kind::exhausted, "the buffer for an unsealed secret is too small");
    }
    const auto key = TRY(seal_key(leaves_, header));
    const AssociatedData associated(header, context);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(output.data(), nullptr, nullptr, sealed.data(), sealed.size(),
                                                   associated.bytes.data(), associated.size, header.nonce.data(),
                                                   key.expose().data()) != 0) {
        return fail(Kind::unauthentic, "a sealed blob was altered, or sealed elsewhere or for another purpose");
    }
    if (older == OlderCopy::refused && header.counter < counters_.least) { // [SEAL-5]
        wipe(output.first(sealed.size() - tag_bytes));
        return fail(Kind::unacceptable, "a sealed blob is of an older copy than the rollback counter permits");
    }
    return sealed.size() - tag_bytes;
}

} // namespace caisson::trusted
