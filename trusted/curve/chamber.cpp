#include "trusted/curve/chamber.hpp"

#include "core/wire.hpp"

namespace caisson::trusted::curve {
namespace {

using airlock::in_states;
using airlock::curve::Request;
namespace requests = airlock::curve;
namespace e2e = protocol::e2e;

template <auto Handler>
Result<std::size_t> handle(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    return (chamber.*Handler)(input, output);
}

template <auto Join>
void join(Chamber& chamber, const airlock::Row<Chamber>& row, airlock::Exchange& exchange) noexcept
{
    (chamber.*Join)(row, exchange);
}

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

constexpr std::size_t id = sizeof(std::uint32_t);
constexpr std::size_t key = requests::key_bytes;
constexpr std::size_t nonce = requests::nonce_bytes;
constexpr std::size_t tag = requests::box_tag_bytes;
constexpr std::size_t size = sizeof(std::uint64_t);
constexpr std::size_t head = requests::message_head_bytes;
constexpr std::size_t payload = airlock::payload_bytes_max;
constexpr std::size_t metadata = requests::metadata_bytes_max;
constexpr auto any = airlock::in_any_state;

constexpr bool is_run(std::uint32_t request) noexcept
{
    return request == number(Request::produce_messages) || request == number(Request::process_messages);
}

} // namespace

// [CURVE-1] Numbers, sizes, states: what is not here is not answered.
// clang-format off
const airlock::Row<Chamber> Chamber::table_[] = {
    {number(Request::produce_message), "ProduceMessage", 2 * id, payload,
     in_states(SessionState::open, SessionState::open_opening), nullptr, nullptr, join<&Chamber::produce_message>},
    {number(Request::process_message), "ProcessMessage", id + 33, payload,
     in_states(SessionState::open, SessionState::open_sealing), nullptr, nullptr, join<&Chamber::process_message>},
    {number(Request::e2e_produce_message), "E2eProduceMessage", 2 * id, 2 * id + e2e::text_bytes_max,
     in_states(SessionState::open), state_of_e2e_session, nullptr, join<&Chamber::e2e_produce_message>},
    {number(Request::e2e_process_message), "E2eProcessMessage", id + e2e::head_bytes, payload,
     in_states(SessionState::open), state_of_e2e_session, nullptr, join<&Chamber::e2e_process_message>},
    {number(Request::produce_messages), "ProduceMessages", 3 * id, payload,
     in_states(SessionState::open, SessionState::open_opening), nullptr, nullptr, join<&Chamber::produce_messages>},
    {number(Request::process_messages), "ProcessMessages", 2 * id + 33, payload,
     in_states(SessionState::open, SessionState::open_sealing), nullptr, nullptr, join<&Chamber::process_messages>},
    {number(Request::produce_message_piece), "ProduceMessagePiece", id, payload,
     in_states(SessionState::open_sealing, SessionState::open_both), state_of_session,
     handle<&Chamber::produce_message_piece>},
    {number(Request::process_message_piece), "ProcessMessagePiece", id, payload,
     in_states(SessionState::open_opening, SessionState::open_both), state_of_session,
     handle<&Chamber::process_message_piece>},
    {number(Request::box_afternm), "BoxAfternm", key + nonce, payload, any, nullptr, handle<&Chamber::box_afternm>},
    {number(Request::box_open_afternm), "BoxOpenAfternm", key + nonce + tag, payload, any, nullptr,
     handle<&Chamber::box_open_afternm>},

    {number(Request::create_key_pair), "CreateKeyPair", id + key, id + 2 * key, any, nullptr,
     handle<&Chamber::create_key_pair>},
    {number(Request::import_sealed_private_key), "ImportSealedPrivateKey", 1, requests::sealed_key_bytes_max, any,
     nullptr, handle<&Chamber::import_sealed_private_key>},
    {number(Request::import_private_key), "ImportPrivateKey", id + 2 * key, id + 3 * key, any, nullptr,
     handle<&Chamber::import_private_key>},
    {number(Request::export_sealed_private_key), "ExportSealedPrivateKey", id, id, any, nullptr,
     handle<&Chamber::export_sealed_private_key>},
    {number(Request::forget_key), "ForgetKey", id, id, any, nullptr, handle<&Chamber::forget_key>},
    {number(Request::report_key), "ReportKey", id + 512, id + 512, any, nullptr, handle<&Chamber::report_key>},

    {number(Request::open_client), "OpenClient", id + key, id + key, any, nullptr, handle<&Chamber::open_client>},
    {number(Request::begin_client), "BeginClient", id + key, id + key, any, nullptr, nullptr,
     join<&Chamber::begin_client>},
    {number(Request::produce_hello), "ProduceHello", id, id,
     in_states(SessionState::hello_due), state_of_session, nullptr, join<&Chamber::produce_hello>},
    {number(Request::process_hello), "ProcessHello", id + 200, id + 200, any, nullptr,
     nullptr, join<&Chamber::process_hello>},
    {number(Request::process_welcome), "ProcessWelcome", id + 168, id + 168,
     in_states(SessionState::welcome_awaited), state_of_session, nullptr, join<&Chamber::process_welcome>},
    {number(Request::produce_initiate), "ProduceInitiate", id, id + metadata,
     in_states(SessionState::initiate_due), state_of_session, nullptr, join<&Chamber::produce_initiate>},
    {number(Request::process_initiate), "ProcessInitiate", id + 257, id + 257 + metadata, any, nullptr,
     nullptr, join<&Chamber::process_initiate>},
    {number(Request::produce_ready), "ProduceReady", id, id + metadata,
     in_states(SessionState::ready_due), state_of_session, handle<&Chamber::produce_ready>},
    {number(Request::process_ready), "ProcessReady", id + 30, id + 30 + metadata,
     in_states(SessionState::ready_awaited), state_of_session, handle<&Chamber::process_ready>},
    {number(Request::process_error), "ProcessError", id + 7, id + 7 + 255,
     in_states(SessionState::welcome_awaited, SessionState::ready_awaited), state_of_session,
     handle<&Chamber::process_error>},
    {number(Request::close_session), "CloseSession", id, id, any, state_of_session, handle<&Chamber::close_session>},

    {number(Request::produce_message_begin), "ProduceMessageBegin", 2 * id + size, 2 * id + size,
     in_states(SessionState::open, SessionState::open_opening), state_of_session,
     handle<&Chamber::produce_message_begin>},
    {number(Request::produce_message_finish), "ProduceMessageFinish", id, id,
     in_states(SessionState::open_sealing, SessionState::open_both), state_of_session,
     handle<&Chamber::produce_message_finish>},
    {number(Request::process_message_begin), "ProcessMessageBegin", id + size + head, id + size + head,
     in_states(SessionState::open, SessionState::open_sealing), state_of_session,
     handle<&Chamber::process_message_begin>},
    {number(Request::process_message_finish), "ProcessMessageFinish", id, id,
     in_states(SessionState::open_opening, SessionState::open_both), state_of_session,
     handle<&Chamber::process_message_finish>},

    {number(Request::time_nonce), "TimeNonce", 0, 0, any, nullptr, handle<&Chamber::time_nonce>},
    {number(Request::accept_time_token), "AcceptTimeToken", 1, protocol::time_token_bytes_max, any, nullptr,
     handle<&Chamber::accept_time_token>},
    {number(Request::accept_result), "AcceptResult", 1, protocol::attestation_result_bytes_max, any, nullptr,
     handle<&Chamber::accept_result>},
    {number(Request::accept_access_list), "AcceptAccessList", 1, protocol::access_list_bytes_max, any, nullptr,
     handle<&Chamber::accept_access_list>},
    {number(Request::gate_state), "GateState", 0, 0, any, nullptr, handle<&Chamber::gate_state>},
    {number(Request::peer_state), "PeerState", key, key, any, nullptr, handle<&Chamber::peer_state>},
    {number(Request::sweep_sessions), "SweepSessions", id, id, any, nullptr, handle<&Chamber::sweep_sessions>},

    {number(Request::box_keypair), "BoxKeypair", 0, id, any, nullptr, nullptr, join<&Chamber::box_keypair>},
    {number(Request::import_raw), "ImportRaw", key, key, any, nullptr, handle<&Chamber::import_raw>},
    {number(Request::create_handle_key), "CreateHandleKey", 0, 0, any, nullptr, handle<&Chamber::create_handle_key>},
    {number(Request::import_handle_key), "ImportHandleKey", 1, requests::sealed_key_bytes_max, any, nullptr,
     handle<&Chamber::import_handle_key>},
    {number(Request::new_epoch), "NewEpoch", 0, 0, any, nullptr, handle<&Chamber::new_epoch>},
    {number(Request::scalarmult_base), "ScalarmultBase", key, key, any, nullptr, handle<&Chamber::scalarmult_base>},
    {number(Request::box), "Box", 2 * key + nonce, payload, any, nullptr, handle<&Chamber::box>},
    {number(Request::box_open), "BoxOpen", 2 * key + nonce + tag, payload, any, nullptr, handle<&Chamber::box_open>},
    {number(Request::beforenm), "Beforenm", 2 * key, 2 * key, any, nullptr, handle<&Chamber::beforenm>},

    {number(Request::e2e_open_client), "E2eOpenClient", 2 * id + key, 2 * id + key, any, nullptr,
     handle<&Chamber::e2e_open_client>},
    {number(Request::e2e_produce_hello), "E2eProduceHello", id, id,
     in_states(SessionState::hello_due), state_of_e2e_session, nullptr, join<&Chamber::e2e_produce_hello>},
    {number(Request::e2e_process_hello), "E2eProcessHello", id + e2e::head_bytes + 200, id + e2e::head_bytes + 200, any, nullptr,
     nullptr, join<&Chamber::e2e_process_hello>},
    {number(Request::e2e_process_welcome), "E2eProcessWelcome", id + e2e::head_bytes + 168, id + e2e::head_bytes + 168,
     in_states(SessionState::welcome_awaited), state_of_e2e_session, nullptr, join<&Chamber::e2e_process_welcome>},
    {number(Request::e2e_produce_initiate), "E2eProduceInitiate", id, id + metadata,
     in_states(SessionState::initiate_due), state_of_e2e_session, nullptr, join<&Chamber::e2e_produce_initiate>},
    {number(Request::e2e_process_initiate), "E2eProcessInitiate", id + e2e::head_bytes + 257, id + e2e::head_bytes + 257 + metadata, any, nullptr,
     nullptr, join<&Chamber::e2e_process_initiate>},
    {number(Request::e2e_produce_ready), "E2eProduceReady", id, id + metadata,
     in_states(SessionState::ready_due), state_of_e2e_session, handle<&Chamber::e2e_produce_ready>},
    {number(Request::e2e_process_ready), "E2eProcessReady", id + e2e::data_overhead_bytes, id + e2e::data_overhead_bytes + metadata,
     in_states(SessionState::ready_awaited), state_of_e2e_session, handle<&Chamber::e2e_process_ready>},
    {number(Request::e2e_rekey), "E2eRekey", id, id,
     in_states(SessionState::open), state_of_e2e_session, handle<&Chamber::e2e_rekey>},
    {number(Request::e2e_close_session), "E2eCloseSession", id, id, any, state_of_e2e_session,
     handle<&Chamber::e2e_close_session>},
    {number(Request::e2e_produce_fanout), "E2eProduceFanout", 3 * id, 2 * id + e2e::recipients_max * id + e2e::text_bytes_max, any, nullptr,
     handle<&Chamber::e2e_produce_fanout>},
    {number(Request::e2e_allow_sender), "E2eAllowSender", id + key, id + key, any, nullptr,
     handle<&Chamber::e2e_allow_sender>},
    {number(Request::e2e_refuse_sender), "E2eRefuseSender", id + key, id + key, any, nullptr,
     handle<&Chamber::e2e_refuse_sender>},
    {number(Request::e2e_produce_letter), "E2eProduceLetter", id + 8 + 2 * id + key, id + 8 + 2 * id + e2e::recipients_max * key + e2e::text_bytes_max, any, nullptr,
     handle<&Chamber::e2e_produce_letter>},
    {number(Request::e2e_process_letter), "E2eProcessLetter", id + e2e::head_bytes, payload, any, nullptr,
     handle<&Chamber::e2e_process_letter>},
    {number(Request::e2e_seal_sender), "E2eSealSender", id + key, id + key, any, nullptr,
     handle<&Chamber::e2e_seal_sender>},
    {number(Request::e2e_unseal_sender), "E2eUnsealSender", id + key + 1, id + key + requests::e2e_sealed_sender_bytes_max, any, nullptr,
     handle<&Chamber::e2e_unseal_sender>},
    {number(Request::box_afternm_begin), "BoxAfternmBegin", key + nonce + size, key + nonce + size, any, nullptr,
     handle<&Chamber::box_afternm_begin>},
    {number(Request::box_afternm_piece), "BoxAfternmPiece", key, payload, any, nullptr,
     handle<&Chamber::box_afternm_piece>},
    {number(Request::box_afternm_finish), "BoxAfternmFinish", key, key, any, nullptr,
     handle<&Chamber::box_afternm_finish>},
    {number(Request::box_open_afternm_begin), "BoxOpenAfternmBegin", key + nonce + size + tag,
     key + nonce + size + tag, any, nullptr, handle<&Chamber::box_open_afternm_begin>},
    {number(Request::box_open_afternm_piece), "BoxOpenAfternmPiece", key, payload, any, nullptr,
     handle<&Chamber::box_open_afternm_piece>},
    {number(Request::box_open_afternm_finish), "BoxOpenAfternmFinish", key, key, any, nullptr,
     handle<&Chamber::box_open_afternm_finish>},
};
// clang-format on

Chamber::Chamber(Runtime& runtime, Arena& arena) noexcept
    : runtime_(runtime)
    , shim_keys_(
          runtime, arena, keys_, streams_,
          [](void* self, const LongTermKey& own) noexcept { return static_cast<Chamber*>(self)->known_gate(own); },
          this)
    , e2e_sessions_(arena)
    , lists_(arena)
    , gates_(arena)
    , sessions_(arena)
    , handshakes_(sources_, sessions_)
    , e2e_handshakes_(sources_, e2e_sessions_)
{
}

// Of a session one step of its handshake waits at a time: the next is permitted by what comes of it.
bool Chamber::comes_after_all(const airlock::Exchange& exchange) const noexcept
{
    switch (static_cast<Request>(exchange.request)) {
    case Request::produce_message:
    case Request::process_message:
    case Request::box_keypair:
    case Request::begin_client:
    case Request::process_hello:
    case Request::process_initiate:
    case Request::e2e_process_hello:
    case Request::e2e_process_initiate: return false;
    case Request::e2e_produce_message:
    case Request::e2e_process_message: return packet_is_alone(exchange);
    case Request::produce_hello:
    case Request::process_welcome:
    case Request::produce_initiate: {
        const auto session = Reader(exchange.input).read_le<std::uint32_t>();
        return !session || handshakes_.has(*session);
    }
    case Request::e2e_produce_hello:
    case Request::e2e_process_welcome:
    case Request::e2e_produce_initiate: {
        const auto id_of_session = Reader(exchange.input).read_le<std::uint32_t>();
        const auto session = id_of_session ? e2e_sessions_.find(*id_of_session) : fail(Kind::missing, "");
        return !session || e2e_handshakes_.has(**session);
    }
    default: return true;
    }
}

// What joins a batch is answered when the batch runs: before the first request that is none of its kind, and at the
// end.
void Chamber::answer(std::span<airlock::Exchange> group) noexcept
{
    look_at_time();
    if (group.size() != 1 || !is_run(group.front().request)) { // a run of messages asks in parts
        ahead_.ask_all();
    }
    for (auto& exchange : group) {
        if (comes_after_all(exchange)) {
            run_batches();
        }
        airlock::dispatch<Chamber>(table_, *this, exchange);
    }
    run_batches();
}

airlock::Answer Chamber::answer(std::uint32_t request, MutableBytes input, MutableBytes output) noexcept
{
    airlock::Exchange exchange{request, input, output, {}};
    answer({&exchange, 1});
    return exchange.answer;
}

void Chamber::run_batches() noexcept
{
    messages_.run(sessions_);
    packets_.run();
    pairs_.run(shim_keys_);
    handshakes_.run();
    e2e_handshakes_.run();
}

void Chamber::end_session(std::uint32_t session_id) noexcept
{
    messages_.run(sessions_);
    if (auto session = sessions_.find(session_id); session) {
        sessions_.close(**session);
    }
}

// [CURVE-50] A counter that goes back is another machine's, or this one's from before: nonces may have been used since.
void Chamber::look_at_time() noexcept
{
    constexpr std::uint64_t sweep_ticks = std::uint64_t{1} << 33U;
    constexpr std::uint64_t skew_ticks = std::uint64_t{1} << 22U; // between two processors
    const auto now = runtime_.ticks();
    if (now + skew_ticks < last_ticks_) {
        end_epoch();
        swept_ticks_ = now;
    }
    last_ticks_ = now;
    if (now > swept_ticks_ && now - swept_ticks_ > sweep_ticks) {
        swept_ticks_ = now;
        sessions_.close_late_handshakes(now);
        shim_keys_.end_late(now);
    }
}

void Chamber::end_epoch() noexcept
{
    sessions_.close_all();
    e2e_sessions_.close_all();
    shim_keys_.end_transients();
    cookies_.forget();
    transients_.forget();
}

Result<std::uint32_t> Chamber::state_of_session(const Chamber& chamber, Bytes input) noexcept
{
    Reader reader(input);
    const auto session = TRY(reader.read_le<std::uint32_t>());
    const auto* found = TRY(chamber.sessions_.find(session));
    return static_cast<std::uint32_t>(found->state);
}

Gate* Chamber::known_gate(const LongTermKey& own) noexcept
{
    for (std::size_t index = 0; index < gates_.size(); ++index) {
        auto& gate = gates_[index];
        const auto* list = gate.list();
        if ((own.gated || own.listed) && gate.verifier() == own.verifier && (list != nullptr) == own.listed &&
            (list == nullptr || list->signer() == own.list_signer)) {
            return &gate;
        }
    }
    return nullptr;
}

Result<Access*> Chamber::list_for(const LongTermKey& own) noexcept
{
    for (std::size_t index = 0; index < lists_.size(); ++index) {
        if (lists_[index].signer() == own.list_signer) {
            return &lists_[index];
        }
    }
    if (lists_.size() == access_lists_max) {
        return fail(Kind::exhausted, "the chamber knows as many signers of access lists as it can");
    }
    auto* const list = TRY(lists_.add());
    list->pin(own.list_signer);
    return list;
}

// [CURVE-60] Lists stay for the chamber's life, whatever keys come and go: their serials never go back.
Result<Gate*> Chamber::gate_for(const LongTermKey& own) noexcept
{
    if (!own.gated && !own.listed) {
        return nullptr;
    }
    if (auto* gate = known_gate(own); gate != nullptr) {
        return gate;
    }
    if (gates_.size() == gates_max) {
        return fail(Kind::exhausted, "the chamber stands under as many attestation servers as it can");
    }
    const auto* list = own.listed ? TRY(list_for(own)) : nullptr;
    auto* const gate = TRY(gates_.add());
    gate->pin(own.verifier);
    if (list != nullptr) {
        gate->pin_list(*list);
    }
    return gate;
}

} // namespace caisson::trusted::curve
