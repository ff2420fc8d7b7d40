/* libcaisson: CURVE for ZeroMQ with keys that stay in a chamber. C interface; C++ programs use caisson/caisson.hpp.
 *
 * Four things, each usable alone:
 *   chambers and keys   a home's curve chamber, and the keys in it               caisson_open, caisson_load_key
 *   the hop codec       CurveZMQ's commands (RFC 26), to put into ZMTP frames    caisson_produce_*, caisson_process_*
 *   the end-to-end      sessions, fan-out and letters through brokers; packets   caisson_e2e_*, caisson_endpoint_*
 *                       for one part of any carrier's multipart message
 *   sockets             ZMTP 3.1 over tcp and ipc, CURVE or NULL                 caisson_socket_*
 *
 * Secrets are never here: a key is a number of the chamber, a session too.
 *
 * Errors. Functions return CAISSON_OK or a negative code; caisson_error_text() then says why, for people, for the last
 * call of this thread. A null pointer where none may be is CAISSON_MALFORMED. No function ends the process, sets a
 * signal handler or writes to a terminal.
 *
 * Buffers. Where a function fills `out`, `*out_size` is its room before and what was written after. Too little room is
 * CAISSON_EXHAUSTED. Sizes are octets.
 *
 * Threads. A caisson_chamber may be used by all threads at once. A caisson_socket or caisson_endpoint is used by one
 * thread at a time. Different objects are independent. Not usable in a child after fork(): open anew.
 *
 * Source: RFC 23, 26, 37; docs/spec/curve.md, docs/spec/e2e.md. Manual: caisson(3).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CAISSON_KEY_BYTES 32
#define CAISSON_SEALED_KEY_BYTES_MAX 320
#define CAISSON_METADATA_BYTES_MAX 16384
#define CAISSON_MESSAGE_BYTES_MAX 262144 /* one text of the hop codec */
#define CAISSON_MESSAGE_OVERHEAD 33      /* what MESSAGE adds to it */
#define CAISSON_E2E_ID_BYTES 16
#define CAISSON_E2E_TEXT_BYTES_MAX 131072 /* one text of an end-to-end packet */
#define CAISSON_E2E_PACKET_OVERHEAD 49    /* what a packet of data adds to it */
#define CAISSON_E2E_RECIPIENTS_MAX 256
#define CAISSON_E2E_SEALED_SENDER_BYTES_MAX 1024
/* Room that is enough for any command of a handshake, apart from metadata. */
#define CAISSON_COMMAND_BYTES_MAX 512

/* What a caller can do about it. */
enum caisson_code {
    CAISSON_OK = 0,
    CAISSON_TRUNCATED = -1,    /* more octets are needed */
    CAISSON_MALFORMED = -2,    /* not what the format, or this function, says */
    CAISSON_UNAUTHENTIC = -3,  /* a box, seal or vouch does not open */
    CAISSON_UNACCEPTABLE = -4, /* authentic, but refused */
    CAISSON_FORBIDDEN = -5,    /* not by this caller, or not in this state */
    CAISSON_MISSING = -6,      /* no such key, session, file */
    CAISSON_CONFLICT = -7,     /* there already; in strict order: packets are missing */
    CAISSON_EXPIRED = -8,      /* too old, used before, or no longer trusted */
    CAISSON_EXHAUSTED = -9,    /* a limit, table or buffer is full */
    CAISSON_UNAVAILABLE = -10, /* not now: try again (time is up, the peer or the chamber is gone) */
};

const char* caisson_version(void);
const char* caisson_code_name(int code); /* in one word */
const char* caisson_error_text(void);    /* valid until the next call of this thread */

/* ---- Chambers and keys ------------------------------------------------------------------------------------------ */

typedef struct caisson_chamber caisson_chamber;

/* Starts the curve chamber of a home. NULL: $CAISSON_HOME, else /var/lib/caisson for root, else ~/.local/share/caisson.
 * The images are looked for in $CAISSON_IMAGES, then where the library is installed. */
int caisson_open(const char* home, caisson_chamber** out);
void caisson_close(caisson_chamber* chamber); /* NULL is fine; ends its sessions; requires: its sockets are closed */
/* "process, root file: development root, no hardware trust" */
int caisson_describe(caisson_chamber* chamber, char* out, size_t* out_size);

