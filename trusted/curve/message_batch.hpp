// Messages of a group of requests, of one session or of many, on their way through the kernel together: each has passed
// the table, the gate and its counter, and only its box is missing. The answers are those that one message after the
// other would have had.
#pragma once

#include "airlock/table.hpp"
#include "trusted/curve/session.hpp"
#include "trusted/runtime/chamber.hpp"

namespace caisson::trusted::curve {

class MessageBatch {
  public:
    // Requests ProduceMessage and ProcessMessage of an open session; the answer comes with `run`. Requires: at most
    // group_requests_max of them before that; the buffers of the exchange and the session's place stay.
    // Fails: malformed, exhausted; then there will be no answer, and a session whose message it was to open must end.
    [[nodiscard]] Status add_sealing(airlock::Exchange& exchange, Session& session) noexcept;
    [[nodiscard]] Status add_opening(airlock::Exchange& exchange, Session& session) noexcept;

    // Requests ProduceMessages and ProcessMessages, which answer at once. Requires: nothing waits. The first step looks
    // at all messages and says how many there are; the gate is asked for each before the second.
    // Fails: malformed, exhausted; nothing has changed then.
    [[nodiscard]] Result<std::size_t> lay_out_sealing(airlock::Exchange& exchange) noexcept;
    [[nodiscard]] Result<std::size_t> lay_out_opening(airlock::Exchange& exchange) noexcept;
    // `count` messages are laid out. The size of the answer; `ahead` is asked for meanwhile. Fails: exhausted (the
    // counter).
    [[nodiscard]] Result<std::size_t> seal_run(Session& session, airlock::Exchange& exchange, std::size_t count,
                                               LinesAhead& ahead) noexcept;
    struct OpenedRun {
        std::size_t output_bytes = 0; // of the messages before the first that does not open
        Status all;                   // or why that one does not; then the session must end
    };
    [[nodiscard]] OpenedRun open_run(Session& session, airlock::Exchange& exchange, std::size_t count,
                                     LinesAhead& ahead) noexcept;

    // Makes and opens the boxes and gives the answers, in order. A box that does not open ends its session [CURVE-2],
    // and for what waits behind it there is no session any more.
    void run(Sessions& sessions) noexcept;

  private:
    struct Waiting {
        airlock::Exchange* exchange = nullptr;
        Session* session = nullptr;
        std::uint32_t session_id = 0; // the session's, as long as it is not over
        std::uint32_t place = 0;      // among the jobs of its direction
        bool opening = false;
    };
    static_assert(airlock::curve::messages_per_request_max <= group_requests_max);
    using Jobs = std::array<crypto::BoxJob, group_requests_max>;

    crypto::BoxJob& wait(airlock::Exchange& exchange, Session& session, bool opening) noexcept;
    // Some of the jobs of a direction.
    struct Part {
        std::size_t first = 0;
        std::size_t count = 0;
        [[nodiscard]] bool has(std::size_t place) const noexcept { return place - first < count; }
    };
    void seal_one_by_one(Part part) noexcept;
    void open_one_by_one(Part part) noexcept;
    void finish(const Waiting& waiting, Sessions& sessions) noexcept;
    void make_boxes(Part part) noexcept;
    void open_boxes(Part part) noexcept;
    [[nodiscard]] std::size_t take_counters(Session& session, airlock::Exchange& exchange, std::size_t count,
                                            Status& all) noexcept;

    std::array<Waiting, group_requests_max> waiting_{};
    std::size_t count_ = 0;
    Jobs sealing_{};
    std::size_t sealing_count_ = 0;
    Jobs opening_{};
    std::size_t opening_count_ = 0;
    std::array<bool, group_requests_max> opened_{};
};

} // namespace caisson::trusted::curve
