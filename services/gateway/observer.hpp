// The asking end of Control: what the running gateways of a home say of themselves.
#pragma once

#include "host/fault.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace caisson::services::gateway {

struct GatewayAnswer {
    std::string pid;
    std::string body;
};

// Of every gateway that runs with this home, in the order of their pids; sockets that nobody serves are passed over.
// Fails: missing (no gateway runs), malformed (an answer that is none).
[[nodiscard]] host::Outcome<std::vector<GatewayAnswer>> ask_gateways(const std::filesystem::path& home,
                                                                     const std::string& path);

// The body of an HTTP answer. Fails: malformed (none, or not 200).
[[nodiscard]] host::Outcome<std::string> read_http_answer(const std::string& answer);

} // namespace caisson::services::gateway
