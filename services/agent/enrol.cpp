#include "services/agent/join.hpp"

#include "host/net/tls_key.hpp"

#include <array>

#include <unistd.h>

namespace caisson::services::agent {
namespace {

namespace link = protocol::verifier_link;
using host::fault;
using host::Outcome;

constexpr std::chrono::milliseconds wait{10'000};

std::string host_name()
{
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
}

Outcome<std::string> choose_name(const Invitation& invitation, const std::string& wished)
{
    auto name = !wished.empty() ? wished : !invitation.name.empty() ? invitation.name : host_name();
    if (!is_node_name(name)) {
        return fault(Kind::malformed, "joining: the name \"" + name +
                                          "\" is not at most 64 of a-z, A-Z, 0-9, '.', '_', '-'; choose one with "
                                          "--name");
    }
    return name;
}

// [TPM-16] Which TPM this is, shown by opening what the server wrapped for it, and what it attests.
Outcome<std::vector<std::uint8_t>> opened_challenge(Verifier& verifier, TpmProver& tpm)
{
    const auto offer = TRY(tpm.offer());
    const auto challenge = TRY(ask_for<link::RootChallenge>(
        verifier, link::RootOffer{offer.certificate, offer.ek_public, offer.ak_public}, wait));
    return tpm.activate(challenge.id_object, challenge.encrypted_secret);
}

Outcome<std::vector<std::uint8_t>> prove_root(Verifier& verifier, RootProver* prover,
                                              host::enclave::WitnessChamber& witness, Bytes evidence)
{
    std::vector<std::uint8_t> proof;
    if (auto* const tpm = prover != nullptr ? prover->tpm() : nullptr) {
        proof = TRY(opened_challenge(verifier, *tpm));
    }
    const auto shown = TRY(proof_for(prover, witness, evidence));
    proof.insert(proof.end(), shown.begin(), shown.end());
    return proof;
}

} // namespace

Outcome<JoinedFacts> join(const std::filesystem::path& home, const Invitation& invitation, const std::string& name,
                          host::enclave::WitnessChamber& witness, const ConnectForJoin& connect, RootProver* prover)
{
    TRY(expect_not_joined(home));
    Joined joined;
    joined.name = TRY(choose_name(invitation, name));
    joined.server = invitation.server;
    joined.platform = witness.platform();
    joined.server_signing_key = invitation.server_signing_key;
    auto identity = TRY(witness.create_identity(invitation.server_signing_key, invitation.server_box_key));
    const auto loaded = TRY(witness.load_identity(identity.sealed));
    auto key = TRY(host::net::make_tls_key(joined.name));

    const auto verifier = TRY(connect(invitation));
    // The token as nonce: this evidence enrols with this token and no other.
    const protocol::EvidenceNonce nonce{invitation.token};
    const auto evidence = TRY(witness.evidence(key.spki_sha256, verifier->exporter(), nonce));
    const auto root = TRY(prove_root(*verifier, prover, witness, evidence));
    const link::Enrol request{invitation.token, joined.name, key.csr, evidence, root};
    const auto enrolled = TRY(ask_for<link::Enrolled>(*verifier, request, wait));

    joined.sealed_identity = std::move(identity.sealed);
    joined.credentials = {invitation.ca_pem, std::string(enrolled.certificate), std::move(key.pem)};
    TRY(store_joined(home, joined, loaded.witness_key));
    return JoinedFacts{joined.name, joined.server, loaded.witness_key};
}

} // namespace caisson::services::agent
