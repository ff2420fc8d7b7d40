// The operator's side of a signed access list: his signing key on disk, and the list as a file.
#pragma once

#include "host/fault.hpp"
#include "protocol/access_list.hpp"

#include <filesystem>
#include <vector>

namespace caisson::host::store {

struct AccessSigner {
    protocol::SigningKey secret;
    protocol::VerifyingKey key;
};

// Makes a signing key and stores it, readable by its owner alone. Fails: conflict (there is one).
[[nodiscard]] Done make_access_signer(const std::filesystem::path& path);

// Also of the attestation server's signing key, which has the same form. Fails: missing, forbidden, malformed.
[[nodiscard]] Outcome<AccessSigner> load_access_signer(const std::filesystem::path& path);

// `given` is 64 hexadecimal digits, or a file that holds them. `option` names it in errors. Fails: missing, malformed.
[[nodiscard]] Outcome<protocol::VerifyingKey> read_verifying_key(const std::string& given, const std::string& option);

struct AccessFacts {
    std::uint64_t serial = 0;
    std::uint64_t issued_ms = 0;
    std::uint64_t expires_ms = 0; // 0: never
    std::vector<protocol::CurveKey> keys;
};

// Signs the keys, in whatever order they come, and stores the list; one that is there is replaced.
// Fails: exhausted (too many keys), and what the disk says.
[[nodiscard]] Done sign_access_file(const std::filesystem::path& path, const AccessSigner& signer, AccessFacts facts);

// The octets of a signed list, for a chamber, which judges them. Fails: missing, malformed (too large).
[[nodiscard]] Outcome<std::vector<std::uint8_t>> load_access_file(const std::filesystem::path& path);

// Fails: missing, malformed, unauthentic.
[[nodiscard]] Outcome<AccessFacts> read_access_file(const std::filesystem::path& path,
                                                    const protocol::VerifyingKey& signer);

} // namespace caisson::host::store
