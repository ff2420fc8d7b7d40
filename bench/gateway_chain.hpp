// The gateways of a message bench: real `caisson gateway` processes with keys and a home of their own, and what CPU
// time they and their chambers have used.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

namespace caisson::bench {

// A port that is free now; and waiting until somebody listens at one.
int free_port();
void wait_listening(int port);

// What all threads of a process have run.
double cpu_s_of(::pid_t pid);

// A plain program -> gateway -> CURVE over TCP -> gateway -> plain program, all on this machine.
class GatewayChain {
  public:
    // Makes the home below `folder` and two keys. Ends the bench when a verb fails.
    GatewayChain(std::filesystem::path caisson, std::filesystem::path folder);
    ~GatewayChain();
    GatewayChain(const GatewayChain&) = delete;
    GatewayChain& operator=(const GatewayChain&) = delete;

    // Starts both and waits until they listen.
    void start();
    void stop() noexcept;

    [[nodiscard]] std::string sink_endpoint() const;   // where the plain sink binds
    [[nodiscard]] std::string source_endpoint() const; // where the plain source connects

    struct Usage {
        double gateways_s = 0; // CPU time of the gateway processes
        double chambers_s = 0; // of the processes below them
        double resident_bytes = 0;
    };
    [[nodiscard]] Usage usage() const;

    // The gateway that is the CURVE server; while it is started.
    [[nodiscard]] int port() const noexcept { return port_; }
    [[nodiscard]] const std::string& server_key() const noexcept { return server_key_; } // Z85
    [[nodiscard]] ::pid_t server_pid() const noexcept { return gateways_.front(); }

  private:
    [[nodiscard]] std::string public_key_of(const std::string& name) const;
    void write_configs() const;
    ::pid_t start_gateway(const std::string& config) const;

    std::filesystem::path caisson_;
    std::filesystem::path folder_;
    int port_;
    std::string server_key_;
    std::string client_key_;
    std::vector<::pid_t> gateways_;
};

} // namespace caisson::bench
