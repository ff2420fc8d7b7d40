// The curve chamber: CURVE keys, handshakes, sessions and messages behind one table. No heap, no I/O, one thread.
// Spec: docs/spec/curve.md.
#pragma once

#include "airlock/curve/requests.hpp"
#include "airlock/table.hpp"
#include "trusted/curve/cookies.hpp"
#include "trusted/curve/e2e_handshakes.hpp"
#include "trusted/curve/e2e_letter.hpp"
#include "trusted/curve/e2e_session.hpp"
#include "trusted/curve/gate.hpp"
#include "trusted/curve/handshakes.hpp"
#include "trusted/curve/key_table.hpp"
#include "trusted/curve/message_batch.hpp"
#include "trusted/curve/packet_batch.hpp"
#include "trusted/curve/pair_batch.hpp"
#include "trusted/curve/session.hpp"
#include "trusted/curve/shim_keys.hpp"

namespace caisson::trusted::curve {

inline constexpr std::size_t gates_max = 4;        // attestation servers one chamber can stand under
inline constexpr std::size_t access_lists_max = 4; // signers of lists

class Chamber {
  public:
    // Tables that grow with use lie in `arena`, which must have room for all of them.
    Chamber(Runtime& runtime, Arena& arena) noexcept;
    Chamber(const Chamber&) = delete;
    Chamber& operator=(const Chamber&) = delete;

    // Requests of airlock/curve/requests.hpp, answered in their order; messages and key pairs among them are made
    // together. Requires: at most group_requests_max of them.
    void answer(std::span<airlock::Exchange> group) noexcept;
    // What the next group will touch: asked for while this one is answered.
    [[nodiscard]] LinesAhead& lines_ahead() noexcept { return ahead_; }
    // One of them.
    airlock::Answer answer(std::uint32_t request, MutableBytes input, MutableBytes output) noexcept;

  private:
    static const airlock::Row<Chamber> table_[];
    static Result<std::uint32_t> state_of_session(const Chamber& chamber, Bytes input) noexcept;

