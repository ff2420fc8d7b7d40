// Reference values (RFC 9334): what a node's measurements must be, as captured from a trusted machine. Kept as JSON.
#pragma once

#include "host/fault.hpp"
#include "protocol/measurement.hpp"
#include "services/attestation/policy_file.hpp"

#include <filesystem>
#include <map>
#include <string>

namespace caisson::services::attestation {

struct Reference {
    protocol::MeasuredType type = protocol::MeasuredType::file;
    std::uint32_t mode = 0;
    std::uint64_t size = 0;
    Digest digest{};
};

using References = std::map<std::string, Reference, std::less<>>; // by path; a fact by its name

// Measures this machine as a witness would. `root` stands before every path that is read, not before those that are
// written down: a mounted image can be captured. Fails: what reading says; exhausted (more than a witness measures).
[[nodiscard]] host::Outcome<References> capture_references(const Policy& policy, const std::filesystem::path& root);

[[nodiscard]] std::string write_references(const References& references);
// Fails: malformed.
[[nodiscard]] host::Outcome<References> parse_references(const std::string& json, const std::string& where);

const char* type_name(protocol::MeasuredType type) noexcept;

} // namespace caisson::services::attestation
