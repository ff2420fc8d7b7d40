#include "services/gateway/control.hpp"

#include "host/store/durable_file.hpp"
#include "services/gateway/gateway.hpp"

#include <unistd.h>

namespace caisson::services::gateway {
namespace {

using host::enclave::guard_text;
using host::enclave::platform_name;
using host::enclave::root_name;

constexpr std::size_t request_bytes_max = 4096;
constexpr std::size_t askers_max = 16;
constexpr std::chrono::seconds asker_time{10};

std::string json_text(std::string_view text)
{
    std::string out = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') {
            out += '\\';
        }
        const auto octet = static_cast<unsigned char>(letter);
        out += octet < 0x20 || octet >= 0x7f ? '?' : letter;
    }
    return out + "\"";
}

std::string plain(std::string_view text)
{
    std::string out;
    for (const char letter : text) {
        const auto octet = static_cast<unsigned char>(letter);
        out += octet <= 0x20 || octet >= 0x7f ? '?' : letter;
    }
    return out.empty() ? "-" : out;
}

void add_family(std::string& out, const std::string& name, const char* type, const char* help)
{
    out += "# HELP caisson_gateway_" + name + " " + help + "\n# TYPE caisson_gateway_" + name + " " + type + "\n";
}

std::string labels_of(const RouteFacts& route, const std::string& more = {})
{
    return "{listener=" + json_text(route.name) + more + "} ";
}

template <typename Value>
void add_values(std::string& out, const Observation& observation, const std::string& name, Value value)
{
    for (const auto& route : observation.routes) {
        out += "caisson_gateway_" + name + labels_of(route) + std::to_string(value(route)) + "\n";
    }
}

std::string traffic_json(const Traffic& traffic)
{
    return "\"messages_in\":" + std::to_string(traffic.messages_in) +
           ",\"messages_out\":" + std::to_string(traffic.messages_out) +
           ",\"bytes_in\":" + std::to_string(traffic.bytes_in) + ",\"bytes_out\":" + std::to_string(traffic.bytes_out);
}

std::string response(const char* status, const char* type, const std::string& body)
{
    return std::string("HTTP/1.0 ") + status + "\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
}

} // namespace

// [GATE-31]
std::string metrics_text(const Observation& observation)
{
    std::string out;
    add_family(out, "connections_accepted_total", "counter", "Connections taken in.");
    add_values(out, observation, "connections_accepted_total", [](const auto& r) { return r.metrics.accepted; });
    add_family(out, "sessions_opened_total", "counter", "Handshakes that came to an open session.");
    add_values(out, observation, "sessions_opened_total", [](const auto& r) { return r.metrics.opened; });
    add_family(out, "sessions_open", "gauge", "Open sessions now.");
    add_values(out, observation, "sessions_open", [](const auto& r) { return r.metrics.open; });
    add_family(out, "handshakes", "gauge", "Handshakes under way now.");
    add_values(out, observation, "handshakes", [](const auto& r) { return r.metrics.handshaking; });
    add_family(out, "messages_in_total", "counter", "Messages from outside.");
    add_values(out, observation, "messages_in_total", [](const auto& r) { return r.metrics.traffic.messages_in; });
    add_family(out, "messages_out_total", "counter", "Messages to outside.");
    add_values(out, observation, "messages_out_total", [](const auto& r) { return r.metrics.traffic.messages_out; });
    add_family(out, "bytes_in_total", "counter", "Octets of messages from outside.");
    add_values(out, observation, "bytes_in_total", [](const auto& r) { return r.metrics.traffic.bytes_in; });
    add_family(out, "bytes_out_total", "counter", "Octets of messages to outside.");
    add_values(out, observation, "bytes_out_total", [](const auto& r) { return r.metrics.traffic.bytes_out; });
    add_family(out, "unprotected", "gauge", "1: PLAIN or NULL, nothing is encrypted.");
    add_values(out, observation, "unprotected", [](const auto& r) { return r.is_protected ? 0 : 1; });
    add_family(out, "chamber_info", "gauge", "What guards the chamber, and what its root is.");
    out += std::string("caisson_gateway_chamber_info{platform=") +
           json_text(platform_name(observation.chamber.platform)) +
           ",root=" + json_text(root_name(observation.chamber.root)) +
           ",debug=" + (observation.chamber.debug ? "\"true\"" : "\"false\"") + "} 1\n";
    add_family(out, "chamber_restarts_total", "counter", "How often the chamber had ended and was started anew.");
    out += "caisson_gateway_chamber_restarts_total " + std::to_string(observation.chamber_restarts) + "\n";
    add_family(out, "ended_total", "counter", "Connections that ended or were refused, by reason.");
    for (const auto& route : observation.routes) {
        for (std::size_t reason = 0; reason < reason_count; ++reason) {
            out += "caisson_gateway_ended_total" +
                   labels_of(route, ",reason=" + json_text(reason_name(static_cast<Reason>(reason)))) +
                   std::to_string(route.metrics.ended[reason]) + "\n";
        }
    }
    return out;
}

