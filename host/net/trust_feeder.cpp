#include "host/net/trust_feeder.hpp"

#include "core/check.hpp"
#include "host/net/curve_trust.hpp"
#include "host/net/fed_peers.hpp"
#include "host/net/node_link_client.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include <sys/eventfd.h>
#include <unistd.h>

namespace caisson::host::net {
namespace {

namespace node_link = protocol::node_link;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Unknown peers that knock make us ask at once; this bounds how often.
constexpr milliseconds spacing_min{20};
constexpr milliseconds retry_min{100};
// An answer later than this is given up together with its connection, so that a late one is never taken for the next.
constexpr int patience = 4; // times answer_wait
// However many keys are kept, each is asked for within this time: who lost trust is cut off within a second.
constexpr int round = 4; // times interval

bool names(Bytes result, const protocol::CurveKey& key)
{
    return std::search(result.begin(), result.end(), key.bytes.begin(), key.bytes.end()) != result.end();
}

} // namespace

struct TrustFeeder::Inside {
    CurveTrust curve;
    const std::filesystem::path socket;
    const FeederLimits limits;

    mutable std::mutex mutex;
    std::condition_variable wake; // for the thread: stop, peers, keys
    std::condition_variable done; // for callers: a turn ended
    bool stop = false;
    bool asked = false; // somebody waits for a turn
    std::vector<FedKey> keys;
    FedPeers peers;
    std::size_t keys_registered = 0; // on this connection, from the front
    std::uint64_t turns_started = 0;
    std::uint64_t turns_ended = 0;
    std::uint64_t last_good_turn = 0;
    FeederState state;

    const int give_up_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); // readable: stop, also while the agent is silent
    std::optional<NodeLinkClient> link;                              // the thread's alone
    std::thread thread;

