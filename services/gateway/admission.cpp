// Who gets in: how many handshakes and connections there are, of one source and of all.
#include "services/gateway/running.hpp"

#include <cerrno>

namespace caisson::services::gateway {
namespace {

constexpr std::size_t accepted_at_once = 64;

} // namespace

void Door::on_ready(bool /*readable*/, bool /*writable*/)
{
    gateway.accept_from(*this);
}

// Who cannot be served now waits in the system's queue.
void Gateway::watch_doors()
{
    const bool open = handshakes_ < config_.handshakes_max && live_ < config_.connections_max;
    for (auto& door : doors_) {
        loop.watch(door.route->socket->descriptor(), door, door.wish, open && !door.paused, false);
    }
}

void Gateway::accept_from(Door& door)
{
    for (std::size_t count = 0; count < accepted_at_once && live_ < config_.connections_max; ++count) {
        auto accepted = door.route->socket->accept();
        if (!accepted) {
            door.paused = errno == EMFILE || errno == ENFILE; // until the next tick
            break;
        }
        admit(door, std::move(*accepted));
    }
    watch_doors();
}

// [GATE-3] One source has so many handshakes under way; its others wait, and beyond that are turned away.
void Gateway::admit(Door& door, ListeningSocket::Accepted accepted)
{
    auto& source = sources_[accepted.source];
    const bool counted = door.route->config.side == Side::server;
    const bool parks = counted && source.active >= config_.handshakes_per_source;
    if (parks && source.parked.size() >= config_.waiting_per_source) {
        ++door.route->metrics.ended[static_cast<std::size_t>(Reason::too_many)];
        log.line(door.route->config.name + ": " + accepted.name + ": turned away, too many handshakes at once",
                 {{"listener", door.route->config.name},
                  {"peer", accepted.name},
                  {"reason", reason_name(Reason::too_many)}});
        return;
    }
    ++live_;
    if (counted && !parks) {
        ++source.active;
        ++handshakes_;
    }
    auto& link = *links_.emplace_back(std::make_unique<Link>(*this, door.route, std::move(accepted), parks));
    if (parks) {
        source.parked.push_back(&link);
    }
}

// Its place among its source's handshakes is the next one's.
void Gateway::leave_handshake(Link& link)
{
    if (link.route().config.side != Side::server) {
        return;
    }
    const auto found = sources_.find(link.source());
    if (found == sources_.end()) {
        return;
    }
    auto& source = found->second;
    --source.active;
    --handshakes_;
    if (!source.parked.empty() && source.active < config_.handshakes_per_source) {
        auto* const next = source.parked.front();
        source.parked.pop_front();
        ++source.active;
        ++handshakes_;
        next->begin();
    } else if (source.active == 0) {
        sources_.erase(found);
    }
}

void Gateway::on_ended(Link& link)
{
    some_ended_ = true;
    --live_;
    if (link.was_parked()) {
        auto& parked = sources_[link.source()].parked;
        parked.erase(std::remove(parked.begin(), parked.end(), &link), parked.end());
    } else if (!link.authenticated()) {
        leave_handshake(link);
    }
}

} // namespace caisson::services::gateway
