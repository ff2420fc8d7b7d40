// Packets of data and fan-outs of a group of requests, of one end-to-end session or of many, on their way through the
// kernel together. Their counters are taken, or judged, in the order of the group, and the answers are those that one
// packet after the other would have had. Spec: docs/spec/e2e.md. One thread.
#pragma once

#include "airlock/table.hpp"
#include "trusted/curve/fanout_openings.hpp"

namespace caisson::trusted::curve {

class PacketBatch {
  public:
    // Whether this request, of a session that is there, must not be among others: its key moves on, or its session
    // ends.
    [[nodiscard]] static bool must_be_alone(const E2eSession& session, std::uint8_t flags) noexcept;
    // The same of one to be opened: it is not of the present epoch.
    [[nodiscard]] static bool must_be_alone(const E2eSession& session, const Packet& packet) noexcept;

    // Requests E2eProduceMessage and E2eProcessMessage of an open session; the answer comes with `run`. Requires: at
    // most group_requests_max of them before that; nothing but `run` ends the session or moves its keys on meanwhile.
    // Fails: exhausted, malformed, missing, expired; then nothing has changed.
    [[nodiscard]] Status add_sealing(airlock::Exchange& exchange, E2eSession& session, std::uint8_t flags) noexcept;
    [[nodiscard]] Status add_opening(airlock::Exchange& exchange, E2eSession& session, const Packet& packet) noexcept;

    // One of them that has been refused: it is so unless one before it ends the session.
    void add_refused(airlock::Exchange& exchange, E2eSession& session, Error why) noexcept;

    // Makes and opens the boxes and gives the answers, in order. What ends its session ends it here, and for what waits
    // behind it there is no session any more.
    void run() noexcept;

  private:
    enum class JobKind : std::uint8_t { sealing, opening, fanout };
    struct Waiting {
        airlock::Exchange* exchange = nullptr;
        E2eSession* session = nullptr;
        std::uint32_t session_id = 0; // the session's, as long as it is not over
        std::uint32_t place = 0;      // among the jobs of its kind
        JobKind kind = JobKind::sealing;
        std::uint64_t counter = 0;
        Status joined; // or why not; then there is no job
    };
    using Jobs = std::array<crypto::BoxJob, group_requests_max>;

    [[nodiscard]] Status add_fanout(airlock::Exchange& exchange, E2eSession& session, const Packet& packet) noexcept;
    Waiting& wait(airlock::Exchange& exchange, E2eSession& session, JobKind kind, std::uint64_t counter) noexcept;
    void make_boxes() noexcept;
    void open_boxes() noexcept;
    [[nodiscard]] Status judge(const Waiting& waiting) const noexcept;
    [[nodiscard]] bool is_authentic(const Waiting& waiting) const noexcept;
    [[nodiscard]] std::uint8_t flags_of(const Waiting& waiting) const noexcept;
    void refuse(const Waiting& waiting, Error why) noexcept;
    void finish(const Waiting& waiting) noexcept;

    std::array<Waiting, group_requests_max> waiting_{};
    std::size_t count_ = 0;
    Jobs sealing_{};
    std::size_t sealing_count_ = 0;
    Jobs opening_{};
    std::size_t opening_count_ = 0;
    std::array<bool, group_requests_max> opened_{};
    FanoutOpenings fanouts_;
};

} // namespace caisson::trusted::curve
