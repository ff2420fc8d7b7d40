#include "host/store/trust_store.hpp"

#include "core/wire.hpp"
#include "host/store/sqlite.hpp"

#include <sys/stat.h>

#include <mutex>

namespace caisson::host::store {
namespace {

constexpr std::uint64_t schema_version = 1;

constexpr const char* schema[] = {
    "CREATE TABLE about(version INTEGER NOT NULL)",
    "CREATE TABLE invitations(token BLOB PRIMARY KEY, node TEXT NOT NULL, expires_ms INTEGER NOT NULL,"
    " used INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE nodes(name TEXT PRIMARY KEY, witness_key BLOB NOT NULL UNIQUE, spki BLOB NOT NULL UNIQUE,"
    " enrolled_ms INTEGER NOT NULL)",
    "CREATE TABLE policies(node TEXT PRIMARY KEY, text TEXT NOT NULL DEFAULT '', refs TEXT NOT NULL DEFAULT '')",
    "CREATE TABLE verdicts(id INTEGER PRIMARY KEY, node TEXT NOT NULL, tier INTEGER NOT NULL,"
    " since_ms INTEGER NOT NULL, checked_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, policy BLOB NOT NULL,"
    " vector BLOB NOT NULL, platform INTEGER NOT NULL, root INTEGER NOT NULL, mrenclave BLOB NOT NULL)",
    "CREATE INDEX verdicts_by_node ON verdicts(node, id)",
    "CREATE TABLE reasons(verdict INTEGER NOT NULL REFERENCES verdicts(id) ON DELETE CASCADE, path TEXT NOT NULL,"
    " what TEXT NOT NULL, expected TEXT NOT NULL, found TEXT NOT NULL)",
    "CREATE INDEX reasons_by_verdict ON reasons(verdict)",
    "CREATE TABLE curve_keys(key BLOB PRIMARY KEY, node TEXT NOT NULL, claim BLOB NOT NULL)",
    "INSERT INTO about VALUES(1)",
};

// Added by a later program: made when a database without it is opened.
constexpr const char* roots_table =
    "CREATE TABLE IF NOT EXISTS roots(node TEXT PRIMARY KEY, ak BLOB NOT NULL, tpm TEXT NOT NULL,"
    " endorsed INTEGER NOT NULL, simulated INTEGER NOT NULL, checked_ms INTEGER NOT NULL, pcr_mask INTEGER NOT NULL,"
    " pcrs BLOB NOT NULL, images BLOB NOT NULL)";

constexpr const char* cpus_table =
    "CREATE TABLE IF NOT EXISTS cpus(node TEXT PRIMARY KEY, text TEXT NOT NULL, status TEXT NOT NULL,"
    " simulated INTEGER NOT NULL, checked_ms INTEGER NOT NULL)";

Done add_later_parts(Database& database)
{
    TRY(database.run(roots_table));
    TRY(database.run(cpus_table));
    bool has_debug = false;
    TRY(database.run("SELECT 1 FROM pragma_table_info('verdicts') WHERE name = 'debug'", {},
                     [&has_debug](const Row& /*row*/) { has_debug = true; }));
    return has_debug ? Done{} : database.run("ALTER TABLE verdicts ADD COLUMN debug INTEGER NOT NULL DEFAULT 0");
}

// A claim as it lies in the database; the key is the row's own.
constexpr std::size_t claim_bytes = 32 + 32 + 2 + 2 + 1 + 1 + 1;

ByteArray<claim_bytes> encoded(const protocol::CurveKeyClaim& claim)
{
    ByteArray<claim_bytes> out{};
    Writer writer(out);
    writer.write_bytes(claim.mrenclave);
    writer.write_bytes(claim.mrsigner);
    writer.write_le(claim.product);
    writer.write_le(claim.svn);
    writer.write_le(static_cast<std::uint8_t>(claim.debug));
    writer.write_le(static_cast<std::uint8_t>(claim.platform));
    writer.write_le(static_cast<std::uint8_t>(claim.root));
    return out;
}

Result<protocol::CurveKeyClaim> decoded(Bytes bytes)
{
    Reader reader(bytes);
    protocol::CurveKeyClaim claim;
    claim.mrenclave = TRY(reader.read_array<32>());
    claim.mrsigner = TRY(reader.read_array<32>());
    claim.product = TRY(reader.read_le<std::uint16_t>());
    claim.svn = TRY(reader.read_le<std::uint16_t>());
    claim.debug = TRY(reader.read_le<std::uint8_t>()) != 0;
    claim.platform = static_cast<protocol::sgx::Platform>(TRY(reader.read_le<std::uint8_t>()));
    claim.root = static_cast<protocol::sgx::RootKind>(TRY(reader.read_le<std::uint8_t>()));
    TRY(reader.finish());
    return claim;
}

NodeRecord node_of(const Row& row)
{
    NodeRecord node;
    node.name = row.text(0);
    row.read_to(1, node.witness_key.bytes);
    row.read_to(2, node.spki_sha256);
    node.enrolled_ms = row.number(3);
    return node;
}

VerdictRecord verdict_of(const Row& row)
{
    VerdictRecord verdict;
    verdict.tier = static_cast<protocol::TrustTier>(row.number(1));
    verdict.since_ms = row.number(2);
    verdict.checked_ms = row.number(3);
    verdict.due_ms = row.number(4);
    row.read_to(5, verdict.policy);
    row.read_to(6, {reinterpret_cast<std::uint8_t*>(verdict.vector.data()), verdict.vector.size()});
    verdict.platform = static_cast<protocol::sgx::Platform>(row.number(7));
    verdict.root = static_cast<protocol::sgx::RootKind>(row.number(8));
    row.read_to(9, verdict.witness_mrenclave);
    verdict.debug = row.number(10) != 0;
    return verdict;
}

} // namespace

struct TrustStore::Inside {
    Database database;
    std::mutex mutex;

