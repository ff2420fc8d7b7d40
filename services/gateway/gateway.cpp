#include "services/gateway/gateway.hpp"

#include "host/enclave/root.hpp"
#include "host/store/access_signer.hpp"
#include "services/gateway/route_files.hpp"
#include "services/gateway/running.hpp"

#include <csignal>

#include <sys/resource.h>

namespace caisson::services::gateway {
namespace {

using host::Done;
using host::Outcome;
using host::enclave::CurveChamber;
using host::enclave::Enclave;

Signals signals;

void on_signal(int signal)
{
    (signal == SIGHUP ? signals.reload : signal == SIGUSR1 ? signals.copied : signals.stop).store(true);
}

Outcome<std::unique_ptr<Enclave>> open_chamber(const std::filesystem::path& home)
{
    const auto root = TRY(host::enclave::Root::open(home));
    host::enclave::EnclaveOptions options;
    options.waiting = host::enclave::Waiting::beside;
    return Enclave::open(options, root);
}

} // namespace

std::size_t descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

Done check_gateway(const GatewayOptions& options)
{
    const auto config = TRY(load_config(options.config));
    const host::store::KeyStore store(options.home);
    for (const auto& route : config.routes) {
        for (const auto& name : route.keys) {
            TRY(store.load(name));
        }
        TRY(check_transport(route.listen));
        TRY(check_transport(route.connect));
        TRY(load_allowed(route));
        if (!route.access_list.empty()) {
            TRY(host::store::load_access_file(route.access_list));
        }
        TRY(load_password(route));
    }
    return {};
}

Done run_gateway(const GatewayOptions& options)
{
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
        ::signal(signal, on_signal);
    }
    ::signal(SIGPIPE, SIG_IGN); // the log's reader may go
    TRY(check_gateway(options));
    const auto enclave = TRY(open_chamber(options.home));
    Log log(options.json_log);
    auto loop = TRY(Loop::open());
    const auto strangers_loop = TRY(Loop::open());
    Strangers strangers(loop, strangers_loop);
    Crossing crossing(*enclave);
    CurveChamber chamber(*enclave);
    Resolver resolver(loop);
    Gateway gateway(options, signals, *enclave, {loop, strangers, crossing, chamber, resolver, log});
    TRY(gateway.open());
    gateway.run();
    return {};
}

std::filesystem::path control_folder(const std::filesystem::path& home)
{
    return home / "gateway";
}

} // namespace caisson::services::gateway
