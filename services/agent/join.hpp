// Joining: a new witness identity and TLS key are made, shown to the server with the one-time token, and kept.
#pragma once

#include "host/enclave/platform_text.hpp"
#include "host/enclave/witness_chamber.hpp"
#include "services/agent/home.hpp"
#include "services/agent/root_prover.hpp"
#include "services/agent/verifier.hpp"

namespace caisson::services::agent {

struct JoinedFacts {
    std::string name;
    std::string server;
    protocol::WitnessKey witness_key;
    host::enclave::Guard guard{}; // of the witness
};

// Connects without a certificate, for enrolment. Replaced in tests.
using ConnectForJoin = std::function<host::Outcome<std::unique_ptr<Verifier>>(const Invitation& invitation)>;

// Nothing is kept unless the server enrolled the node.
// Fails: conflict (joined already), what the server says (forbidden: the token was used or is too old), unavailable.
host::Outcome<JoinedFacts> join(const std::filesystem::path& home, const Invitation& invitation,
                                const std::string& name, host::enclave::WitnessChamber& witness,
                                const ConnectForJoin& connect, RootProver* prover = nullptr);

// The whole of `caisson agent join FILE`: opens the witness chamber and connects over TLS.
host::Outcome<JoinedFacts> join_with_file(const std::filesystem::path& home, const std::filesystem::path& file,
                                          const std::string& name, protocol::sgx::Platform platform);

// What proves the root of a witness on `platform`: the home's TPM, Intel's quoting service, or nothing (null).
std::unique_ptr<RootProver> prover_on(protocol::sgx::Platform platform, const std::filesystem::path& home);

} // namespace caisson::services::agent