    explicit Inside(Database opened)
        : database(std::move(opened))
    {
    }
    Done store_keys(const std::string& node, const VerdictRecord& verdict, std::vector<protocol::CurveKey>& refused);
};

TrustStore::TrustStore(std::unique_ptr<Inside> inside) noexcept
    : inside_(std::move(inside))
{
}
TrustStore::TrustStore(TrustStore&&) noexcept = default;
TrustStore& TrustStore::operator=(TrustStore&&) noexcept = default;
TrustStore::~TrustStore() = default;

Outcome<TrustStore> TrustStore::create(const std::filesystem::path& path)
{
    auto database = TRY(Database::open(path, true));
    ::chmod(path.c_str(), 0600);
    const auto work = [&database]() -> Done {
        for (const char* statement : schema) {
            TRY(database.run(statement));
        }
        return add_later_parts(database);
    };
    TRY(database.transaction(work));
    return TrustStore(std::make_unique<Inside>(std::move(database)));
}

Outcome<TrustStore> TrustStore::open(const std::filesystem::path& path)
{
    auto database = TRY(Database::open(path, false));
    std::uint64_t version = 0;
    TRY(database.run("SELECT version FROM about", {}, [&version](const Row& row) { version = row.number(0); }));
    if (version != schema_version) {
        return fault(Kind::malformed, path.string() + ": is of version " + std::to_string(version) +
                                          ", this program knows version " + std::to_string(schema_version) +
                                          "; use the program that made it");
    }
    TRY(database.transaction([&database] { return add_later_parts(database); }));
    return TrustStore(std::make_unique<Inside>(std::move(database)));
}

Done TrustStore::add_invitation(const Digest& token_sha256, const std::string& node, std::uint64_t expires_ms)
{
    const std::scoped_lock lock(inside_->mutex);
    return inside_->database.run("INSERT INTO invitations(token, node, expires_ms) VALUES(?, ?, ?)",
                                 {token_sha256, node, expires_ms});
}

Outcome<NodeRecord> TrustStore::enrol(const Digest& token_sha256, std::uint64_t now_ms,
                                      const std::function<Outcome<NodeRecord>(const std::string& name)>& make)
{
    const std::scoped_lock lock(inside_->mutex);
    auto& database = inside_->database;
    NodeRecord record;
    const auto work = [&]() -> Done {
        std::string name;
        TRY(database.run("SELECT node FROM invitations WHERE token = ? AND used = 0 AND expires_ms > ?",
                         {token_sha256, now_ms}, [&name](const Row& row) { name = row.text(0); }));
        if (name.empty()) {
            return fault(Kind::forbidden, "the invitation is unknown, used or too old; ask for a new one");
        }
        record = TRY(make(name));
        TRY(database.run("UPDATE invitations SET used = 1 WHERE token = ?", {token_sha256}));
        TRY(database.run("DELETE FROM curve_keys WHERE node = ?", {name}));
        TRY(database.run("DELETE FROM verdicts WHERE node = ?", {name}));
        return database.run("INSERT OR REPLACE INTO nodes VALUES(?, ?, ?, ?)",
                            {record.name, record.witness_key.bytes, record.spki_sha256, record.enrolled_ms});
    };
    TRY(database.transaction(work));
    return record;
}

Outcome<std::vector<NodeRecord>> TrustStore::nodes()
{
    const std::scoped_lock lock(inside_->mutex);
    std::vector<NodeRecord> nodes;
    TRY(inside_->database.run("SELECT name, witness_key, spki, enrolled_ms FROM nodes ORDER BY name", {},
                              [&nodes](const Row& row) { nodes.push_back(node_of(row)); }));
    return nodes;
}

Done TrustStore::set_root(const std::string& node, const std::optional<RootRecord>& root)
{
    const std::scoped_lock lock(inside_->mutex);
    if (!root) {
        return inside_->database.run("DELETE FROM roots WHERE node = ?", {node});
    }
    return inside_->database.run("INSERT OR REPLACE INTO roots VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                 {node, Bytes(root->ak_public), root->tpm, std::uint64_t{root->endorsed},
                                  std::uint64_t{root->simulated}, root->checked_ms, std::uint64_t{root->pcr_mask},
                                  Bytes(root->pcrs), Bytes(root->images)});
}

