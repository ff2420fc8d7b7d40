// Which root a home has.
#include "host/enclave/enclave.hpp"
#include "host/enclave/image_files.hpp"
#include "host/enclave/root.hpp"
#include "host/tpm/tpm_root.hpp"

namespace caisson::host::enclave {

using protocol::sgx::RootKind;

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
    return root;
}

} // namespace caisson::host::enclave
