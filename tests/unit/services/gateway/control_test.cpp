// What a gateway tells those who watch it.
#include "services/gateway/control.hpp"

#include <gtest/gtest.h>

namespace caisson::services::gateway {
namespace {

Observation some()
{
    Observation observation;
    observation.chamber = {protocol::sgx::Platform::process, protocol::sgx::RootKind::file, false};
    RouteFacts route;
    route.name = "ticks\"\n";
    route.is_protected = false;
    route.metrics.opened = 3;
    route.metrics.ended[static_cast<std::size_t>(Reason::not_listed)] = 2;
    observation.routes.push_back(route);
    observation.sessions.push_back(
        {"ticks", "10.0.0.1:5", "KEY", "trusted", "a b", "open", 1500, {1, 2, 30, 40}, "chamber"});
    return observation;
}

bool has(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

TEST(ControlTest, metrics_are_prometheus_text_with_every_reason) // [GATE-31]
{
    const auto text = metrics_text(some());
    EXPECT_TRUE(has(text, "# TYPE caisson_gateway_sessions_opened_total counter\n"));
    EXPECT_TRUE(has(text, "caisson_gateway_sessions_opened_total{listener=\"ticks\\\"?\"} 3\n")) << text;
    EXPECT_TRUE(has(text, "reason=\"not_listed\"} 2\n"));
    EXPECT_TRUE(has(text, "caisson_gateway_unprotected{listener=\"ticks\\\"?\"} 1\n"));
    for (std::size_t reason = 0; reason < reason_count; ++reason) {
        const std::string name = reason_name(static_cast<Reason>(reason));
        EXPECT_NE(name, "unknown");
        EXPECT_TRUE(has(text, "reason=\"" + name + "\"}")) << name;
    }
}

TEST(ControlTest, platform_root_and_debug_are_in_every_answer) // [GATE-31]
{
    auto observation = some();
    observation.chamber = {protocol::sgx::Platform::process, protocol::sgx::RootKind::software_tpm, true};
    EXPECT_TRUE(has(metrics_text(observation),
                    "caisson_gateway_chamber_info{platform=\"process\",root=\"software-tpm\",debug=\"true\"} 1\n"));
    EXPECT_TRUE(has(sessions_json(observation),
                    "{\"chamber\":{\"platform\":\"process\",\"root\":\"software-tpm\",\"debug\":true},"));
    EXPECT_TRUE(has(sessions_tsv(observation), "a simulated TPM, no hardware trust), DEBUG: the host can read it\n"));
}

TEST(ControlTest, sessions_are_json_and_lines_without_a_way_out_of_their_field)
{
    EXPECT_TRUE(has(sessions_json(some()),
                    "\"key\":\"KEY\",\"trust\":\"trusted\",\"user\":\"a b\",\"stage\":\"open\",\"lists\":\"chamber\","
                    "\"age_ms\":1500,\"messages_in\":1,\"messages_out\":2,\"bytes_in\":30,"
                    "\"bytes_out\":40"));
    EXPECT_EQ(sessions_tsv(some()),
              "# platform process (a locked-down process that emulates SGX), root file (development "
              "root, no hardware trust)\nticks\t10.0.0.1:5\tKEY\ttrusted\ta?b\topen\tchamber\t1500\t1\t2\t30\t40\n");
}

TEST(ControlTest, a_request_is_answered_once_it_is_whole) // [GATE-30]
{
    EXPECT_FALSE(answer_http("GET /metrics HTTP/1.1\r\nHost: x\r\n", some()));
    EXPECT_TRUE(answer_http("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", some())->starts_with("HTTP/1.0 200 OK\r\n"));
    EXPECT_TRUE(answer_http("GET /sessions HTTP/1.0\r\n\r\n", some())->starts_with("HTTP/1.0 200 OK\r\n"));
}

TEST(ControlTest, other_paths_verbs_and_endless_requests_are_refused) // [GATE-30]
{
    EXPECT_TRUE(answer_http("GET /../etc/passwd HTTP/1.0\r\n\r\n", some())->starts_with("HTTP/1.0 404"));
    EXPECT_TRUE(answer_http("GET /metricsx HTTP/1.0\r\n\r\n", some())->starts_with("HTTP/1.0 404"));
    EXPECT_TRUE(answer_http("POST /metrics HTTP/1.0\r\n\r\n", some())->starts_with("HTTP/1.0 405"));
    EXPECT_TRUE(answer_http("\r\n\r\n", some())->starts_with("HTTP/1.0 405"));
    EXPECT_TRUE(answer_http(std::string(5000, 'a'), some())->starts_with("HTTP/1.0 400"));
}

} // namespace
} // namespace caisson::services::gateway
