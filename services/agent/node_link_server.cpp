#include "services/agent/node_link_server.hpp"

#include "services/agent/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace caisson::services::agent {
namespace {

namespace node_link = protocol::node_link;
namespace verifier_link = protocol::verifier_link;
using host::Done;
using host::fault;
using host::Outcome;
using Buffer = std::vector<std::uint8_t>;

constexpr int stop_check_ms = 50;
constexpr int send_wait_ms = 1000;
constexpr int backlog = 16;

static_assert(node_link::keys_max == verifier_link::keys_max);

Buffer written(const node_link::Frame& frame)
{
    Buffer output(node_link::frame_head_bytes + node_link::frame_bytes_max);
    const auto size = node_link::write_frame(output, frame);
    output.resize(size ? *size : 0);
    return output;
}

Buffer refusal(std::uint64_t request, const host::Fault& why)
{
    const std::string_view text(why.what);
    return written({request, node_link::Refused{why.kind, text.substr(0, node_link::refusal_text_bytes_max)}});
}

// [MEASURE-18] The user who runs the agent, and root.
bool is_allowed(int socket)
{
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == ::geteuid() || peer.uid == 0);
}

bool send_all(int socket, Bytes bytes)
{
    while (!bytes.empty()) {
        const auto count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (count >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
            continue;
        }
        pollfd descriptor{socket, POLLOUT, 0};
        // A program that does not read its answers loses its connection, not our time.
        if (errno != EINTR && (errno != EAGAIN || ::poll(&descriptor, 1, send_wait_ms) <= 0)) {
            return false;
        }
    }
    return true;
}

// One a line, as many as there is room for.
std::string lines_of(const std::vector<std::string>& all)
{
    std::string text;
    for (const auto& one : all) {
        if (text.size() + one.size() + 1 <= node_link::status_text_bytes_max) {
            text += one + "\n";
        }
    }
    return text;
}

} // namespace

struct NodeLinkServer::Client {
    std::thread thread;
    std::atomic<bool> ended = false;
};

NodeLinkServer::NodeLinkServer(std::string server_address, host::enclave::WitnessChamber& witness, Relay& relay,
                               AgentState& state)
    : server_address_(std::move(server_address))
    , witness_(witness)
    , relay_(relay)
    , state_(state)
{
}

Outcome<std::unique_ptr<NodeLinkServer>> NodeLinkServer::start(const std::filesystem::path& folder,
                                                               const std::string& server_address,
                                                               host::enclave::WitnessChamber& witness, Relay& relay,
                                                               AgentState& state)
{
    std::unique_ptr<NodeLinkServer> server(new NodeLinkServer(server_address, witness, relay, state));
    TRY(server->listen(folder));
    server->thread_ = std::thread([raw = server.get()] { raw->accept_clients(); });
    return server;
}

NodeLinkServer::~NodeLinkServer()
{
    stop_ = true;
    if (thread_.joinable()) {
        thread_.join();
        ::unlink(path_.c_str());
    }
    for (const int number : {listener_, lock_}) {
        if (number >= 0) {
            ::close(number);
        }
    }
}

Done NodeLinkServer::listen(const std::filesystem::path& folder)
{
    const auto lock = folder / "agent.lock";
    lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_ < 0) {
        return std::unexpected(host::system_fault("agent: opening " + lock.string(), errno));
    }
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
        return fault(Kind::conflict, "agent: another agent runs with this home (" + lock.string() +
                                         " is locked); stop it, or choose another --home");
    }
    path_ = folder / "agent.sock";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = path_.string();
    if (path.size() >= sizeof address.sun_path) {
        return fault(Kind::malformed, "agent: " + path + " is too long for a unix socket; choose a shorter --home");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    ::unlink(path.c_str()); // of an agent that was killed: the lock says that none runs
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener_ < 0 || ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0660) != 0 || ::listen(listener_, backlog) != 0) {
        return std::unexpected(host::system_fault("agent: listening at " + path, errno));
    }
    return {};
}

void NodeLinkServer::accept_clients()
{
    while (!stop_) {
        clients_.remove_if([](Client& client) {
            if (client.ended) {
                client.thread.join();
            }
            return client.ended.load();
        });
        pollfd descriptor{listener_, POLLIN, 0};
        if (::poll(&descriptor, 1, stop_check_ms) <= 0) {
            continue;
        }
        const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (socket < 0) {
            continue;
        }
        if (!is_allowed(socket) || clients_.size() == node_link_clients_max) {
            ::close(socket);
            continue;
        }
        auto& client = clients_.emplace_back();
        client.thread = std::thread([this, socket, &client] {
            serve(socket);
            ::close(socket);
            client.ended = true;
        });
    }
    for (auto& client : clients_) {
        client.thread.join();
    }
}

