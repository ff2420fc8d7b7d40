// The attestation server's database: nodes, invitations, policies, reference values, verdicts. SQLite in WAL mode with
// full syncs; every change is one transaction. Several processes may use it at once (the server and the verbs).
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"
#include "protocol/attestation_result.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace caisson::host::store {

struct NodeRecord {
    std::string name;
    protocol::WitnessKey witness_key;
    Digest spki_sha256{}; // of its TLS key
    std::uint64_t enrolled_ms = 0;
};

// The TPM that a node has shown to hold its root.
struct RootRecord {
    std::vector<std::uint8_t> ak_public; // TPMT_PUBLIC: every later evidence is signed by it
    std::string tpm;                     // what its EK certificate says, for people; empty: it has none
    bool endorsed = false;               // the EK certificate chains to an authority of the server's
    bool simulated = false;              // a software TPM
    std::uint64_t checked_ms = 0;        // the last evidence that verified
    std::uint32_t pcr_mask = 0;
    std::vector<std::uint8_t> pcrs;   // their values, ascending
    std::vector<std::uint8_t> images; // MRENCLAVEs started since that TPM was, one after the other
};

// The CPU that a node has shown to guard its witness, by an SGX quote.
struct CpuRecord {
    std::string text;       // platform, status and what Intel advises, for people
    std::string status;     // of its TCB, in Intel's words
    bool simulated = false; // the quote leads to another root than Intel's
    std::uint64_t checked_ms = 0;
};

struct PolicyRecord {
    std::string text;       // the TOML as it was set
    std::string references; // the reference values as JSON; empty: none are set
};

// One thing that was not as it should be.
struct Reason {
    std::string path;
    std::string what;     // in words: "content changed"
    std::string expected; // a digest, a mode; empty where there is none
    std::string found;

    friend bool operator==(const Reason&, const Reason&) = default;
};

struct VerdictRecord {
    protocol::TrustTier tier = protocol::TrustTier::none;
    std::uint64_t since_ms = 0;   // when the tier became this
    std::uint64_t checked_ms = 0; // when the last result came
    std::uint64_t due_ms = 0;     // after it, the node is overdue
    Digest policy{};
    std::array<std::int8_t, 8> vector{};
    protocol::sgx::Platform platform = protocol::sgx::Platform::process;
    protocol::sgx::RootKind root = protocol::sgx::RootKind::file;
    bool debug = false; // the witness is a debug enclave
    Digest witness_mrenclave{};
    std::vector<Reason> reasons;
    std::vector<protocol::CurveKeyClaim> keys;
};

class TrustStore {
  public:
    // Makes the database. Fails: conflict (it is there), and what the disk says.
    static Outcome<TrustStore> create(const std::filesystem::path& path);
    // Fails: missing, malformed (no database of ours, or of a later version: it is left as it is).
    static Outcome<TrustStore> open(const std::filesystem::path& path);
    TrustStore(TrustStore&&) noexcept;
    TrustStore& operator=(TrustStore&&) noexcept;
    ~TrustStore();

    // Invitations are kept as the SHA-256 of their token.
    Done add_invitation(const Digest& token_sha256, const std::string& node, std::uint64_t expires_ms);
    // Uses the invitation up and stores the node, in one transaction; an earlier node of that name is replaced.
    // `enrol` gets the invited name and returns the record. Fails: forbidden (no such token, used, or too old).
    Outcome<NodeRecord> enrol(const Digest& token_sha256, std::uint64_t now_ms,
                              const std::function<Outcome<NodeRecord>(const std::string& name)>& make);

    Outcome<std::vector<NodeRecord>> nodes();
    // The root a node enrolled with; an enrolment without one removes it.
    Done set_root(const std::string& node, const std::optional<RootRecord>& root);
    Outcome<std::optional<RootRecord>> root(const std::string& node);
    // The same for a CPU.
    Done set_cpu(const std::string& node, const std::optional<CpuRecord>& cpu);
    Outcome<std::optional<CpuRecord>> cpu(const std::string& node);
    Outcome<std::optional<NodeRecord>> node_by_spki(const Digest& spki_sha256);
    Outcome<bool> knows_node(const std::string& name); // enrolled or invited

    Done set_policy(const std::string& node, const std::string& text);
    Done set_references(const std::string& node, const std::string& json);
    Outcome<std::optional<PolicyRecord>> policy(const std::string& node);

    // Stores the verdict with its history, and whose the keys are. A key that is another node's stays so and is left
    // out here; the names of those are returned.
    Outcome<std::vector<protocol::CurveKey>> set_verdict(const std::string& node, const VerdictRecord& verdict);
    Outcome<std::optional<VerdictRecord>> verdict(const std::string& node);
    Outcome<std::optional<std::string>> owner_of(const protocol::CurveKey& key);

  private:
    struct Inside;
    explicit TrustStore(std::unique_ptr<Inside> inside) noexcept;
    std::unique_ptr<Inside> inside_;
};

} // namespace caisson::host::store
