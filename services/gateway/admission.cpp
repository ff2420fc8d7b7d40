// Who gets in: how many handshakes and connections there are, of one source and of all.
#include "services/gateway/running.hpp"

#include <cerrno>
#include <utility>

namespace caisson::services::gateway {
namespace {

constexpr std::size_t accepted_at_once = 64;
constexpr std::size_t descriptors_per_connection = 2; // outside, and the plain side
constexpr std::size_t own_descriptors = 96;           // listeners, lists, the chamber, and who asks for metrics

} // namespace

void Door::on_ready(bool /*readable*/, bool /*writable*/)
{
    gateway.accept_from(*this);
}

// [GATE-18] A connection that finds no descriptor would have to be refused: it rather waits.
void Gateway::fit_connections(std::size_t descriptors)
{
    const auto fitting = (std::max(descriptors, 2 * own_descriptors) - own_descriptors) / descriptors_per_connection;
    connections_max_ = std::min(config_.connections_max, fitting);
    if (connections_max_ < config_.connections_max) {
        log.line("this process may have " + std::to_string(descriptors) + " open descriptors: at most " +
                     std::to_string(connections_max_) + " connections at once instead of " +
                     std::to_string(config_.connections_max) + "; raise LimitNOFILE or lower connections_max",
                 {{"reason", "descriptors"}});
    }
}

// Who cannot be served now waits in the system's queue.
void Gateway::watch_doors()
{
    const bool open = live_ < connections_max_ || parked_ > 0;
    for (auto& door : doors_) {
        const auto& watched_by = door.takes_strangers() ? strangers.loop() : loop;
        watched_by.watch(door.route->socket->descriptor(), door, door.wish, open && !door.paused, false);
    }
}

void Gateway::accept_from(Door& door)
{
    for (std::size_t count = 0; count < accepted_at_once && (live_ < connections_max_ || parked_ > 0); ++count) {
        if (door.takes_strangers() && !strangers.take_in()) {
            break; // [GATE-23]
        }
        auto accepted = door.route->socket->accept();
        if (!accepted) {
            door.paused = errno == EMFILE || errno == ENFILE; // until the next tick
            break;
        }
        admit(door, std::move(*accepted));
    }
    watch_doors();
}

// [GATE-18] Of the source that has the most in waiting the last one gives way to who comes from elsewhere.
bool Gateway::make_room(const Source& newcomer)
{
    const auto* const network = ranks_.greediest();
    const auto greediest = network == nullptr ? sources_.end() : sources_.find(*network);
    if (greediest == sources_.end() || &greediest->second == &newcomer) {
        return false;
    }
    greediest->second.parked.back()->end(Reason::too_many, "turned away: it waited, and others want its place");
    return true;
}

void Gateway::turn_away(const Door& door, const ListeningSocket::Accepted& accepted)
{
    ++door.route->metrics.ended[static_cast<std::size_t>(Reason::too_many)];
    log.line(
        door.route->config.name + ": " + accepted.name + ": turned away, too many handshakes at once",
        {{"listener", door.route->config.name}, {"peer", accepted.name}, {"reason", reason_name(Reason::too_many)}});
    forget_if_idle(network_of(accepted.source));
}

// [GATE-3] [CURVE-52] One source has so many handshakes under way; its others wait, and beyond that are turned away.
void Gateway::admit(Door& door, ListeningSocket::Accepted accepted)
{
    const auto network = network_of(accepted.source);
    auto& source = sources_[network];
    const bool counted = door.route->config.side == Side::server;
    const bool parks = counted && (source.active >= config_.handshakes_per_source ||
                                   handshakes_ >= config_.handshakes_max || !source.parked.empty());
    if ((parks && source.parked.size() >= config_.waiting_per_source) ||
        (live_ >= connections_max_ && !make_room(source))) {
        turn_away(door, accepted);
        return;
    }
    ++live_;
    took_in_ = true;
    if (counted && !parks) {
        ++source.active;
        ++handshakes_;
    }
    auto& link = *links_.emplace_back(std::make_unique<Link>(*this, door.route, std::move(accepted), parks));
    link.place = std::prev(links_.end());
    if (parks) {
        source.parked.push_back(&link);
        ++parked_;
        rank(network, source);
        queue(network, source);
    }
}

// Whoever waits begins when his source has a place among its handshakes and there is one among all: a source at a time,
// so that one with many waiting is not before one with few.
void Gateway::queue(const std::string& network, Source& source)
{
    if (!source.queued && !source.parked.empty() && source.active < config_.handshakes_per_source) {
        source.queued = true;
        queue_.push_back(network);
    }
}

void Gateway::rank(const std::string& network, Source& source)
{
    ranks_.move(network, std::exchange(source.ranked, source.parked.size()), source.parked.size());
}

void Gateway::begin_waiting()
{
    while (handshakes_ < config_.handshakes_max && !queue_.empty()) {
        const auto network = std::move(queue_.front());
        queue_.pop_front();
        const auto found = sources_.find(network);
        if (found == sources_.end()) {
            continue;
        }
        auto& source = found->second;
        source.queued = false;
        if (!source.parked.empty() && source.active < config_.handshakes_per_source) {
            auto* const next = source.parked.front();
            source.parked.pop_front();
            --parked_;
            rank(network, source);
            ++source.active;
            ++handshakes_;
            next->begin();
            queue(network, source);
        }
    }
}

void Gateway::leave_handshake(Link& link)
{
    if (link.route().config.side != Side::server) {
        return;
    }
    const auto network = network_of(link.source());
    auto& source = sources_[network];
    --source.active;
    --handshakes_;
    queue(network, source);
    begin_waiting();
    forget_if_idle(network);
}

void Gateway::forget_if_idle(const std::string& network)
{
    const auto found = sources_.find(network);
    if (found != sources_.end() && found->second.active == 0 && found->second.parked.empty()) {
        if (found->second.queued) {
            std::erase(queue_, network);
        }
        sources_.erase(found);
    }
}

void Gateway::on_ended(Link& link)
{
    ended_.push_back(&link);
    --live_;
    if (link.was_parked()) {
        const auto network = network_of(link.source());
        auto& source = sources_[network];
        parked_ -= std::erase(source.parked, &link);
        rank(network, source);
        forget_if_idle(network);
    } else if (!link.authenticated()) {
        leave_handshake(link);
    }
}

} // namespace caisson::services::gateway
