// Which root a home has.
#include "host/enclave/enclave.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/enclave/image_files.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/store/durable_file.hpp"
#include "host/tpm/tpm_root.hpp"

namespace caisson::host::enclave {

using protocol::sgx::RootKind;

namespace {

std::optional<tpm::CounterOf> counter_of(ChamberKind chamber) noexcept
{
    switch (chamber) {
    case ChamberKind::curve: return tpm::CounterOf::curve;
    case ChamberKind::witness: return tpm::CounterOf::witness;
    default: return std::nullopt;
    }
}

// As Root::counter counts them.
static_assert(static_cast<std::size_t>(tpm::CounterOf::curve) == 0 &&
              static_cast<std::size_t>(tpm::CounterOf::witness) == 1);

} // namespace

Done Root::raise_counter(const std::filesystem::path& home, ChamberKind chamber, std::uint64_t from)
{
    const auto which = counter_of(chamber);
    if (!which || !tpm::TpmRoot::is_in(home)) {
        return {};
    }
    auto tpm = TRY(tpm::TpmRoot::open(home));
    const auto secret = TRY(tpm.unseal());
    if (TRY(tpm.counter(*which, secret)) != from) {
        return fault(Kind::conflict,
                     "TPM root: its rollback counter was raised by another process meanwhile; try again");
    }
    return tpm.raise_counter(*which, secret);
}

Outcome<RootKind> Root::kind_of(const std::filesystem::path& home)
{
    if (!tpm::TpmRoot::is_in(home)) {
        return RootKind::file;
    }
    return TRY(tpm::TpmRoot::is_simulated(home)) ? RootKind::software_tpm : RootKind::tpm;
}

Outcome<Root> Root::open(const std::filesystem::path& home)
{
    const auto file = home / "root.key";
    if (!tpm::TpmRoot::is_in(home)) {
        return open_file(file);
    }
    std::error_code error;
    if (std::filesystem::exists(file, error)) {
        return fault(Kind::conflict, file.string() +
                                         ": this home has a TPM root as well; a home has one root: move the "
                                         "one away that nothing is sealed under");
    }
    auto tpm = TRY(tpm::TpmRoot::open(home));
    const auto images = TRY(installed_images(find_images()));
    TRY(tpm.register_images(images));
    const auto secret = TRY(tpm.unseal());
    const auto facts = TRY(tpm.facts());
    Root root;
    root.kind_ = facts.tpm.software ? RootKind::software_tpm : RootKind::tpm;
    copy_bytes(root.root_.expose(), secret.expose());
    for (const auto which : {tpm::CounterOf::curve, tpm::CounterOf::witness}) {
        root.counters_[static_cast<std::size_t>(which)] = TRY(tpm.counter(which, secret));
    }
    return root;
}

Outcome<Guard> guard_at(const std::filesystem::path& home, ChamberKind chamber)
{
    const auto path = find_images() / (std::string(chamber_name(chamber)) + ".sig");
    const auto content = TRY(store::load_file(path, image_file_bytes_max, store::Writers::owner));
    const auto sigstruct = TRY(image::read_sigstruct(content));
    return Guard{protocol::sgx::Platform::process, TRY(Root::kind_of(home)),
                 (sigstruct.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0};
}

} // namespace caisson::host::enclave
