// The requests of the witness chamber: their numbers, sizes and layouts. Integers are little-endian, fields stand in
// the order of the comments, without padding. Spec: docs/spec/measurement.md.
#pragma once

#include "core/bytes.hpp"
#include "protocol/sgx.hpp"

namespace caisson::airlock::witness {

enum class Request : std::uint32_t {
    // server_signing_key[32] (Ed25519), server_box_key[32] (X25519) -> witness_key[32] (Ed25519), sealed identity
    create_identity = 1,
    // sealed identity -> witness_key[32], policy_key[32] (X25519, new at each start)
    load_identity = 2,
    // -> TARGETINFO[512]: reports for this witness are addressed to it
    target_info = 3,
    // REPORT[432], curve_public_key[32] ->
    accept_report = 4,
    // curve_public_key[32] ->
    forget_key = 5,
    // tls_spki_sha256[32], exporter[32], nonce[32] -> evidence (protocol/measurement.hpp)
    evidence = 6,
    // sealed policy -> item_count u32
    open_policy = 7,
    // -> index u32, what u8 (Wanted), path; missing: everything is measured
    next_measurement = 8,
    // flags u32, [errno u32 if absorb_error], [st_mode u32 if absorb_mode], bytes ->
    // When it fails, that measurement is over and its failure part of the result.
    absorb = 9,
    // exporter[32] -> sealed result
    finish = 10,
    // TARGETINFO[512] of a quoting enclave, tls_spki_sha256[32], exporter[32], nonce[32] -> REPORT[432] for it, over
    // the
    // evidence of the same three
    quote_report = 11,
};

// The states of the chamber: what it permits depends on nothing else.
enum class State : std::uint32_t { no_identity = 0, idle = 1, measuring = 2, done = 3 };

// What the host is to read next.
enum class Wanted : std::uint8_t {
    tree_listing = 0, // every entry below the folder `path`: {path_size u16, st_mode u32, relative path} each,
                      // in strictly ascending order of the path's bytes; an entry does not straddle two chunks;
                      // the first chunk has absorb_mode, the folder's own
    file_content = 1, // the bytes of the regular file `path`; the first chunk has absorb_mode
    fact = 2,         // the bytes of /proc/`path`
    link_target = 3,  // the text of the symbolic link `path`, which is not followed
};

inline constexpr std::uint32_t absorb_last = 1;  // nothing follows for this measurement
inline constexpr std::uint32_t absorb_error = 2; // reading failed: errno follows, and this is the last chunk
inline constexpr std::uint32_t absorb_mode = 4;  // st_mode follows: of the descriptor that is being read

inline constexpr std::size_t chunk_bytes_max = std::size_t{256} << 10U;
inline constexpr std::size_t absorb_head_bytes_max = 3 * sizeof(std::uint32_t);
inline constexpr std::size_t listing_entry_head_bytes = sizeof(std::uint16_t) + sizeof(std::uint32_t);
inline constexpr std::uint32_t errno_max = 4095; // Linux's MAX_ERRNO

inline constexpr std::size_t key_bytes = 32;
inline constexpr std::size_t sealed_identity_bytes_max = 512;
inline constexpr std::size_t next_measurement_head_bytes = sizeof(std::uint32_t) + sizeof(std::uint8_t);
inline constexpr std::size_t evidence_input_bytes = 3 * key_bytes;
inline constexpr std::size_t quote_report_input_bytes = sizeof(protocol::sgx::TargetInfo) + evidence_input_bytes;
inline constexpr std::size_t report_input_bytes = sizeof(protocol::sgx::Report) + key_bytes;

} // namespace caisson::airlock::witness