std::string sessions_json(const Observation& observation)
{
    std::string out = "{\"chamber\":{\"platform\":" + json_text(platform_name(observation.chamber.platform)) +
                      ",\"root\":" + json_text(root_name(observation.chamber.root)) +
                      ",\"debug\":" + (observation.chamber.debug ? "true" : "false") + "},\"listeners\":[";
    const char* separator = "";
    for (const auto& route : observation.routes) {
        out += separator + ("{\"name\":" + json_text(route.name)) +
               ",\"side\":" + (route.serves ? "\"server\"" : "\"client\"") +
               ",\"protected\":" + (route.is_protected ? "true" : "false") +
               ",\"gated\":" + (route.gated ? "true" : "false") + ",\"lists\":" + json_text(route.lists) +
               ",\"open\":" + std::to_string(route.metrics.open) +
               ",\"handshakes\":" + std::to_string(route.metrics.handshaking) + "," +
               traffic_json(route.metrics.traffic) + "}";
        separator = ",";
    }
    out += "],\"sessions\":[";
    separator = "";
    for (const auto& session : observation.sessions) {
        out += separator + ("{\"listener\":" + json_text(session.listener)) + ",\"peer\":" + json_text(session.peer) +
               ",\"key\":" + json_text(session.key) + ",\"trust\":" + json_text(session.trust) +
               ",\"user\":" + json_text(session.user) + ",\"stage\":" + json_text(session.stage) +
               ",\"lists\":" + json_text(session.lists) + ",\"age_ms\":" + std::to_string(session.age_ms) + "," +
               traffic_json(session.traffic) + "}";
        separator = ",";
    }
    return out + "]}";
}

// The first line is for people.
std::string sessions_tsv(const Observation& observation)
{
    std::string out = "# " + guard_text(observation.chamber) + "\n";
    for (const auto& session : observation.sessions) {
        for (const auto& field :
             {session.listener, session.peer, session.key, session.trust, session.user, session.stage, session.lists}) {
            out += plain(field) + "\t";
        }
        const auto& traffic = session.traffic;
        for (const auto number : {session.age_ms, traffic.messages_in, traffic.messages_out, traffic.bytes_in}) {
            out += std::to_string(number) + "\t";
        }
        out += std::to_string(traffic.bytes_out) + "\n";
    }
    return out;
}

std::optional<std::string> answer_http(std::string_view request, const Observation& observation)
{
    const auto end = request.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        return request.size() < request_bytes_max
                   ? std::nullopt
                   : std::optional(response("400 Bad Request", "text/plain", "too long\n"));
    }
    const auto line = request.substr(0, request.find("\r\n"));
    if (!line.starts_with("GET ")) {
        return response("405 Method Not Allowed", "text/plain", "only GET\n");
    }
    const auto path = line.substr(4, line.find(' ', 4) - 4);
    if (path == "/metrics") {
        return response("200 OK", "text/plain; version=0.0.4", metrics_text(observation));
    }
    if (path == "/sessions") {
        return response("200 OK", "application/json", sessions_json(observation));
    }
    if (path == "/sessions.tsv") {
        return response("200 OK", "text/tab-separated-values", sessions_tsv(observation));
    }
    return response("404 Not Found", "text/plain", "there are /metrics, /sessions and /sessions.tsv\n");
}

// Somebody who asks, once.
struct Control::Asker final : Watcher {
    Asker(Control& a_control, Stream a_stream)
        : control(a_control)
        , stream(std::move(a_stream))
    {
    }
    void on_ready(bool readable, bool writable) override
    {
        if (done) {
            return;
        }
        bool sound = !readable || answered || (stream.read_some() && stream.input().size() <= 2 * request_bytes_max);
        if (sound && readable && !answered) {
            const auto request = text_of(stream.input());
            const bool whole =
                request.find("\r\n\r\n") != std::string_view::npos || request.size() >= request_bytes_max;
            const auto answer = whole ? answer_http(request, control.observed_.observe()) : std::nullopt;
            if (answer) {
                stream.write(bytes_of(*answer));
                answered = true;
            }
        }
        sound = sound && (!(writable || answered) || stream.flush());
        done = !sound || (answered && stream.output_bytes() == 0);
        if (done) {
            stream.close();
        } else {
            control.loop_.watch(stream.descriptor(), *this, wish, !answered, stream.output_bytes() > 0);
        }
    }

    Control& control; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    Stream stream;
    Loop::Wish wish;
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    bool answered = false;
    bool done = false;
};

struct Control::Door final : Watcher {
    Door(Control& a_control, ListeningSocket a_socket)
        : control(a_control)
        , socket(std::move(a_socket))
    {
    }
    void on_ready(bool /*readable*/, bool /*writable*/) override
    {
        auto accepted = socket.accept();
        if (!accepted || control.askers_.size() >= askers_max) {
            return;
        }
        auto& asker = control.askers_.emplace_back(control, std::move(accepted->stream));
        control.loop_.watch(asker.stream.descriptor(), asker, asker.wish, true, false);
    }

    Control& control; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    ListeningSocket socket;
    Loop::Wish wish;
};

Control::Control(const Loop& loop, const Observed& observed)
    : loop_(loop)
    , observed_(observed)
{
}

Control::~Control() = default;

// [GATE-30] The folder is the owner's alone, and so is who may watch.
host::Done Control::open(const std::filesystem::path& home, const std::optional<Endpoint>& metrics)
{
    const auto folder = control_folder(home);
    TRY(host::store::make_folder(folder, 0700));
    const auto path = folder / (std::to_string(::getpid()) + ".sock");
    doors_.emplace_back(*this, TRY(ListeningSocket::open({Endpoint::Transport::ipc, {}, {}, path.string()})));
    if (metrics) {
        doors_.emplace_back(*this, TRY(ListeningSocket::open(*metrics)));
    }
    for (auto& door : doors_) {
        loop_.watch(door.socket.descriptor(), door, door.wish, true, false);
    }
    return {};
}

void Control::on_tick(std::chrono::steady_clock::time_point now)
{
    askers_.remove_if([now](const Asker& asker) { return asker.done || now - asker.since > asker_time; });
}

} // namespace caisson::services::gateway
