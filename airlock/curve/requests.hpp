// The requests of the curve chamber: their numbers, sizes and layouts. Integers are little-endian, fields stand in the
// order of the comments, without padding. "body" is a whole ZMTP command body as on the wire (RFC 26).
// Spec: docs/spec/curve.md.
#pragma once

#include "airlock/limits.hpp"
#include "core/bytes.hpp"
#include "protocol/sgx.hpp"

namespace caisson::airlock::curve {

enum class Request : std::uint32_t {
    // Keys. flags: key_gated, key_listed; list_key only with the latter. A sealed blob opens for this signer on this
    // machine alone.
    create_key_pair = 1,           // flags u32, verifier_key[32], list_key[32] -> public_key[32], sealed
    import_sealed_private_key = 2, // sealed -> key u32, flags u32, public_key[32], handle[32], verifier_key[32],
                                   // list_key[32]
    import_private_key = 3,        // flags u32, verifier_key[32], list_key[32], secret[32] -> public_key[32], sealed
    export_sealed_private_key = 4, // key u32 -> sealed (anew)
    forget_key = 5,                // key u32 ->            its sessions end
    report_key = 6,                // key u32, TARGETINFO[512] -> REPORT[432] over report_data_of(public_key)

    // Handshakes and messages, the paper's Produce and Process.
    open_client = 10,     // key u32, server_public_key[32] -> session u32
    produce_hello = 11,   // session u32 -> HELLO body
    begin_client = 13,    // key u32, server_public_key[32] -> session u32, HELLO body   (open_client and produce_hello)
    process_hello = 12,   // key u32, HELLO body -> WELCOME body   (a server keeps nothing in between)
    process_welcome = 14, // session u32, WELCOME body ->
    produce_initiate = 15, // session u32, metadata -> INITIATE body
    process_initiate = 16, // key u32, INITIATE body -> session u32, client_public_key[32], admitted u32, metadata
                           // admitted 0: the gate says not now, and there is no session
    produce_ready = 17,    // session u32, metadata -> READY body
    process_ready = 18,    // session u32, READY body -> metadata
    produce_message = 19,  // session u32, flags u32 (message_more, message_command), text -> MESSAGE body
    process_message = 20,  // session u32, MESSAGE body -> flags u32, text
    process_error = 21,    // session u32, ERROR body -> reason
    close_session = 23,    // session u32 ->

    // Messages of one session, messages_per_request_max at most, for the price of one request.
    produce_messages = 38, // session u32, (text_bytes u32, flags u32, text)... -> MESSAGE body...; all or none
    process_messages = 39, // session u32, (body_bytes u32, MESSAGE body)... -> (flags u32, text)...
                           // as many as open; one that does not ends the session, an error only if it is the first

    // A message larger than a request, in pieces of any size. The host keeps what comes out until the end is there.
    produce_message_begin = 24,  // session u32, flags u32, text_bytes u64 -> body[33], its tag still zeros
    produce_message_piece = 25,  // session u32, text -> ciphertext
    produce_message_finish = 26, // session u32 -> tag[16], for its place in the body
    process_message_begin = 27,  // session u32, text_bytes u64, body[33] ->
    process_message_piece = 28,  // session u32, ciphertext -> text that nobody has vouched for yet
    process_message_finish = 29, // session u32 -> flags u32: now it is believed

    // The gate: what the attestation server signs.
    time_nonce = 30,        // -> nonce[32]; the one before is void
    accept_time_token = 31, // signed token ->
    accept_result = 32,     // signed Attestation Result ->
    gate_state = 33,        // -> state u32 (GateState), age_ms u64, messages_left u64, results u32
    peer_state = 34,        // public_key[32] -> admitted u32, tier u32, expires_in_ms u64, node[32], mrenclave[32]
    sweep_sessions = 35,    // first place u32 -> session u32, ...: of sweep_places_max places from that one on, the
                            // sessions that would be refused a message now; they are closed

    accept_access_list = 36, // signed access list -> serial u64, keys u32; for the keys that are pinned to its signer

    // libsodium-shaped, for the shim. The chamber follows the protocol by the nonces' prefixes.
    box_keypair = 40,      // flags u32 (keypair_lasting) or nothing -> public_key[32], handle[32]
    scalarmult_base = 41,  // handle[32] -> public_key[32]
    box = 42,              // handle[32], public_key[32], nonce[24], text -> box (tag first)
    box_open = 43,         // handle[32], public_key[32], nonce[24], box -> text
    beforenm = 44,         // handle[32], public_key[32] -> handle[32]
    box_afternm = 45,      // handle[32], nonce[24], text -> box
    box_open_afternm = 46, // handle[32], nonce[24], box -> text

