// How a running gateway is watched: a unix socket for `caisson top`, and an address for Prometheus. Both speak as much
// HTTP as it takes to ask: GET /metrics, /sessions (JSON) and /sessions.tsv. Reads nothing else, changes nothing.
#pragma once

#include "host/enclave/platform_text.hpp"
#include "services/gateway/config.hpp"
#include "services/gateway/loop.hpp"
#include "services/gateway/metrics.hpp"
#include "services/gateway/stream.hpp"

#include <chrono>
#include <filesystem>
#include <list>
#include <memory>
#include <vector>

namespace caisson::services::gateway {

struct SessionFacts {
    std::string listener;
    std::string peer;
    std::string key; // Z85; empty while unknown
    std::string trust;
    std::string user;
    std::string stage;
    std::uint64_t age_ms = 0;
    Traffic traffic;
    std::string lists; // as RouteFacts
};

struct RouteFacts {
    std::string name;
    bool serves = true;
    bool is_protected = true;
    bool gated = false;
    RouteMetrics metrics; // with the traffic of live links
    std::string lists;    // who enforces who may come: chamber, host, chamber+host, none
};

struct Observation {
    host::enclave::Guard chamber;
    std::vector<RouteFacts> routes;
    std::vector<SessionFacts> sessions;
    std::uint64_t chamber_restarts = 0;
};

[[nodiscard]] std::string metrics_text(const Observation& observation);
[[nodiscard]] std::string sessions_json(const Observation& observation);
[[nodiscard]] std::string sessions_tsv(const Observation& observation);

// The answer to one request; nothing while it is incomplete.
[[nodiscard]] std::optional<std::string> answer_http(std::string_view request, const Observation& observation);

class Observed {
  public:
    [[nodiscard]] virtual Observation observe() const = 0;

  protected:
    ~Observed() = default;
};

class Control {
  public:
    Control(const Loop& loop, const Observed& observed);
    ~Control();
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    host::Done open(const std::filesystem::path& home, const std::optional<Endpoint>& metrics);
    void on_tick(std::chrono::steady_clock::time_point now);

  private:
    struct Asker;
    struct Door;

    const Loop& loop_;
    const Observed& observed_;
    std::list<Door> doors_;
    std::list<Asker> askers_;
};

} // namespace caisson::services::gateway
