// KeyStore: the CURVE keys of a home, one file each, HOME/keys/NAME.json. Nothing in a file is secret that is not
// sealed for the curve chamber of this machine.
#pragma once

#include "core/bytes.hpp"
#include "host/fault.hpp"
#include "protocol/attestation_result.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace caisson::host::store {

struct KeyHandleTag;
using KeyHandle = Named<32, KeyHandleTag>; // stands where a program expects the secret key
struct VerifierKeyTag;
using VerifierKey = Named<32, VerifierKeyTag>; // Ed25519: the attestation server that gates the key

inline constexpr std::size_t key_name_bytes_max = 64;
inline constexpr std::size_t sealed_key_bytes_max = 1024;
inline constexpr std::size_t key_file_bytes_max = std::size_t{16} << 10U;

struct KeyRecord {
    std::string name;
    protocol::CurveKey public_key;
    KeyHandle handle;
    bool gated = false; // admits only peers that the server of `verifier_key` trusts
    VerifierKey verifier_key;
    bool listed = false; // talks only with those whom a list signed by `list_key` names
    VerifierKey list_key;
    std::vector<std::uint8_t> sealed;

    friend bool operator==(const KeyRecord&, const KeyRecord&) = default;
};

// Letters a-z, digits, '.', '_' and '-'; at most key_name_bytes_max; the first a letter or digit, so that a name is
// neither a hidden file nor an option. Fails: malformed.
[[nodiscard]] Done check_key_name(std::string_view name);

// The text of a key file, and back. `where` names the file in errors. Fails: malformed.
[[nodiscard]] std::string key_record_text(const KeyRecord& record);
[[nodiscard]] Outcome<KeyRecord> read_key_record(std::string_view text, const std::string& where);

class KeyStore {
  public:
    explicit KeyStore(const std::filesystem::path& home);

    // Fails: conflict (there is a key of that name), malformed (the name). Before work that `store` would refuse.
    [[nodiscard]] Done expect_free(std::string_view name) const;

    // Durable when it returns. Fails: conflict (there is a key of that name), malformed (the name), and what the disk
    // says.
    [[nodiscard]] Done store(const KeyRecord& record) const;

    // The same key sealed anew: takes the place of the record of that name. Durable when it returns.
    [[nodiscard]] Done replace(const KeyRecord& record) const;

    // Fails: missing, malformed (name or content), forbidden.
    [[nodiscard]] Outcome<KeyRecord> load(std::string_view name) const;

    // In the order of their names; none when the home does not exist yet. Files that are no key files are left alone.
    [[nodiscard]] Outcome<std::vector<std::string>> names() const;

    // Fails: missing, malformed (the name).
    [[nodiscard]] Done remove(std::string_view name) const;

    [[nodiscard]] std::filesystem::path path_of(std::string_view name) const;

  private:
    [[nodiscard]] std::unexpected<Fault> taken(std::string_view name) const;

    std::filesystem::path folder_;
};

} // namespace caisson::host::store
