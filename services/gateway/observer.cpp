#include "services/gateway/observer.hpp"

#include "services/gateway/gateway.hpp"
#include "services/gateway/stream.hpp"

#include <poll.h>

#include <algorithm>

namespace caisson::services::gateway {
namespace {

using host::fault;
using host::Outcome;

constexpr std::size_t answer_bytes_max = std::size_t{64} << 20U;
constexpr int patience_ms = 5000;

// All that comes until the other end closes; nothing when nobody serves the socket.
Outcome<std::string> fetch(const std::filesystem::path& socket, const std::string& path)
{
    auto stream = TRY(Stream::connect({Endpoint::Transport::ipc, {}, {}, socket.string()}));
    stream.write(bytes_of("GET " + path + " HTTP/1.0\r\n\r\n"));
    while (stream.output_bytes() > 0) {
        if (!stream.flush()) {
            return fault(Kind::unavailable, socket.string() + ": the gateway hung up");
        }
    }
    while (stream.input().size() < answer_bytes_max) {
        pollfd entry{stream.descriptor(), POLLIN, 0};
        if (::poll(&entry, 1, patience_ms) != 1) {
            return fault(Kind::unavailable, socket.string() + ": the gateway does not answer within 5 s");
        }
        if (!stream.read_some()) {
            return std::string(text_of(stream.input()));
        }
    }
    return fault(Kind::exhausted, socket.string() + ": an answer without end");
}

} // namespace

Outcome<std::string> read_http_answer(const std::string& answer)
{
    const auto end = answer.find("\r\n\r\n");
    if (!answer.starts_with("HTTP/1.0 200 ") || end == std::string::npos) {
        return fault(Kind::malformed, "the gateway's answer is none");
    }
    return answer.substr(end + 4);
}

Outcome<std::vector<GatewayAnswer>> ask_gateways(const std::filesystem::path& home, const std::string& path)
{
    std::vector<std::filesystem::path> sockets;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(control_folder(home), error)) {
        if (entry.path().extension() == ".sock") {
            sockets.push_back(entry.path());
        }
    }
    std::sort(sockets.begin(), sockets.end());
    std::vector<GatewayAnswer> answers;
    for (const auto& socket : sockets) {
        const auto answer = fetch(socket, path);
        if (answer) {
            answers.push_back({socket.stem().string(), TRY(read_http_answer(*answer))});
        }
    }
    if (answers.empty()) {
        return fault(Kind::missing, "top: no gateway runs with the home " + home.string() +
                                        "; start one with caisson gateway, or name its home with --home");
    }
    return answers;
}

} // namespace caisson::services::gateway
