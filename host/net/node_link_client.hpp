// NodeLinkClient: one connection to the node's agent, one request at a time, bounded in time.
// Spec: docs/spec/measurement.md, section 5. Not safe for concurrent use.
#pragma once

#include "host/fault.hpp"
#include "protocol/node_link.hpp"

#include <chrono>
#include <filesystem>
#include <vector>

namespace caisson::host::net {

class NodeLinkClient {
  public:
    // `give_up_fd`, if there is one, ends every wait of `ask` as soon as it is readable; it stays the caller's.
    // Fails: unavailable (no agent listens there), forbidden.
    static Outcome<NodeLinkClient> connect(const std::filesystem::path& socket, int give_up_fd = -1);

    NodeLinkClient(NodeLinkClient&& other) noexcept;
    NodeLinkClient& operator=(NodeLinkClient&& other) noexcept;
    ~NodeLinkClient();

    // The answer: views that live until the next `ask`. A Refused becomes a Fault of its kind. After any other fault
    // the connection is of no more use.
    // Fails: the agent's kind; unavailable (no answer in time, or the connection ended); malformed.
    Outcome<protocol::node_link::Message> ask(const protocol::node_link::Message& message,
                                              std::chrono::milliseconds wait);
    // Was the last fault the agent's own word, on a connection that still works?
    [[nodiscard]] bool usable() const noexcept { return usable_; }

  private:
    NodeLinkClient(int socket, int give_up_fd) noexcept
        : socket_(socket)
        , give_up_fd_(give_up_fd)
    {
    }
    Done wait_for(short events, std::chrono::steady_clock::time_point until) const;
    Done send_all(Bytes bytes, std::chrono::steady_clock::time_point until);
    Done receive_all(MutableBytes bytes, std::chrono::steady_clock::time_point until);

    int socket_ = -1;
    int give_up_fd_ = -1;
    bool usable_ = true;
    std::uint64_t request_ = 0;
    std::vector<std::uint8_t> buffer_;
};

} // namespace caisson::host::net
