#include "services/attestation/run.hpp"

#include "host/net/tls_server.hpp"
#include "host/text.hpp"
#include "services/attestation/service.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>

namespace caisson::services::attestation {
namespace {

namespace link = protocol::verifier_link;
using host::unix_ms;
using std::chrono::milliseconds;

constexpr int connections_max = 512;
constexpr milliseconds accept_wait{200};
constexpr milliseconds handshake_wait{10'000};
constexpr milliseconds frame_wait{10'000};
constexpr int idle_turns_max = 600; // of half a second: then a silent peer is let go
constexpr milliseconds turn_wait{500};

std::atomic<bool> stopping{false};

void on_stop(int /*signal*/)
{
    stopping.store(true);
}

void log_line(const std::string& text)
{
    const auto now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char stamp[32];
    std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &parts);
    std::fprintf(stderr, "%s server: %s\n", stamp, text.c_str());
}

// One request and its answer; false: the connection is over.
bool serve_one(Service& service, Peer& peer, host::net::TlsConnection& connection, Bytes head)
{
    ByteArray<link::frame_head_bytes> head_bytes;
    copy_bytes(head_bytes, head);
    const auto size = link::read_frame_head(head_bytes);
    if (!size) {
        return false;
    }
    std::vector<std::uint8_t> body(*size);
    if (!connection.receive(body, frame_wait)) {
        return false;
    }
    const auto answer = service.answer(peer, body);
    return connection.send(answer.frame, frame_wait).has_value() && !answer.fatal;
}

void serve(Service& service, host::net::TlsServer& server, int descriptor)
{
    auto connection = server.secure(descriptor, handshake_wait);
    if (!connection) {
        log_line(connection.error().what);
        return;
    }
    Peer peer;
    const auto exporter = connection->exporter(protocol::exporter_label);
    if (!exporter) {
        return;
    }
    peer.exporter.bytes = *exporter;
    peer.spki_sha256 = connection->client_spki_sha256();
    int idle_turns = 0;
    while (!stopping.load() && idle_turns < idle_turns_max) {
        ByteArray<link::frame_head_bytes> head;
        // The first octet decides between "nothing yet" and "a frame begins".
        const auto first = connection->receive(MutableBytes(head).first(1), turn_wait);
        if (!first) {
            if (!connection->usable()) {
                return;
            }
            ++idle_turns;
            continue;
        }
        idle_turns = 0;
        if (!connection->receive(MutableBytes(head).subspan(1), frame_wait) ||
            !serve_one(service, peer, *connection, head)) {
            return;
        }
    }
}

} // namespace

host::Done run_server(const std::filesystem::path& home, const RunOptions& options)
{
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGTERM, on_stop);
    ::signal(SIGINT, on_stop);
    const auto keys = TRY(load_server(home));
    auto store = TRY(host::store::TrustStore::open(database_path(home)));
    auto server = TRY(host::net::TlsServer::listen(options.listen.empty() ? keys.listen : options.listen, keys.tls,
                                                   keys.authority.certificate_pem));
    Service service(keys, store, unix_ms, log_line);
    log_line("listens on " + server.address());
    std::atomic<int> connections{0};
    while (!stopping.load()) {
        const auto descriptor = server.accept(accept_wait);
        if (!descriptor) {
            continue;
        }
        if (connections.load() >= connections_max) {
            log_line("more than " + std::to_string(connections_max) + " connections: a new one is turned away");
            ::close(*descriptor);
            continue;
        }
        ++connections;
        std::thread([&, descriptor = *descriptor] {
            serve(service, server, descriptor);
            --connections;
        }).detach();
    }
    while (connections.load() > 0) {
        std::this_thread::sleep_for(milliseconds(20));
    }
    log_line("stopped");
    return {};
}

} // namespace caisson::services::attestation