/* A key of the home, as `caisson key` made it. Its gate, if it has one, is fed from the node's agent from now on. */
int caisson_load_key(caisson_chamber* chamber, const char* name, uint32_t* key, uint8_t public_key[CAISSON_KEY_BYTES]);
/* A new key, sealed for this machine's chamber; import it to use it. `verifier`: the attestation server that gates it
 * (Ed25519), or NULL: it admits everybody. */
int caisson_create_key_pair(caisson_chamber* chamber, const uint8_t* verifier, uint8_t public_key[CAISSON_KEY_BYTES],
                            uint8_t* sealed, size_t* sealed_size);
int caisson_import_sealed_private_key(caisson_chamber* chamber, const uint8_t* sealed, size_t sealed_size,
                                      uint32_t* key, uint8_t public_key[CAISSON_KEY_BYTES]);
int caisson_export_sealed_private_key(caisson_chamber* chamber, uint32_t key, uint8_t* sealed, size_t* sealed_size);
int caisson_forget_key(caisson_chamber* chamber, uint32_t key); /* ends its sessions */

int caisson_z85_decode(const char* text, uint8_t* out, size_t* out_size);
int caisson_z85_encode(const uint8_t* bytes, size_t size, char* out, size_t* out_size); /* with the final zero */

/* ---- The hop codec: bodies of ZMTP commands --------------------------------------------------------------------- */

int caisson_open_client(caisson_chamber* chamber, uint32_t key, const uint8_t server_key[CAISSON_KEY_BYTES],
                        uint32_t* session);
int caisson_produce_hello(caisson_chamber* chamber, uint32_t session, uint8_t* out, size_t* out_size);
int caisson_process_hello(caisson_chamber* chamber, uint32_t key, const uint8_t* hello, size_t hello_size,
                          uint8_t* welcome, size_t* welcome_size); /* the paper's ProcessHello and ProduceWelcome */
int caisson_process_welcome(caisson_chamber* chamber, uint32_t session, const uint8_t* welcome, size_t size);
int caisson_produce_initiate(caisson_chamber* chamber, uint32_t session, const uint8_t* metadata, size_t metadata_size,
                             uint8_t* out, size_t* out_size);
/* *session is 0 when the gate does not admit the client now. */
int caisson_process_initiate(caisson_chamber* chamber, uint32_t key, const uint8_t* initiate, size_t size,
                             uint32_t* session, uint8_t client_key[CAISSON_KEY_BYTES], uint8_t* metadata,
                             size_t* metadata_size);
int caisson_produce_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* metadata, size_t metadata_size,
                          uint8_t* out, size_t* out_size);
int caisson_process_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* ready, size_t size,
                          uint8_t* metadata, size_t* metadata_size);

#define CAISSON_MORE 1 /* flags of a message */
#define CAISSON_COMMAND 2
int caisson_produce_message(caisson_chamber* chamber, uint32_t session, uint32_t flags, const uint8_t* text,
                            size_t text_size, uint8_t* out, size_t* out_size);
/* Room: size - 29. A message that does not open ends its session. */
int caisson_process_message(caisson_chamber* chamber, uint32_t session, const uint8_t* message, size_t size,
                            uint32_t* flags, uint8_t* text, size_t* text_size);
int caisson_produce_error(const char* reason, uint8_t* out, size_t* out_size); /* at most 255 octets; no secret */
int caisson_process_error(caisson_chamber* chamber, uint32_t session, const uint8_t* error, size_t size, char* reason,
                          size_t* reason_size);
int caisson_close_session(caisson_chamber* chamber, uint32_t session);

/* Many messages with one crossing into the chamber, in order; each has its own code. */
typedef struct caisson_batch_item {
    uint32_t session;
    uint32_t flags; /* filled in by process */
    const uint8_t* input;
    size_t input_size;
    uint8_t* output;
    size_t output_size; /* room, then what was written */
    int code;
} caisson_batch_item;
int caisson_produce_messages(caisson_chamber* chamber, caisson_batch_item* items, size_t count);
int caisson_process_messages(caisson_chamber* chamber, caisson_batch_item* items, size_t count);

/* ---- The end-to-end codec: packets, each one part of a carrier's message ------------------------------------------
 */

#define CAISSON_STRICT 0 /* the carrier keeps the order and loses nothing; a gap ends the session */
#define CAISSON_WINDOW 1 /* it may reorder, lose and repeat */

