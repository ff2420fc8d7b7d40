// A chamber that ended or hangs is started anew: keys come back from their sealed form, sessions are made again by
// those who had them.
#include "services/gateway/running.hpp"

namespace caisson::services::gateway {

using host::Done;

void ChamberWatch::on_ready(bool /*readable*/, bool /*writable*/)
{
    ended = true;
}

// [GATE-40] Known at once from the kernel, and of one that hangs from the first who asks it.
void Gateway::watch_chamber()
{
    chamber_watch_ = {};
    if (enclave_.ended_fd() >= 0) {
        loop.watch(enclave_.ended_fd(), chamber_watch_, chamber_watch_.wish, true, false);
    }
}

void Gateway::mind_chamber()
{
    if (!chamber_watch_.ended && enclave_.alive()) {
        return;
    }
    if (chamber_watch_.wish.watched) { // it stays readable
        loop.forget(enclave_.ended_fd(), chamber_watch_.wish);
        log.line("the chamber has ended: every session is cut off, and it is started anew", {{"reason", "chamber"}});
        drop_sessions();
    }
    const auto looked = supervisor_.look();
    if (looked && !*looked) {
        return; // its pause is not over
    }
    if (!looked) {
        log.line("the chamber cannot be started anew: " + looked.error().what + "; it is tried again",
                 {{"reason", "chamber"}});
        return;
    }
    watch_chamber();
    log.line("the chamber was started anew with the same keys", {{"reason", "chamber"}});
}

void Gateway::drop_sessions()
{
    for (const auto& link : links_) {
        link->lose_chamber();
    }
    bury();
}

// Runs when the chamber is there again and empty. Who knocked meanwhile holds nothing of it yet.
Done Gateway::revive()
{
    drop_sessions();
    trust_feeder_.reset(); // what it feeds are ids of before
    feeder = nullptr;
    for (auto& door : doors_) {
        for (auto& key : door.route->keys) {
            key.loaded.id = 0; // an id of before may be another key's by now
        }
    }
    for (auto& door : doors_) {
        for (auto& key : door.route->keys) {
            key = TRY(load_key(key.name));
        }
    }
    for (auto& door : doors_) { // [GATE-14] without its list the chamber admits nobody
        auto& route = *door.route;
        if (const auto done = route.config.access_list.empty() ? Done{} : load_access(route); !done) {
            log.line(route.config.name + ": " + done.error().what + "; nobody is admitted until it can be read");
            route.access_mark.clear();
        }
    }
    start_feeder();
    return {};
}

} // namespace caisson::services::gateway
