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
    const auto root = TRY(host::enclave::Root::open(home));
    host::enclave::EnclaveOptions options;
    options.chamber = host::enclave::ChamberKind::witness;
    const auto enclave = TRY(host::enclave::Enclave::open(options, root));
    host::enclave::WitnessChamber witness(*enclave);
    const auto prover = prover_of(home);
    const auto connect = [](const Invitation& from) {
        return connect_verifier(from.server, {from.ca_pem, {}, {}}, connect_wait);
    };
    return join(home, invitation, name, witness, connect, prover.get());
}

} // namespace caisson::services::agent