    // chamber_keys.cpp
    Result<std::size_t> create_key_pair(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> import_sealed_private_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> import_private_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> export_sealed_private_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> forget_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> report_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> time_nonce(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> accept_time_token(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> accept_result(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> accept_access_list(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> gate_state(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> peer_state(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> new_epoch(Bytes input, MutableBytes output) noexcept;

    // chamber_sessions.cpp
    Result<std::size_t> open_client(Bytes input, MutableBytes output) noexcept;
    void begin_client(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void produce_hello(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void process_hello(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void process_welcome(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void produce_initiate(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void process_initiate(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    Result<std::size_t> produce_ready(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> process_ready(Bytes input, MutableBytes output) noexcept;
    // A client's session, in a handshake that has not begun. `input`: key, server_public_key.
    [[nodiscard]] Result<Session*> new_client(Bytes input) noexcept;
    // What the request names; or null and the answer.
    [[nodiscard]] Session* session_of(airlock::Exchange& exchange) noexcept;
    [[nodiscard]] const LongTermKey* key_of(airlock::Exchange& exchange, std::uint32_t id) noexcept;
    // A step of a handshake has joined, or this is its answer, and the end of its session.
    void note_joined(airlock::Exchange& exchange, Session* session, const Status& joined) noexcept;
    // Whether what waits has to be answered before this request is looked at.
    [[nodiscard]] bool comes_after_all(const airlock::Exchange& exchange) const noexcept;
    // The session of a message, in a state that the row permits and with its gate open; or null and the answer.
    [[nodiscard]] Session* message_session(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void produce_message(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void process_message(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void produce_messages(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void process_messages(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    [[nodiscard]] Status check_gate_for_more(Session& session, std::size_t messages) noexcept;
    [[nodiscard]] Result<std::size_t> seal_run(Session& session, airlock::Exchange& exchange) noexcept;
    [[nodiscard]] Result<std::size_t> open_run(Session& session, airlock::Exchange& exchange) noexcept;
    Result<std::size_t> process_error(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> close_session(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> sweep_sessions(Bytes input, MutableBytes output) noexcept;

    // chamber_streams.cpp
    Result<std::size_t> produce_message_begin(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> produce_message_piece(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> produce_message_finish(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> process_message_begin(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> process_message_piece(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> process_message_finish(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_afternm_begin(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_afternm_piece(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_afternm_finish(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_open_afternm_begin(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_open_afternm_piece(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_open_afternm_finish(Bytes input, MutableBytes output) noexcept;

    // chamber_shim.cpp
    void box_keypair(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    Result<std::size_t> import_raw(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> create_handle_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> import_handle_key(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> scalarmult_base(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_open(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> beforenm(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_afternm(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> box_open_afternm(Bytes input, MutableBytes output) noexcept;

    // chamber_e2e.cpp
    static Result<std::uint32_t> state_of_e2e_session(const Chamber& chamber, Bytes input) noexcept;
    [[nodiscard]] Status check_e2e_gate(E2eSession& session) noexcept;
    Result<std::size_t> e2e_open_client(Bytes input, MutableBytes output) noexcept;
    void e2e_produce_hello(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void e2e_process_hello(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void e2e_process_welcome(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void e2e_produce_initiate(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void e2e_process_initiate(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    [[nodiscard]] E2eSession* e2e_session_of(airlock::Exchange& exchange) noexcept;
    static void note_e2e_step(airlock::Exchange& exchange, E2eSession* session, const Status& joined) noexcept;
    Result<std::size_t> e2e_produce_ready(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_process_ready(Bytes input, MutableBytes output) noexcept;
    void e2e_produce_message(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void e2e_process_message(const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept;
    void note_packet(airlock::Exchange& exchange, const Status& joined) noexcept;
    [[nodiscard]] Status join_sealing(airlock::Exchange& exchange) noexcept;
    [[nodiscard]] Status join_opening(airlock::Exchange& exchange) noexcept;
    // PacketBatch::must_be_alone, of a request; false where it is about no session.
    [[nodiscard]] bool packet_is_alone(const airlock::Exchange& exchange) const noexcept;
    Result<std::size_t> e2e_rekey(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_close_session(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_produce_fanout(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_allow_sender(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_refuse_sender(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_produce_letter(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_process_letter(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_seal_sender(Bytes input, MutableBytes output) noexcept;
    Result<std::size_t> e2e_unseal_sender(Bytes input, MutableBytes output) noexcept;

    // Answers all that has joined a batch.
    void run_batches() noexcept;
    // Closes it after what waits for it; it may be gone by then.
    void end_session(std::uint32_t session_id) noexcept;
    // Ends what is late, and everything when the tick counter went back.
    void look_at_time() noexcept;
    void end_epoch() noexcept;
    [[nodiscard]] Status take_time_token(Gate& gate, Bytes token) noexcept;
    // A document goes to every gate that asks for trust: several can have one server. Fails as the last that it was
    // for.
    template <typename Take>
    [[nodiscard]] Status offer(Take take) noexcept;
    [[nodiscard]] const Gate* trust_gate() const noexcept; // the first; null: there is none
    [[nodiscard]] Result<Access*> list_for(const LongTermKey& key) noexcept;
    // What the key's blob pins; null when it pins nothing. Fails: exhausted.
    [[nodiscard]] Result<Gate*> gate_for(const LongTermKey& key) noexcept;
    [[nodiscard]] Gate* known_gate(const LongTermKey& key) noexcept;
    // Ends the session and answers `expired` when its gate does not let it go on.
    [[nodiscard]] Status check_gate(Session& session) noexcept;
    // Seals a new key for the host to keep; the key itself is not kept.
    [[nodiscard]] Result<std::size_t> answer_new_key(const LongTermKey& key, MutableBytes output) noexcept;

    Runtime& runtime_;
    KeyTable keys_;
    Cookies cookies_;
    Transients transients_;
    Sources sources_{runtime_, cookies_, transients_};
    Streams streams_; // before those who lease from it
    ShimKeys shim_keys_;
    MessageBatch messages_;
    LinesAhead ahead_;
    PairBatch pairs_;
    E2eSessions e2e_sessions_;
    PacketBatch packets_;
    Letters letters_;
    ArenaTable<Access, access_lists_max> lists_;
    ArenaTable<Gate, gates_max> gates_;
    Sessions sessions_; // the last in the arena: where memory is short, sessions are fewer
    Handshakes handshakes_;
    E2eHandshakes e2e_handshakes_;
    std::uint64_t last_ticks_ = 0;
    std::uint64_t swept_ticks_ = 0;
};

} // namespace caisson::trusted::curve