    Inside(enclave::Enclave& chamber, std::filesystem::path agent_socket, std::vector<FedKey> fed, FeederLimits bounds)
        : curve(chamber)
        , socket(std::move(agent_socket))
        , limits(bounds)
        , keys(std::move(fed))
    {
        CHECK(give_up_fd >= 0);
    }
    ~Inside() { ::close(give_up_fd); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    void run();
    Done connect();
    Done register_keys();
    Done register_key(const FedKey& key);
    Done feed();
    void note_result(const node_link::Time& asked_for, Bytes result);
    void note(const Done& outcome, std::uint64_t turn);
    [[nodiscard]] milliseconds interval() const;
    [[nodiscard]] node_link::Time time_request(const protocol::TimeNonce& nonce);
};

Done TrustFeeder::Inside::connect()
{
    if (link) {
        return {};
    }
    link = TRY(NodeLinkClient::connect(socket, give_up_fd));
    const std::lock_guard lock(mutex);
    keys_registered = 0;
    state.connected = true;
    state.registered = keys.empty();
    return {};
}

// The key becomes this node's only by a report that the witness checks; we just carry it.
Done TrustFeeder::Inside::register_key(const FedKey& key)
{
    const auto answer = TRY(link->ask(node_link::WitnessTarget{}, limits.answer_wait * patience));
    const auto* const target = std::get_if<node_link::WitnessTargetAnswer>(&answer);
    if (target == nullptr) {
        return fault(Kind::malformed, "the agent answered something else than the witness's target info");
    }
    const auto report = TRY(curve.report_key(key.id, target->target_info));
    TRY(link->ask(node_link::Register{key.public_key, report}, limits.answer_wait * patience));
    return {};
}

Done TrustFeeder::Inside::register_keys()
{
    while (true) {
        FedKey key;
        {
            const std::lock_guard lock(mutex);
            if (keys_registered == keys.size()) {
                state.registered = true;
                return {};
            }
            key = keys[keys_registered];
        }
        TRY(register_key(key));
        const std::lock_guard lock(mutex);
        ++keys_registered;
    }
}

node_link::Time TrustFeeder::Inside::time_request(const protocol::TimeNonce& nonce)
{
    node_link::Time request;
    request.nonce = nonce;
    const std::lock_guard lock(mutex);
    for (const auto& peer : peers.next()) {
        request.keys[request.key_count] = peer;
        ++request.key_count;
    }
    return request;
}

// The chamber verified the result; which of the keys it names decides only what is asked for again.
void TrustFeeder::Inside::note_result(const node_link::Time& asked_for, Bytes result)
{
    const std::lock_guard lock(mutex);
    for (std::size_t index = 0; index < asked_for.key_count; ++index) {
        if (names(result, asked_for.keys[index])) {
            peers.note_result(asked_for.keys[index]);
        }
    }
}

Done TrustFeeder::Inside::feed()
{
    const auto nonce = TRY(curve.time_nonce());
    const auto request = time_request(nonce);
    const auto answer = TRY(link->ask(request, limits.answer_wait * patience));
    const auto* const time = std::get_if<node_link::TimeAnswer>(&answer);
    if (time == nullptr) {
        return fault(Kind::malformed, "the agent answered something else than the time");
    }
    const auto token = curve.accept_time_token(time->token);
    std::uint64_t accepted = 0;
    for (std::size_t index = 0; index < time->result_count; ++index) {
        // A result the chamber refuses (older than what it knows) does not keep the others from it.
        if (curve.accept_result(time->results[index])) {
            ++accepted;
            note_result(request, time->results[index]);
        }
    }
    const std::lock_guard lock(mutex);
    state.tokens += token ? 1U : 0U;
    state.results += accepted;
    return token ? Done{} : Done(fault(token.error().kind, "time token: " + token.error().what));
}

void TrustFeeder::Inside::note(const Done& outcome, std::uint64_t turn)
{
    const std::lock_guard lock(mutex);
    turns_ended = turn;
    if (outcome) {
        last_good_turn = turn;
        state.trouble.clear();
    } else {
        state.trouble = outcome.error().what;
    }
    state.connected = link.has_value();
    state.registered = state.registered && state.connected;
    done.notify_all();
}

// Until the next request when nobody asks for one sooner.
milliseconds TrustFeeder::Inside::interval() const
{
    const auto requests = static_cast<milliseconds::rep>(peers.requests_per_round());
    return std::min(limits.interval, limits.interval * round / requests);
}

void TrustFeeder::Inside::run()
{
    auto retry = retry_min;
    while (true) {
        std::uint64_t turn = 0;
        {
            const std::lock_guard lock(mutex);
            if (stop) {
                return;
            }
            asked = false; // what waits beyond this request makes the next one due at once
            turn = ++turns_started;
        }
        const auto began = Clock::now();
        auto outcome = connect();
        if (outcome) {
            // Time first: it must not wait for a witness that refuses a key.
            outcome = feed();
            const auto registered = link->usable() ? register_keys() : Done{};
            outcome = outcome ? registered : outcome;
        }
        if (link && !link->usable()) {
            link.reset();
        }
        note(outcome, turn);
        const bool connected = link.has_value();
        retry = connected ? retry_min : std::min(retry * 2, limits.retry_max);

        std::unique_lock lock(mutex);
        const auto soonest = began + std::min(spacing_min, limits.interval);
        wake.wait_until(lock, soonest, [this] { return stop; });
        const auto due = began + (connected ? interval() : retry);
        wake.wait_until(lock, due, [this, connected] { return stop || asked || (connected && peers.has_waiting()); });
    }
}

TrustFeeder::TrustFeeder(enclave::Enclave& curve, std::filesystem::path agent_socket, std::vector<FedKey> keys,
                         FeederLimits limits)
    : inside_(std::make_unique<Inside>(curve, std::move(agent_socket), std::move(keys), limits))
{
    inside_->thread = std::thread([inside = inside_.get()] { inside->run(); });
}

TrustFeeder::~TrustFeeder()
{
    {
        const std::lock_guard lock(inside_->mutex);
        inside_->stop = true;
    }
    ::eventfd_write(inside_->give_up_fd, 1);
    inside_->wake.notify_all();
    inside_->thread.join();
}

bool TrustFeeder::add_peer(const protocol::CurveKey& key)
{
    std::unique_lock lock(inside_->mutex);
    if (!inside_->peers.keep(key)) {
        return false;
    }
    inside_->peers.want(key); // asked for in the next request, not only when its place in the round comes
    // The turn under way may have been composed without this key: only the next one counts.
    const auto turn = inside_->turns_started + 1;
    inside_->asked = true;
    inside_->wake.notify_all();
    inside_->done.wait_for(lock, inside_->limits.answer_wait,
                           [this, turn] { return inside_->turns_ended >= turn || inside_->stop; });
    return inside_->last_good_turn >= turn;
}

bool TrustFeeder::keep_peer(const protocol::CurveKey& key)
{
    const std::lock_guard lock(inside_->mutex);
    return inside_->peers.keep(key);
}

void TrustFeeder::release_peer(const protocol::CurveKey& key)
{
    const std::lock_guard lock(inside_->mutex);
    inside_->peers.release(key);
}

void TrustFeeder::want_peer(const protocol::CurveKey& key)
{
    const std::lock_guard lock(inside_->mutex);
    inside_->peers.want(key);
    inside_->asked = true;
    inside_->wake.notify_all();
}

void TrustFeeder::add_key(const FedKey& key)
{
    const std::lock_guard lock(inside_->mutex);
    inside_->keys.push_back(key);
    inside_->state.registered = false;
    inside_->asked = true;
    inside_->wake.notify_all();
}

bool TrustFeeder::wait_until_fed(milliseconds wait)
{
    std::unique_lock lock(inside_->mutex);
    return inside_->done.wait_for(lock, wait, [this] { return inside_->state.tokens != 0; });
}

FeederState TrustFeeder::state() const
{
    const std::lock_guard lock(inside_->mutex);
    return inside_->state;
}

} // namespace caisson::host::net
