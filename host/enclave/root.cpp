#include "host/enclave/root.hpp"

#include "host/enclave/enclave.hpp"
#include "host/store/durable_file.hpp"

#include <sodium.h>

#include <sys/random.h>

#include <cerrno>
#include <optional>

namespace caisson::host::enclave {
namespace {

Done create(const std::filesystem::path& path)
{
    PlatformKey root;
    if (::getrandom(root.expose().data(), PlatformKey::size, 0) != static_cast<ssize_t>(PlatformKey::size)) {
        return std::unexpected(system_fault("getting random bytes for the machine root", errno));
    }
    TRY(store::make_folder(path.parent_path(), 0700));
    auto stored = store::store_file(path, root.expose(), 0600, store::Existing::keep);
    if (!stored && stored.error().kind == Kind::conflict) {
        return {}; // somebody was faster: that one is the root
    }
    return stored;
}

// Which chamber's counter stands where in `counters_`.
std::optional<std::size_t> counter_number(ChamberKind chamber) noexcept
{
    switch (chamber) {
    case ChamberKind::curve: return 0;
    case ChamberKind::witness: return 1;
    case ChamberKind::null: break;
    }
    return std::nullopt;
}

} // namespace

void PlatformKeys::copy_to(MutableBytes to_enclave, MutableBytes to_signer, MutableBytes to_report) const noexcept
{
    copy_bytes(to_enclave, seal_enclave.expose());
    copy_bytes(to_signer, seal_signer.expose());
    copy_bytes(to_report, report.expose());
}

Outcome<Root> Root::open_file(const std::filesystem::path& path)
{
    std::error_code error;
    if (!std::filesystem::exists(path, error)) {
        TRY(create(path));
    }
    const auto mode = std::filesystem::status(path, error).permissions();
    if ((mode & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) !=
        std::filesystem::perms::none) {
        return fault(Kind::forbidden, path.string() +
                                          ": the machine root is open to others than its owner; if nobody " +
                                          "read it, run: chmod 600 " + path.string());
    }
    auto bytes = TRY(store::load_file(path, PlatformKey::size));
    if (bytes.size() != PlatformKey::size) {
        return fault(Kind::malformed, path.string() + ": a machine root has 32 bytes; restore it from a backup");
    }
    Root root;
    copy_bytes(root.root_.expose(), bytes);
    wipe(bytes);
    return root;
}

PlatformKeys Root::keys_for(protocol::sgx::Platform platform, const Digest& mrenclave, const Digest& mrsigner,
                            std::uint16_t product) const
{
    const auto derive = [&](std::string_view purpose, Bytes who, std::uint16_t with_product) {
        PlatformKey key;
        crypto_generichash_state state;
        crypto_generichash_init(&state, root_.expose().data(), PlatformKey::size, PlatformKey::size);
        const auto add = [&state](Bytes bytes) { crypto_generichash_update(&state, bytes.data(), bytes.size()); };
        const ByteArray<4> facts{static_cast<std::uint8_t>(platform), static_cast<std::uint8_t>(kind_),
                                 static_cast<std::uint8_t>(with_product),
                                 static_cast<std::uint8_t>(with_product >> 8U)};
        const ByteArray<1> purpose_size{static_cast<std::uint8_t>(purpose.size())};
        add(purpose_size);
        add(bytes_of(purpose));
        add(facts);
        add(who);
        crypto_generichash_final(&state, key.expose().data(), PlatformKey::size);
        return key;
    };
    return {derive("caisson root: seal to enclave", mrenclave, 0),
            derive("caisson root: seal to signer", mrsigner, product), derive("caisson root: report", {}, 0)};
}

std::uint64_t Root::counter(ChamberKind chamber) const noexcept
{
    const auto number = counter_number(chamber);
    return number ? counters_[*number] : 0;
}

// [SEAL-5]
RollbackCounters Root::counters_for(const EnclaveOptions& options) const noexcept
{
    const auto now = counter(options.chamber);
    return {options.accepts_older ? 0 : now, now + (options.seals_next && now != 0 ? 1 : 0)};
}

} // namespace caisson::host::enclave
