// Asks the user's own handler who may come (ZAP, RFC 27) over a plain ZMTP connection of its own: a DEALER towards the
// handler's REP or ROUTER. Spec: docs/spec/gateway.md. One thread.
#pragma once

#include "services/gateway/loop.hpp"
#include "services/gateway/stream.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace caisson::services::gateway {

struct ZapRequest {
    std::string domain;
    std::string address;
    std::string identity;
    std::string mechanism;
    std::vector<std::string> credentials;
};

struct ZapVerdict {
    unsigned status = 0; // 200, 300, 400, 500; 0: no answer, or one that is none
    std::string text;
    std::string user;
    std::vector<std::uint8_t> metadata; // checked
};

// The frames of a request after its id, and of a reply. Fails: malformed.
[[nodiscard]] std::vector<std::string> zap_frames(const ZapRequest& request, const std::string& id);
struct ZapReply {
    std::string id;
    ZapVerdict verdict;
};
[[nodiscard]] Result<ZapReply> read_zap_reply(const std::vector<std::string>& frames);

class ZapClient final : public Watcher {
  public:
    using Clock = std::chrono::steady_clock;
    using Answer = std::function<void(ZapVerdict)>;

    ZapClient(const Loop& loop, Endpoint endpoint);
    ZapClient(const ZapClient&) = delete;
    ZapClient& operator=(const ZapClient&) = delete;

    // `answer` is called once, later: with status 0 when the handler cannot be reached or does not answer in time.
    void ask(const ZapRequest& request, Answer answer);
    void on_tick(Clock::time_point now);
    void on_ready(bool readable, bool writable) override;

  private:
    enum class Stage : std::uint8_t { closed, greeting, ready, open };
    struct Pending {
        std::vector<std::string> frames;
        Answer answer;
        Clock::time_point asked;
    };

    void connect();
    void send(const Pending& pending);
    void drop();
    [[nodiscard]] Status step(bool& moved);
    [[nodiscard]] Status take_frame(std::uint8_t flags, Bytes body);
    void settle(const std::string& id, ZapVerdict verdict);
    void update_wish();

    const Loop& loop_;
    Endpoint endpoint_;
    Stream stream_;
    Loop::Wish wish_;
    Stage stage_ = Stage::closed;
    std::vector<std::string> incoming_;
    std::map<std::string, Pending> pending_;
    std::uint64_t next_id_ = 1;
};

} // namespace caisson::services::gateway