bool NodeLinkServer::receive(int socket, MutableBytes bytes) const
{
    while (!bytes.empty()) {
        pollfd descriptor{socket, POLLIN, 0};
        if (stop_) {
            return false;
        }
        if (::poll(&descriptor, 1, stop_check_ms) <= 0) {
            continue;
        }
        const auto count = ::recv(socket, bytes.data(), bytes.size(), 0);
        if (count > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

void NodeLinkServer::serve(int socket)
{
    ByteArray<node_link::frame_head_bytes> head;
    Buffer body;
    std::vector<protocol::CurveKey> own_keys;
    while (receive(socket, head)) {
        const auto size = node_link::read_frame_head(head);
        body.resize(size ? *size : 0);
        if (!size || !receive(socket, body)) {
            break;
        }
        const auto output = answer(body, own_keys);
        if (output.empty() || !send_all(socket, output)) {
            break;
        }
    }
    release(own_keys);
}

// Nothing: what came is no request, the connection ends.
Buffer NodeLinkServer::answer(Bytes body, std::vector<protocol::CurveKey>& own_keys)
{
    const auto frame = node_link::read_frame_body(body);
    if (!frame) {
        return {};
    }
    if (const auto* const time = std::get_if<node_link::Time>(&frame->message)) {
        return answer_time(frame->request, *time);
    }
    if (std::holds_alternative<node_link::Status>(frame->message)) {
        return answer_status(frame->request);
    }
    if (std::holds_alternative<node_link::WitnessTarget>(frame->message)) {
        const auto target = witness_.target_info();
        if (!target) {
            return refusal(frame->request, target.error());
        }
        const Bytes bytes{reinterpret_cast<const std::uint8_t*>(&*target), sizeof *target};
        return written({frame->request, node_link::WitnessTargetAnswer{bytes}});
    }
    if (const auto* const message = std::get_if<node_link::Register>(&frame->message)) {
        const auto registered = register_key(*message, own_keys);
        return registered ? written({frame->request, node_link::RegisterAnswer{}})
                          : refusal(frame->request, registered.error());
    }
    return {};
}

Done NodeLinkServer::register_key(const node_link::Register& message, std::vector<protocol::CurveKey>& own_keys)
{
    const std::lock_guard lock(mutex_);
    auto accepted = witness_.accept_report(message.report, message.key);
    if (!accepted && accepted.error().kind == Kind::exhausted && forget_one_released()) {
        accepted = witness_.accept_report(message.report, message.key);
    }
    if (!accepted) {
        return accepted;
    }
    auto place = std::ranges::find(vouched_, message.key, &Vouched::key);
    if (place == vouched_.end()) {
        place = vouched_.insert(place, {message.key, 0});
        log_line("the witness vouches for another CURVE key");
    }
    if (std::ranges::find(own_keys, message.key) == own_keys.end()) {
        own_keys.push_back(message.key);
        ++place->programs;
    }
    state_.change([this](AgentState::View& view) { view.keys = vouched_.size(); });
    state_.measure_now(); // the server hears of the key with the next result
    return {};
}

// The keys of a program that went stay vouched for, since it may only have lost its connection, until there is no
// room for another's.
void NodeLinkServer::release(const std::vector<protocol::CurveKey>& keys)
{
    const std::lock_guard lock(mutex_);
    for (auto& vouched : vouched_) {
        vouched.programs -= std::ranges::find(keys, vouched.key) == keys.end() ? 0 : 1;
    }
}

bool NodeLinkServer::forget_one_released()
{
    const auto place = std::ranges::find(vouched_, std::size_t{0}, &Vouched::programs);
    if (place == vouched_.end() || !witness_.forget_key(place->key)) {
        return false;
    }
    vouched_.erase(place);
    return true;
}

Buffer NodeLinkServer::answer_time(std::uint64_t request, const node_link::Time& message)
{
    verifier_link::Time asked;
    asked.nonce = message.nonce;
    asked.keys = message.keys;
    asked.key_count = message.key_count;
    const auto relayed = relay_.time(asked);
    if (!relayed) {
        return refusal(request, relayed.error());
    }
    node_link::TimeAnswer told;
    told.token = relayed->token;
    for (const auto& result : relayed->results) {
        told.results[told.result_count] = result;
        ++told.result_count;
    }
    return written({request, told});
}

Buffer NodeLinkServer::answer_status(std::uint64_t request)
{
    const auto view = state_.view();
    const auto text = lines_of(view.reasons);
    const auto missing = lines_of(view.missing);
    node_link::StatusAnswer status;
    status.node = view.node;
    status.server = server_address_;
    status.connected = view.connected;
    status.tier = view.tier;
    if (view.judged) {
        const auto age = AgentState::Clock::now() - view.judged_at;
        status.verdict_age_ms =
            static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(age).count());
    }
    status.rounds = view.rounds;
    status.keys = view.keys;
    status.text = text;
    status.missing = missing;
    return written({request, status});
}

} // namespace caisson::services::agent
