// The steps of handshakes that wait together: their products of keys are made together, by the kernel that makes
// several at once. Spec: docs/spec/curve.md. One thread.
#pragma once

#include "airlock/table.hpp"
#include "core/inplace_vector.hpp"
#include "trusted/curve/handshake_step.hpp"
#include "trusted/runtime/chamber.hpp"

namespace caisson::trusted::curve {

class Handshakes {
  public:
    // What both name outlives it.
    Handshakes(Sources sources, Sessions& sessions) noexcept
        : sources_(sources)
        , sessions_(sessions)
    {
    }

    // Each joins; what it fails with is its answer, and whether a session ends with it is the caller's business.
    // Requires: at most group_requests_max of them before the next `run`, of a session one.
    // The session has nobody else yet, and its id stands before HELLO.
    [[nodiscard]] Status add_begin_client(airlock::Exchange& exchange, Session& session) noexcept;
    [[nodiscard]] Status add_produce_hello(airlock::Exchange& exchange, Session& session) noexcept;
    [[nodiscard]] Status add_process_hello(airlock::Exchange& exchange, const LongTermKey& own) noexcept;
    [[nodiscard]] Status add_process_welcome(airlock::Exchange& exchange, Session& session) noexcept;
    [[nodiscard]] Status add_produce_initiate(airlock::Exchange& exchange, Session& session,
                                              const LongTermKey& own) noexcept;
    [[nodiscard]] Status add_process_initiate(airlock::Exchange& exchange, const LongTermKey& own, Gate* gate) noexcept;

    // Whether a step of it waits.
    [[nodiscard]] bool has(std::uint32_t session_id) const noexcept;

    // Answers all of them. A step that fails here ends its session.
    void run() noexcept;

  private:
    struct Waiting {
        airlock::Exchange* exchange = nullptr;
        Gate* gate = nullptr;
        SessionState next{};         // of a client's session, when the step is complete
        bool opens = false;          // a server's session
        std::size_t front_bytes = 0; // of the answer, before what the step writes
        HandshakeStep step;
    };

    [[nodiscard]] Waiting& next_place(airlock::Exchange& exchange) noexcept;
    [[nodiscard]] static Status joined(Waiting& waiting, Status begun) noexcept;
    void advance(Waiting& waiting, bool has_key) noexcept;
    [[nodiscard]] Status complete(Waiting& waiting) noexcept;
    [[nodiscard]] Status open_session(Waiting& waiting) noexcept;

    Sources sources_;
    Sessions& sessions_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    InplaceVector<Waiting, group_requests_max> waiting_;
};

} // namespace caisson::trusted::curve