Outcome<std::optional<RootRecord>> TrustStore::root(const std::string& node)
{
    const std::scoped_lock lock(inside_->mutex);
    std::optional<RootRecord> root;
    TRY(inside_->database.run("SELECT ak, tpm, endorsed, simulated, checked_ms, pcr_mask, pcrs, images FROM roots"
                              " WHERE node = ?",
                              {node}, [&](const Row& row) {
                                  root = RootRecord{row.bytes(0),       row.text(1),
                                                    row.number(2) != 0, row.number(3) != 0,
                                                    row.number(4),      static_cast<std::uint32_t>(row.number(5)),
                                                    row.bytes(6),       row.bytes(7)};
                              }));
    return root;
}

Done TrustStore::set_cpu(const std::string& node, const std::optional<CpuRecord>& cpu)
{
    const std::scoped_lock lock(inside_->mutex);
    if (!cpu) {
        return inside_->database.run("DELETE FROM cpus WHERE node = ?", {node});
    }
    return inside_->database.run("INSERT OR REPLACE INTO cpus VALUES(?, ?, ?, ?, ?)",
                                 {node, cpu->text, cpu->status, std::uint64_t{cpu->simulated}, cpu->checked_ms});
}

Outcome<std::optional<CpuRecord>> TrustStore::cpu(const std::string& node)
{
    const std::scoped_lock lock(inside_->mutex);
    std::optional<CpuRecord> cpu;
    TRY(inside_->database.run(
        "SELECT text, status, simulated, checked_ms FROM cpus WHERE node = ?", {node},
        [&cpu](const Row& row) { cpu = CpuRecord{row.text(0), row.text(1), row.number(2) != 0, row.number(3)}; }));
    return cpu;
}

Outcome<std::optional<NodeRecord>> TrustStore::node_by_spki(const Digest& spki_sha256)
{
    const std::scoped_lock lock(inside_->mutex);
    std::optional<NodeRecord> node;
    TRY(inside_->database.run("SELECT name, witness_key, spki, enrolled_ms FROM nodes WHERE spki = ?", {spki_sha256},
                              [&node](const Row& row) { node = node_of(row); }));
    return node;
}

Outcome<bool> TrustStore::knows_node(const std::string& name)
{
    const std::scoped_lock lock(inside_->mutex);
    bool known = false;
    TRY(inside_->database.run("SELECT 1 FROM nodes WHERE name = ? UNION SELECT 1 FROM invitations WHERE node = ?",
                              {name, name}, [&known](const Row& /*row*/) { known = true; }));
    return known;
}

Done TrustStore::set_policy(const std::string& node, const std::string& text)
{
    const std::scoped_lock lock(inside_->mutex);
    return inside_->database.run("INSERT INTO policies(node, text) VALUES(?, ?)"
                                 " ON CONFLICT(node) DO UPDATE SET text = excluded.text",
                                 {node, text});
}

Done TrustStore::set_references(const std::string& node, const std::string& json)
{
    const std::scoped_lock lock(inside_->mutex);
    return inside_->database.run("INSERT INTO policies(node, refs) VALUES(?, ?)"
                                 " ON CONFLICT(node) DO UPDATE SET refs = excluded.refs",
                                 {node, json});
}