enum caisson_packet_type {
    CAISSON_PACKET_HELLO = 1,
    CAISSON_PACKET_WELCOME = 2,
    CAISSON_PACKET_INITIATE = 3,
    CAISSON_PACKET_READY = 4,
    CAISSON_PACKET_DATA = 5,
    CAISSON_PACKET_FANOUT = 6,
    CAISSON_PACKET_LETTER = 7,
};
/* Flags of a packet. A message is packets with rising counters from FIRST to LAST. */
#define CAISSON_FIRST 1
#define CAISSON_LAST 2
#define CAISSON_PART_END 4
#define CAISSON_CLOSE 8

/* Which packet a part is, and the id it stands under: what a program finds the session by. Fails: malformed. */
int caisson_e2e_read_packet(const uint8_t* packet, size_t size, int* type, uint8_t id[CAISSON_E2E_ID_BYTES]);

int caisson_e2e_open_client(caisson_chamber* chamber, uint32_t key, int order,
                            const uint8_t server_key[CAISSON_KEY_BYTES], uint32_t* session);
int caisson_e2e_produce_hello(caisson_chamber* chamber, uint32_t session, uint8_t* out, size_t* out_size);
int caisson_e2e_process_hello(caisson_chamber* chamber, uint32_t key, const uint8_t* hello, size_t hello_size,
                              uint8_t* welcome, size_t* welcome_size);
int caisson_e2e_process_welcome(caisson_chamber* chamber, uint32_t session, const uint8_t* welcome, size_t size);
/* `order` as in caisson_e2e_open_client. */
int caisson_e2e_produce_initiate(caisson_chamber* chamber, uint32_t session, int order, const uint8_t* metadata,
                                 size_t metadata_size, uint8_t* out, size_t* out_size);
int caisson_e2e_process_initiate(caisson_chamber* chamber, uint32_t key, const uint8_t* initiate, size_t size,
                                 uint32_t* session, uint8_t client_key[CAISSON_KEY_BYTES],
                                 uint8_t id[CAISSON_E2E_ID_BYTES], uint8_t* metadata, size_t* metadata_size);
int caisson_e2e_produce_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* metadata, size_t metadata_size,
                              uint8_t* out, size_t* out_size);
int caisson_e2e_process_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* ready, size_t size,
                              uint8_t id[CAISSON_E2E_ID_BYTES], uint8_t* metadata, size_t* metadata_size);
int caisson_e2e_produce_message(caisson_chamber* chamber, uint32_t session, uint32_t flags, const uint8_t* text,
                                size_t text_size, uint8_t* out, size_t* out_size);
/* A packet of data or a fan-out. A refused one changes nothing, but CAISSON_CONFLICT (strict order) ends the session.
 */
int caisson_e2e_process_message(caisson_chamber* chamber, uint32_t session, const uint8_t* packet, size_t size,
                                uint32_t* flags, uint64_t* counter, uint8_t* text, size_t* text_size);
int caisson_e2e_produce_fanout(caisson_chamber* chamber, const uint32_t* sessions, size_t session_count, uint32_t flags,
                               const uint8_t* text, size_t text_size, uint8_t* out, size_t* out_size);
int caisson_e2e_rekey(caisson_chamber* chamber, uint32_t session);
int caisson_e2e_close_session(caisson_chamber* chamber, uint32_t session);

/* Letters, for recipients who are not there. `recipients`: keys of 32 octets, one after the other. */
int caisson_e2e_allow_sender(caisson_chamber* chamber, uint32_t key, const uint8_t sender[CAISSON_KEY_BYTES]);
int caisson_e2e_refuse_sender(caisson_chamber* chamber, uint32_t key, const uint8_t sender[CAISSON_KEY_BYTES]);
int caisson_e2e_produce_letter(caisson_chamber* chamber, uint32_t key, const uint8_t* recipients,
                               size_t recipient_count, uint32_t flags, const uint8_t* text, size_t text_size,
                               uint8_t* out, size_t* out_size);
int caisson_e2e_process_letter(caisson_chamber* chamber, uint32_t key, const uint8_t* letter, size_t size,
                               uint8_t sender[CAISSON_KEY_BYTES], uint64_t* number, uint32_t* flags, uint8_t* text,
                               size_t* text_size);
/* What was taken of a sender, sealed: keep it, and give it back after a restart (allow the sender first). */
int caisson_e2e_seal_sender(caisson_chamber* chamber, uint32_t key, const uint8_t sender[CAISSON_KEY_BYTES],
                            uint8_t* out, size_t* out_size);
