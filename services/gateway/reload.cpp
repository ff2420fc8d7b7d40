// The file, its lists and its keys read anew, while the sessions that may stay go on.
#include "services/gateway/running.hpp"

#include "services/gateway/route_files.hpp"

namespace caisson::services::gateway {

using host::Outcome;

// [GATE-14] The chamber names whose sessions it has ended.
void Gateway::reread_access(Route& route)
{
    if (route.config.access_list.empty() || mark_of(route.config.access_list) == route.access_mark) {
        return;
    }
    const auto name = route.config.name;
    if (const auto done = load_access(route); !done) {
        log.line(name + ": " + done.error().what + "; the list before it stays in force");
        return;
    }
    log.line(name + ": the chamber enforces the list " + route.config.access_list + ", serial " +
             std::to_string(route.access.serial) + ", " + std::to_string(route.access.keys) + " keys");
    end_refused_sessions();
}

// [GATE-12] A list that is read anew counts from now on; one that cannot be read leaves the old one in force.
void Gateway::reread_lists()
{
    for (auto& door : doors_) {
        auto& route = *door.route;
        reread_access(route);
        if (route.config.allow_file.empty() || mark_of(route.config.allow_file) == route.list_mark) {
            continue;
        }
        route.list_mark = mark_of(route.config.allow_file);
        auto allowed = load_allowed(route.config);
        if (!allowed) {
            log.line(route.config.name + ": " + allowed.error().what + "; the list before it stays in force");
            continue;
        }
        route.allowed = std::move(*allowed);
        log.line(route.config.name + ": the list " + route.config.allow_file + " was read anew");
        for (const auto& link : links_) {
            if (&link->route() == &route) {
                link->check_allowed();
            }
        }
    }
}

std::vector<RouteKey> Gateway::keys_in_use() const
{
    std::vector<RouteKey> keys;
    for (const auto& door : doors_) {
        keys.insert(keys.end(), door.route->keys.begin(), door.route->keys.end());
    }
    return keys;
}

Outcome<Gateway::Prepared> Gateway::prepare(const RouteConfig& config)
{
    Prepared prepared{config, nullptr, nullptr};
    for (auto& door : doors_) {
        const auto& known = door.route->config;
        if (known.name == config.name && known.side == config.side && known.mechanism == config.mechanism &&
            known.listen.text() == config.listen.text()) {
            prepared.door = &door;
        }
    }
    if (prepared.door == nullptr) {
        prepared.route = TRY(open_route(config));
        return prepared;
    }
    prepared.route = std::make_shared<Route>(); // carries what is new until it is committed
    prepared.route->config = config;
    for (const auto& name : config.keys) {
        prepared.route->keys.push_back(TRY(load_key(name)));
    }
    TRY(load_lists(*prepared.route));
    return prepared;
}

void Gateway::commit(std::vector<Prepared>& prepared)
{
    for (auto& door : doors_) {
        const bool kept =
            std::any_of(prepared.begin(), prepared.end(), [&door](const Prepared& one) { return one.door == &door; });
        door.route->gone = !kept;
        if (!kept) {
            door.route->socket.reset(); // its links keep the route for a while; nobody else may knock there
        }
    }
    for (auto& one : prepared) {
        if (one.door == nullptr) {
            doors_.emplace_back(*this, one.route);
            continue;
        }
        auto& route = *one.door->route;
        const bool other_zap = route.config.zap.has_value() != one.config.zap.has_value() ||
                               (one.config.zap && one.config.zap->text() != route.config.zap->text());
        route.config = one.route->config;
        route.keys = one.route->keys;
        route.allowed = one.route->allowed;
        route.password = one.route->password;
        route.list_mark = one.route->list_mark;
        route.access_mark = one.route->access_mark;
        route.access = one.route->access;
        if (other_zap) {
            route.zap = one.config.zap ? std::make_unique<ZapClient>(loop, *one.config.zap) : nullptr;
        }
    }
    for (const auto& link : links_) {
        link->check_allowed();
    }
    doors_.remove_if([](const Door& door) { return door.route->gone; });
}

// [GATE-11] The chamber ends what stands on a key that no listener has any more.
void Gateway::forget_unused_keys(const std::vector<RouteKey>& before)
{
    const auto now = keys_in_use();
    for (const auto& key : before) {
        const bool used =
            std::any_of(now.begin(), now.end(), [&key](const RouteKey& one) { return one.loaded.id == key.loaded.id; });
        if (!used) {
            chamber.forget_key(key.loaded.id);
            log.line("reload: the key " + key.name + " is given up; its sessions have ended");
        }
    }
}

// [GATE-13] All of the file, or nothing of it.
void Gateway::reload()
{
    auto config = load_config(options_.config);
    std::vector<Prepared> prepared;
    host::Done done;
    if (!config) {
        done = std::unexpected(config.error());
    }
    for (std::size_t index = 0; done && index < config->routes.size(); ++index) {
        auto one = prepare(config->routes[index]);
        if (one) {
            prepared.push_back(std::move(*one));
        } else {
            done = std::unexpected(one.error());
        }
    }
    if (!done) {
        log.line("reload: " + done.error().what + "; nothing was changed");
        return;
    }
    const auto before = keys_in_use();
    commit(prepared);
    forget_unused_keys(before);
    config_ = std::move(*config);
    fit_connections(descriptor_limit());
    if (feeder != nullptr) {
        for (const auto& key : keys_in_use()) {
            const bool known = std::any_of(before.begin(), before.end(),
                                           [&key](const RouteKey& one) { return one.loaded.id == key.loaded.id; });
            if (key.loaded.gated && !known) {
                feeder->add_key({key.loaded.id, key.loaded.public_key});
            }
        }
    }
    start_feeder();
    watch_doors();
    log.line("reload: the file was read anew");
}

} // namespace caisson::services::gateway