    // End to end (docs/spec/e2e.md). "packet" is a whole part of the carrier's message.
    e2e_open_client = 80,      // key u32, order u32 (protocol::e2e::Order), server_public_key[32] -> session u32
    e2e_produce_hello = 81,    // session u32 -> packet
    e2e_process_hello = 82,    // key u32, packet -> packet (WELCOME)
    e2e_process_welcome = 83,  // session u32, packet ->
    e2e_produce_initiate = 84, // session u32, metadata (our property first) -> packet
    e2e_process_initiate = 85, // key u32, packet -> session u32, client_public_key[32], admitted u32, order u32,
                               // session_id[16], metadata
    e2e_produce_ready = 86,    // session u32, metadata -> packet
    e2e_process_ready = 87,    // session u32, packet -> session_id[16], metadata
    e2e_produce_message = 88,  // session u32, flags u32, text -> packet
    e2e_process_message = 89,  // session u32, packet (data or fan-out) -> flags u32, counter u64, text
    e2e_rekey = 90,            // session u32 ->
    e2e_close_session = 91,    // session u32 ->          forgets it; the peer hears of flag_close alone
    e2e_produce_fanout = 92,   // flags u32, count u32, session u32[count], text -> packet
    e2e_allow_sender = 93,     // key u32, sender_public_key[32] ->
    e2e_refuse_sender = 94,    // key u32, sender_public_key[32] ->
    e2e_produce_letter = 95,   // key u32, clock_hint u64, flags u32, count u32, public_key[32][count], text -> packet
    e2e_process_letter = 96,   // key u32, packet -> sender_public_key[32], number u64, flags u32, text
    e2e_seal_sender = 97,      // key u32, sender_public_key[32] -> sealed
    e2e_unseal_sender = 98,    // key u32, sender_public_key[32], sealed ->
    import_raw = 47,           // secret[32] ->    stands for itself from here on, as a long-term key

    // box_afternm and box_open_afternm in pieces.
    box_afternm_begin = 50,       // handle[32], nonce[24], text_bytes u64 ->
    box_afternm_piece = 51,       // handle[32], text -> ciphertext
    box_afternm_finish = 52,      // handle[32] -> tag[16]
    box_open_afternm_begin = 53,  // handle[32], nonce[24], text_bytes u64, tag[16] ->
    box_open_afternm_piece = 54,  // handle[32], ciphertext -> text that nobody has vouched for yet
    box_open_afternm_finish = 55, // handle[32] ->

    // What handles of lasting pairs are made with: it makes them good in every chamber that gets it.
    create_handle_key = 60, // -> sealed
    import_handle_key = 61, // sealed ->

    new_epoch = 62, // -> this machine was copied, restored or moved: ends all that counts nonces
};

inline constexpr std::uint32_t key_gated = 1;  // only peers the attestation server trusts now
inline constexpr std::uint32_t key_listed = 2; // only peers that the access list of the pinned signer names

inline constexpr std::uint32_t keypair_lasting = 1; // a key to keep, not one of a single handshake

inline constexpr std::uint32_t message_more = 1;
inline constexpr std::uint32_t message_command = 2;

enum class GateState : std::uint32_t { never = 0, open = 1, stale = 2 };

// The states of a session; a request's row says which of them permit it.
enum class SessionState : std::uint32_t {
    hello_due = 0,       // client
    welcome_awaited = 1, // client
    initiate_due = 2,    // client
    ready_awaited = 3,   // client
    ready_due = 4,       // server
    open = 5,
    open_sealing = 6, // a message to the peer is unfinished
    open_opening = 7, // one from the peer is
    open_both = 8,
};

inline constexpr std::size_t key_bytes = 32;
inline constexpr std::size_t nonce_bytes = 24;
inline constexpr std::size_t box_tag_bytes = 16;
inline constexpr std::size_t sealed_key_bytes_max = 320;
inline constexpr std::size_t metadata_bytes_max = std::size_t{16} << 10U;
inline constexpr std::size_t messages_per_request_max = 64;
inline constexpr std::size_t keys_max = 64;
inline constexpr std::size_t sweep_places_max = 4096;
inline constexpr std::size_t e2e_sessions_max = 256;
inline constexpr std::size_t e2e_correspondents_max = 128; // senders of letters, of all keys together
inline constexpr std::size_t e2e_sealed_sender_bytes_max = 1024;
inline constexpr std::size_t sessions_max = 10240;
inline constexpr std::size_t streams_max = 64; // unfinished messages
inline constexpr std::uint64_t streamed_bytes_max = std::uint64_t{1} << 36U;
// What stands before the text of a MESSAGE: name, nonce, tag, flags octet.
inline constexpr std::size_t message_head_bytes = 33;

// What a report of a key says: SHA-256 of this text and the public key, then zeros.
inline constexpr std::string_view report_domain = "caisson curve key v1";

} // namespace caisson::airlock::curve