int caisson_e2e_unseal_sender(caisson_chamber* chamber, uint32_t key, const uint8_t sender[CAISSON_KEY_BYTES],
                              const uint8_t* sealed, size_t sealed_size);

/* ---- Messages of several parts ------------------------------------------------------------------------------------
 */

typedef struct caisson_part {
    const uint8_t* bytes;
    size_t size;
} caisson_part;

/* A received message; owned by the caller. */
typedef struct caisson_parts caisson_parts;
size_t caisson_parts_count(const caisson_parts* parts);
caisson_part caisson_parts_at(const caisson_parts* parts, size_t index); /* past the end: NULL and 0 */
void caisson_parts_free(caisson_parts* parts);

/* ---- Sockets: ZMTP 3.1 over tcp and ipc ---------------------------------------------------------------------------
 *
 * Nothing happens behind the caller's back: there is no thread. Connecting, handshakes, heartbeats of the peer and
 * subscriptions go on inside send, receive and poll. Call one of them at least every few seconds.
 */

typedef struct caisson_socket caisson_socket;

enum caisson_socket_type { /* ZeroMQ's numbers */
                           CAISSON_PAIR = 0,
                           CAISSON_PUB = 1,
                           CAISSON_SUB = 2,
                           CAISSON_REQ = 3,
                           CAISSON_REP = 4,
                           CAISSON_DEALER = 5,
                           CAISSON_ROUTER = 6,
                           CAISSON_PULL = 7,
                           CAISSON_PUSH = 8,
                           CAISSON_XPUB = 9,
                           CAISSON_XSUB = 10,
};

/* `chamber` NULL: the mechanism NULL, unprotected. */
int caisson_socket_open(caisson_chamber* chamber, int type, caisson_socket** out);
void caisson_socket_close(caisson_socket* socket); /* sends what it can within the linger time */
/* Before bind and connect. With the own key alone the socket is the CURVE server, with the server's key its client. */
int caisson_socket_set_key(caisson_socket* socket, uint32_t key);
int caisson_socket_set_server_key(caisson_socket* socket, const uint8_t server_key[CAISSON_KEY_BYTES]);
int caisson_socket_allow(caisson_socket* socket, const uint8_t client_key[CAISSON_KEY_BYTES]); /* then no others */
int caisson_socket_set_identity(caisson_socket* socket, const uint8_t* identity, size_t size); /* 1 to 255 octets */

enum caisson_socket_option {
    CAISSON_LINGER_MS = 1,           /* default 1000 */
    CAISSON_MESSAGE_SIZE_MAX = 2,    /* of one part; default 64 MiB */
    CAISSON_SEND_QUEUE_BYTES = 3,    /* for each peer; default 1 MiB; one message more always fits */
    CAISSON_HANDSHAKE_MS = 4,        /* default 30000 */
    CAISSON_RECEIVE_QUEUE_BYTES = 5, /* for all peers together; default 64 MiB, then reading stops */
};
int caisson_socket_set(caisson_socket* socket, int option, int64_t value);

/* "tcp://HOST:PORT" or "ipc:///PATH"; port 0 takes a free one. `bound`, if not NULL, gets the address with the port. */
int caisson_socket_bind(caisson_socket* socket, const char* address, char* bound, size_t* bound_size);
int caisson_socket_connect(caisson_socket* socket, const char* address);

int caisson_socket_subscribe(caisson_socket* socket, const uint8_t* prefix, size_t size); /* SUB, XSUB */
int caisson_socket_unsubscribe(caisson_socket* socket, const uint8_t* prefix, size_t size);

/* timeout_ms: 0 does not wait, -1 waits without end. Fails: unavailable (time is up). ROUTER: the first part is the
 * peer's identity. */
int caisson_socket_send(caisson_socket* socket, const caisson_part* parts, size_t count, int timeout_ms);
int caisson_socket_receive(caisson_socket* socket, caisson_parts** out, int timeout_ms);
/* The key of the peer whose message came last; zeros with NULL. */
int caisson_socket_last_peer(caisson_socket* socket, uint8_t peer_key[CAISSON_KEY_BYTES]);
/* Lets things go on for up to timeout_ms, until a message is there. 1: there is one; 0: not. */
int caisson_socket_poll(caisson_socket* socket, int timeout_ms);
int caisson_socket_peer_count(caisson_socket* socket); /* handshakes that are done */

