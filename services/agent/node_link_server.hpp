// NodeLinkServer: the agent's end of the node link, a unix socket for the programs of this user on this node.
// Spec: docs/spec/measurement.md, section 5.
#pragma once

#include "protocol/node_link.hpp"
#include "services/agent/relay.hpp"
#include "services/agent/state.hpp"

#include <filesystem>
#include <list>
#include <thread>

namespace caisson::services::agent {

inline constexpr std::size_t node_link_clients_max = 32;

// One thread listens, one serves each program. Ends with the object.
class NodeLinkServer {
  public:
    // Fails: conflict (another agent runs with this home), and what the system says.
    static host::Outcome<std::unique_ptr<NodeLinkServer>> start(const std::filesystem::path& folder,
                                                                const std::string& server_address,
                                                                host::enclave::WitnessChamber& witness, Relay& relay,
                                                                AgentState& state);
    ~NodeLinkServer();
    NodeLinkServer(const NodeLinkServer&) = delete;
    NodeLinkServer& operator=(const NodeLinkServer&) = delete;

  private:
    struct Client;
    NodeLinkServer(std::string server_address, host::enclave::WitnessChamber& witness, Relay& relay, AgentState& state);
    host::Done listen(const std::filesystem::path& folder);
    void accept_clients();
    void serve(int socket);
    [[nodiscard]] bool receive(int socket, MutableBytes bytes) const;
    std::vector<std::uint8_t> answer(Bytes body, std::vector<protocol::CurveKey>& own_keys);
    std::vector<std::uint8_t> answer_time(std::uint64_t request, const protocol::node_link::Time& message);
    std::vector<std::uint8_t> answer_status(std::uint64_t request);
    host::Done register_key(const protocol::node_link::Register& message, std::vector<protocol::CurveKey>& own_keys);
    void release(const std::vector<protocol::CurveKey>& keys);
    bool forget_one_released();

    // A key the witness vouches for, and how many connections of living programs stand behind it.
    struct Vouched {
        protocol::CurveKey key;
        std::size_t programs = 0;
    };

    std::string server_address_;
    host::enclave::WitnessChamber& witness_;
    Relay& relay_;
    AgentState& state_;
    std::filesystem::path path_;
    int lock_ = -1;
    int listener_ = -1;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
    std::list<Client> clients_; // the listening thread's
    std::mutex mutex_;
    std::vector<Vouched> vouched_;
};

} // namespace caisson::services::agent
