// The operator's policy, TOML: what is measured on a node, how often, and how long a word about it holds.
//
//   version = 1
//   interval_ms = 2000            # between two measurements
//   hold_ms = 30000               # how long trust outlives silence
//   proc = ["cmdline", "modules"] # facts of /proc
//   root = "tpm"                  # what a node's root must be at least: "any", "software-tpm", "tpm" or "cpu"
//   platform = "process"          # what must guard its chambers at least: "any", "process" or "sgx"
//   debug = "refused"             # debug enclaves: "refused" or "allowed"
//   witness = ["0123..."]         # MRENCLAVEs a node's witness may have; left out: any
//   tcb = ["UpToDate"]            # which statuses of a CPU are accepted, in Intel's words
//   [[tree]]
//   path = "/srv/app"             # every entry below it
//   [[file]]
//   path = "/etc/app.conf"
#pragma once

#include "host/fault.hpp"
#include "protocol/measurement.hpp"

#include <string>
#include <vector>

namespace caisson::services::attestation {

struct PolicyEntry {
    protocol::PolicyItemKind kind = protocol::PolicyItemKind::tree;
    std::string name;
};

struct Policy {
    std::uint64_t interval_ms = 0;
    std::uint64_t hold_ms = 0;
    protocol::sgx::RootKind root = protocol::sgx::RootKind::file;       // at least; file: any
    protocol::sgx::Platform platform = protocol::sgx::Platform::inproc; // at least; inproc: any
    bool debug_allowed = false;
    std::vector<std::string> tcb{"UpToDate"};
    std::vector<Digest> witnesses; // their MRENCLAVEs; empty: any
    std::vector<PolicyEntry> entries;
};

// `where` names the file in errors, which say the line and what was expected. Fails: malformed.
[[nodiscard]] host::Outcome<Policy> parse_policy(const std::string& text, const std::string& where);

} // namespace caisson::services::attestation
