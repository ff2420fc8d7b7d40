#include "services/agent/join.hpp"
#include "host/enclave/root.hpp"
#include "host/store/durable_file.hpp"

namespace caisson::services::agent {

using host::Outcome;

namespace {

constexpr std::chrono::milliseconds connect_wait{5'000};

} // namespace

Outcome<JoinedFacts> join_with_file(const std::filesystem::path& home, const std::filesystem::path& file,
                                    const std::string& name)
{
    TRY(expect_not_joined(home));
    const auto invitation = TRY(load_invitation(file));
    TRY(host::store::make_folder(home, 0700));
    const auto root = TRY(host::enclave::Root::open_file(home / "root.key"));
    host::enclave::EnclaveOptions options;
    options.chamber = host::enclave::ChamberKind::witness;
    const auto enclave = TRY(host::enclave::Enclave::open(options, root));
    host::enclave::WitnessChamber witness(*enclave);
    return join(home, invitation, name, witness, [](const Invitation& from) {
        return connect_verifier(from.server, {from.ca_pem, {}, {}}, connect_wait);
    });
}

} // namespace caisson::services::agent
