// Strangers: connections that have proved nothing yet, and the listeners where they come in. Who has a session is
// served before them, and of theirs a turn takes a few steps, however many they are. One thread.
#pragma once

#include "services/gateway/loop.hpp"

#include <deque>
#include <vector>

namespace caisson::services::gateway {

class Link;

class Strangers final : public Watcher {
  public:
    using Clock = std::chrono::steady_clock;

    // [GATE-23] So many a turn hears, so many it takes in, and so many make a step: beside sessions that talk, and
    // alone.
    static constexpr std::size_t steps_beside_sessions = 2;
    static constexpr std::size_t steps_alone = 16;
    // Beside sessions they rest so many times as long as their last turn took, and at most so long.
    static constexpr int rest_times = 7;
    static constexpr std::chrono::milliseconds rest_max{5};
    // A session talks for so long after its last frame. One that is young has company: many come at once.
    static constexpr std::chrono::milliseconds talk{20};
    static constexpr std::chrono::seconds young{1};
    static constexpr std::uint64_t together_min = 4;

    // `main` hears when somebody is ready in `own`, where strangers are watched. Both outlive this.
    Strangers(const Loop& main, const Loop& own);
    Strangers(const Strangers&) = delete;
    Strangers& operator=(const Strangers&) = delete;

    [[nodiscard]] const Loop& loop() const noexcept { return own_; }
    void on_ready(bool readable, bool writable) override;

    // It has something to do.
    void wake(Link& link) { awake_.push_back(&link); }
    // How long until it is the turn of those who wait; `longest` when nobody does.
    [[nodiscard]] std::chrono::microseconds due(Clock::time_point now, std::chrono::microseconds longest) const;

    // A session that began at `since` has frames.
    void note_talk(Clock::time_point since, Clock::time_point now) noexcept
    {
        talked_ = now - since > young ? now : talked_;
    }
    // A turn's share: tells those who are ready, and gives those who make a step.
    [[nodiscard]] std::vector<Link*> take(Clock::time_point now);
    // What they were given has taken until `now`.
    void rest(Clock::time_point now) noexcept;
    // Whether one more is taken in within this turn.
    [[nodiscard]] bool take_in() noexcept;
    void forget_ended();
    // [GATE-25] Whether, with so many handshakes under way, other programs run before the next turn.
    [[nodiscard]] bool gives_way(std::uint64_t handshaking, Clock::time_point now) const noexcept
    {
        return handshaking >= together_min && !beside_sessions(now);
    }

  private:
    [[nodiscard]] bool beside_sessions(Clock::time_point now) const noexcept { return now - talked_ < talk; }

    const Loop& main_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    const Loop& own_;  // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    Loop::Wish wish_;
    bool knocks_ = false; // somebody is ready: `main` need not say so again
    std::deque<Link*> awake_;
    std::size_t room_ = 0; // for who is taken in, in this turn
    Clock::time_point talked_{};
    Clock::time_point began_{}; // their last turn
    Clock::time_point next_{};  // before it, none beside sessions
};

} // namespace caisson::services::gateway
