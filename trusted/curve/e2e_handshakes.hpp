// The steps of end-to-end handshakes that wait together: CURVE's, in packets. Their products of keys are made together,
// by the kernel that makes several at once. Spec: docs/spec/e2e.md. One thread.
#pragma once

#include "airlock/table.hpp"
#include "core/inplace_vector.hpp"
#include "trusted/curve/e2e_session.hpp"
#include "trusted/runtime/chamber.hpp"

namespace caisson::trusted::curve {

class E2eHandshakes {
  public:
    // What both name outlives it.
    E2eHandshakes(Sources sources, E2eSessions& sessions) noexcept
        : sources_(sources)
        , sessions_(sessions)
    {
    }

    // Each joins; what it fails with is its answer. What a client cannot produce is then the end of its session, which
    // is the caller's business; what comes from the peer and does not fit changes nothing.
    // Requires: at most group_requests_max of them before the next `run`, of a session one.
    [[nodiscard]] Status add_produce_hello(airlock::Exchange& exchange, E2eSession& session) noexcept;
    [[nodiscard]] Status add_process_hello(airlock::Exchange& exchange, const LongTermKey& own) noexcept;
    [[nodiscard]] Status add_process_welcome(airlock::Exchange& exchange, E2eSession& session) noexcept;
    [[nodiscard]] Status add_produce_initiate(airlock::Exchange& exchange, E2eSession& session,
                                              const LongTermKey& own) noexcept;
    [[nodiscard]] Status add_process_initiate(airlock::Exchange& exchange, const LongTermKey& own, Gate* gate) noexcept;

    // Whether a step of it waits.
    [[nodiscard]] bool has(const E2eSession& session) const noexcept;

    // Answers all of them.
    void run() noexcept;

  private:
    struct Waiting {
        airlock::Exchange* exchange = nullptr;
        E2eSession* session = nullptr; // a client's
        Gate* gate = nullptr;
        E2eId id;                  // of the packet that came
        bool ends_session = false; // where it fails
        Status (*complete)(E2eHandshakes&, Waiting&) noexcept = nullptr;
        HandshakeStep step;
    };

    [[nodiscard]] Waiting& next_place(airlock::Exchange& exchange) noexcept;
    [[nodiscard]] static Status joined(Waiting& waiting, Status begun) noexcept;
    void advance(Waiting& waiting, bool has_key) noexcept;
    static Status complete_produce_hello(E2eHandshakes& self, Waiting& waiting) noexcept;
    static Status complete_process_hello(E2eHandshakes& self, Waiting& waiting) noexcept;
    static Status complete_process_welcome(E2eHandshakes& self, Waiting& waiting) noexcept;
    static Status complete_produce_initiate(E2eHandshakes& self, Waiting& waiting) noexcept;
    static Status complete_process_initiate(E2eHandshakes& self, Waiting& waiting) noexcept;

    Sources sources_;
    E2eSessions& sessions_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    InplaceVector<Waiting, group_requests_max> waiting_;
};

} // namespace caisson::trusted::curve