/* ---- End-to-end endpoints: virtual sockets over any carrier -------------------------------------------------------
 *
 * An endpoint does no I/O: give it what the carrier received, send what it gives. Its messages are whole multipart
 * messages of any size (chunked), to and from peers named by their keys. A route is the parts that the carrier wants in
 * front: a ROUTER's identity, a broker's mailbox, a topic.
 */

typedef struct caisson_endpoint caisson_endpoint;

enum caisson_event_type {
    CAISSON_EVENT_OPENED = 1,  /* a session with `peer` is there */
    CAISSON_EVENT_MESSAGE = 2, /* `parts` of `peer` */
    CAISSON_EVENT_LETTER = 3,  /* the same, of a sender who may be gone by now */
    CAISSON_EVENT_CLOSED = 4,  /* the session is over: closed by the peer, lost packets, no longer trusted */
    CAISSON_EVENT_REFUSED = 5, /* something came that was not taken; `code` says why */
};
typedef struct caisson_event {
    int type;
    int code;
    uint8_t peer[CAISSON_KEY_BYTES]; /* zeros where nobody is proven */
    caisson_parts* parts;            /* owned by the caller; NULL if there are none */
} caisson_event;

int caisson_endpoint_open(caisson_chamber* chamber, uint32_t key, caisson_endpoint** out);
void caisson_endpoint_close(caisson_endpoint* endpoint); /* without a word to the peers */

enum caisson_endpoint_option {
    CAISSON_ORDER = 1,       /* of sessions begun here: CAISSON_STRICT (default) or CAISSON_WINDOW */
    CAISSON_CHUNK_BYTES = 2, /* default 65536, at most CAISSON_E2E_TEXT_BYTES_MAX */
    CAISSON_ACCEPT_ALL = 3,  /* 1: sessions of every client; 0 (default): of allowed peers alone */
    CAISSON_RETRY_MS = 4,    /* a handshake without an answer is begun anew after; default 2000 */
};
int caisson_endpoint_set(caisson_endpoint* endpoint, int option, int64_t value);
/* Sessions and letters of this peer are taken. */
int caisson_endpoint_allow(caisson_endpoint* endpoint, const uint8_t peer[CAISSON_KEY_BYTES]);
/* Where the state of letters is kept (a folder of the owner alone), so that none is taken twice across restarts. It is
 * on disk before a letter is given out. Without it letters are refused. */
int caisson_endpoint_keep_letters(caisson_endpoint* endpoint, const char* folder);

/* Begins a handshake as client. `route` stands in front of everything sent to this peer. */
int caisson_endpoint_connect(caisson_endpoint* endpoint, const uint8_t peer[CAISSON_KEY_BYTES],
                             const caisson_part* route, size_t route_count);
int caisson_endpoint_is_open(caisson_endpoint* endpoint, const uint8_t peer[CAISSON_KEY_BYTES]); /* 1 or 0 */
int caisson_endpoint_send(caisson_endpoint* endpoint, const uint8_t peer[CAISSON_KEY_BYTES], const caisson_part* parts,
                          size_t count);
/* One text for many: `peers` are keys one after the other, all with a session. */
int caisson_endpoint_send_many(caisson_endpoint* endpoint, const uint8_t* peers, size_t peer_count,
                               const caisson_part* route, size_t route_count, const caisson_part* parts, size_t count);
int caisson_endpoint_send_letter(caisson_endpoint* endpoint, const uint8_t* peers, size_t peer_count,
                                 const caisson_part* route, size_t route_count, const caisson_part* parts,
                                 size_t count);
int caisson_endpoint_rekey(caisson_endpoint* endpoint, const uint8_t peer[CAISSON_KEY_BYTES]);
int caisson_endpoint_disconnect(caisson_endpoint* endpoint, const uint8_t peer[CAISSON_KEY_BYTES]);

/* A message that the carrier received. Whatever it is, it does no harm. */
int caisson_endpoint_receive(caisson_endpoint* endpoint, const caisson_part* parts, size_t count);
/* The next message for the carrier. Fails: missing (there is none). */
int caisson_endpoint_outgoing(caisson_endpoint* endpoint, caisson_parts** out);
/* Fails: missing (there is none). */
int caisson_endpoint_next(caisson_endpoint* endpoint, caisson_event* event);
/* Over a socket of this library: sends what is to be sent, waits for at most timeout_ms for what comes. */
int caisson_endpoint_pump(caisson_endpoint* endpoint, caisson_socket* carrier, int timeout_ms);

#ifdef __cplusplus
}
#endif
