// End-to-end packets: what one side of a session, or the writer of a letter, puts into one part of a carrier's
// multipart message. No I/O, no heap. Spec: docs/spec/e2e.md.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"
#include "core/wire.hpp"
#include "protocol/curve.hpp"

namespace caisson::protocol::e2e {

inline constexpr std::string_view magic = "CE1";

enum class PacketType : std::uint8_t {
    hello = 1,    // id: the front of C'
    welcome = 2,  // the same
    initiate = 3, // id: the session's, from here on
    ready = 4,
    data = 5,
    fanout = 6, // id: random, of this packet
    letter = 7, // the same
};
inline constexpr PacketType packet_type_last = PacketType::letter;

struct IdTag;
using Id = Named<16, IdTag>;

inline constexpr std::size_t head_bytes = magic.size() + 1 + Id::size;
inline constexpr std::size_t tag_bytes = curve::tag_bytes;
// READY and data after the head: epoch u32, counter u64, box of flags u8 and text.
inline constexpr std::size_t data_overhead_bytes = head_bytes + 4 + 8 + tag_bytes + 1;

// The content of a fan-out or letter is sealed once under a key of its own; a slot brings that key to one recipient,
// with the digest of the sealed content.
inline constexpr std::size_t content_key_bytes = 32;
inline constexpr std::size_t digest_bytes = 32;
inline constexpr std::size_t recipients_max = 256;
// A fan-out after the head: count u16, slots, box of text. A slot: session id, epoch u32, counter u64, box of key,
// digest and flags u8.
inline constexpr std::size_t fanout_slot_bytes = Id::size + 4 + 8 + tag_bytes + content_key_bytes + digest_bytes + 1;
// A letter after the head: the writer's new key, count u16, slots, box of text. A slot: hint, box of the writer's
// long-term key, box of key, digest, number u64 and flags u8.
inline constexpr std::size_t hint_bytes = 8;
inline constexpr std::size_t letter_name_bytes = tag_bytes + curve::key_bytes;
inline constexpr std::size_t letter_slot_bytes =
    hint_bytes + letter_name_bytes + tag_bytes + content_key_bytes + digest_bytes + 8 + 1;
inline constexpr std::size_t text_bytes_max = std::size_t{128} << 10U;

// Flags inside a box. A message is the packets from `first` to `last`, with counters one after the other.
inline constexpr std::uint8_t flag_first = 1;
inline constexpr std::uint8_t flag_last = 2;
inline constexpr std::uint8_t flag_part_end = 4; // a part of a multipart message ends here
inline constexpr std::uint8_t flag_close = 8;    // the session ends with this packet
inline constexpr std::uint8_t flags_known = flag_first | flag_last | flag_part_end | flag_close;

struct Packet {
    PacketType type = PacketType::hello;
    Id id;
    Bytes body;
};

// [E2E-1] Fails: malformed (no end-to-end packet, another version, an unknown type).
[[nodiscard]] Result<Packet> read_packet(Bytes bytes) noexcept;
void write_packet_head(Writer& writer, PacketType type, const Id& id) noexcept;

// Who a fan-out is for, to find one's own sessions among them. Fails: malformed.
[[nodiscard]] Result<std::size_t> count_slots(const Packet& packet) noexcept;
// Requires: index < count_slots(packet).
[[nodiscard]] Bytes slot_of(const Packet& packet, std::size_t index) noexcept;
// What stands behind the slots.
[[nodiscard]] Bytes content_of(const Packet& packet) noexcept;

// The property that INITIATE's metadata begin with: version and order.
inline constexpr std::string_view property_name = "Caisson-E2E";
inline constexpr std::uint8_t property_version = 1;
enum class Order : std::uint8_t { strict = 0, window = 1 };

} // namespace caisson::protocol::e2e