Outcome<std::optional<PolicyRecord>> TrustStore::policy(const std::string& node)
{
    const std::scoped_lock lock(inside_->mutex);
    std::optional<PolicyRecord> policy;
    TRY(inside_->database.run("SELECT text, refs FROM policies WHERE node = ?", {node},
                              [&policy](const Row& row) { policy = PolicyRecord{row.text(0), row.text(1)}; }));
    if (policy && policy->text.empty()) {
        return std::optional<PolicyRecord>();
    }
    return policy;
}

Done TrustStore::Inside::store_keys(const std::string& node, const VerdictRecord& verdict,
                                    std::vector<protocol::CurveKey>& refused)
{
    TRY(database.run("DELETE FROM curve_keys WHERE node = ?", {node}));
    for (const auto& claim : verdict.keys) {
        std::string owner;
        TRY(database.run("SELECT node FROM curve_keys WHERE key = ?", {claim.key.bytes},
                         [&owner](const Row& row) { owner = row.text(0); }));
        if (!owner.empty()) {
            refused.push_back(claim.key);
            continue;
        }
        TRY(database.run("INSERT INTO curve_keys VALUES(?, ?, ?)", {claim.key.bytes, node, encoded(claim)}));
    }
    return {};
}

Outcome<std::vector<protocol::CurveKey>> TrustStore::set_verdict(const std::string& node, const VerdictRecord& verdict)
{
    const std::scoped_lock lock(inside_->mutex);
    auto& database = inside_->database;
    std::vector<protocol::CurveKey> refused;
    const auto work = [&]() -> Done {
        const Bytes vector(reinterpret_cast<const std::uint8_t*>(verdict.vector.data()), verdict.vector.size());
        TRY(database.run("INSERT INTO verdicts(node, tier, since_ms, checked_ms, due_ms, policy, vector, platform,"
                         " root, mrenclave, debug) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         {node, static_cast<std::uint64_t>(verdict.tier), verdict.since_ms, verdict.checked_ms,
                          verdict.due_ms, verdict.policy, vector, static_cast<std::uint64_t>(verdict.platform),
                          static_cast<std::uint64_t>(verdict.root), verdict.witness_mrenclave,
                          std::uint64_t{verdict.debug}}));
        std::uint64_t id = 0;
        TRY(database.run("SELECT last_insert_rowid()", {}, [&id](const Row& row) { id = row.number(0); }));
        for (const auto& reason : verdict.reasons) {
            TRY(database.run("INSERT INTO reasons VALUES(?, ?, ?, ?, ?)",
                             {id, reason.path, reason.what, reason.expected, reason.found}));
        }
        return inside_->store_keys(node, verdict, refused);
    };
    TRY(database.transaction(work));
    return refused;
}

Outcome<std::optional<VerdictRecord>> TrustStore::verdict(const std::string& node)
{
    const std::scoped_lock lock(inside_->mutex);
    auto& database = inside_->database;
    std::optional<VerdictRecord> verdict;
    std::uint64_t id = 0;
    TRY(database.run("SELECT id, tier, since_ms, checked_ms, due_ms, policy, vector, platform, root, mrenclave,"
                     " debug FROM verdicts WHERE node = ? ORDER BY id DESC LIMIT 1",
                     {node}, [&](const Row& row) {
                         id = row.number(0);
                         verdict = verdict_of(row);
                     }));
    if (!verdict) {
        return verdict;
    }
    TRY(database.run("SELECT path, what, expected, found FROM reasons WHERE verdict = ?", {id}, [&](const Row& row) {
        verdict->reasons.push_back({row.text(0), row.text(1), row.text(2), row.text(3)});
    }));
    TRY(database.run("SELECT key, claim FROM curve_keys WHERE node = ? ORDER BY key", {node}, [&](const Row& row) {
        if (auto claim = decoded(row.bytes(1)); claim) {
            row.read_to(0, claim->key.bytes);
            verdict->keys.push_back(*claim);
        }
    }));
    return verdict;
}

Outcome<std::optional<std::string>> TrustStore::owner_of(const protocol::CurveKey& key)
{
    const std::scoped_lock lock(inside_->mutex);
    std::optional<std::string> owner;
    TRY(inside_->database.run("SELECT node FROM curve_keys WHERE key = ?", {key.bytes},
                              [&owner](const Row& row) { owner = row.text(0); }));
    return owner;
}

} // namespace caisson::host::store
