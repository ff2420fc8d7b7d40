#include "services/agent/join.hpp"

#include "host/enclave/root.hpp"
#include "host/enclave/sgx_aesm.hpp"
#include "host/store/durable_file.hpp"

namespace caisson::services::agent {

using host::Outcome;

namespace {

constexpr std::chrono::milliseconds connect_wait{5'000};

} // namespace

std::unique_ptr<RootProver> prover_on(protocol::sgx::Platform platform, const std::filesystem::path& home)
{
    if (platform != protocol::sgx::Platform::sgx) {
        return prover_of(home);
    }
    const host::enclave::Aesm service;
    return std::make_unique<QuoteProver>(
        QuotingService{[service] { return service.target(); },
                       [service](const protocol::sgx::Report& report) { return service.quote(report); }});
}

Outcome<JoinedFacts> join_with_file(const std::filesystem::path& home, const std::filesystem::path& file,
                                    const std::string& name, protocol::sgx::Platform platform)
{
    TRY(expect_not_joined(home));
    const auto invitation = TRY(load_invitation(file));
    TRY(host::store::make_folder(home, 0700));
    const auto root = TRY(host::enclave::Root::open(home));
    host::enclave::EnclaveOptions options;
    options.chamber = host::enclave::ChamberKind::witness;
    options.platform = platform;
    options.seals_next = true; // an identity of before is an older copy from now on
    const auto enclave = TRY(host::enclave::Enclave::open(options, root));
    host::enclave::WitnessChamber witness(*enclave);
    const auto prover = prover_on(platform, home);
    const auto connect = [](const Invitation& from) {
        return connect_verifier(from.server, {from.ca_pem, {}, {}}, connect_wait);
    };
    auto joined = TRY(join(home, invitation, name, witness, connect, prover.get()));
    TRY(host::enclave::Root::raise_counter(home, options.chamber, root.counter(options.chamber)));
    joined.guard = guard_of(enclave->facts());
    return joined;
}

} // namespace caisson::services::agent
