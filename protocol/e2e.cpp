#include "protocol/e2e.hpp"

#include "core/check.hpp"

namespace caisson::protocol::e2e {
namespace {

constexpr std::size_t count_bytes = 2;

// Where the count of slots stands in a body.
std::size_t count_at(const Packet& packet) noexcept
{
    return packet.type == PacketType::letter ? curve::key_bytes : 0;
}

std::size_t slot_bytes(const Packet& packet) noexcept
{
    return packet.type == PacketType::letter ? letter_slot_bytes : fanout_slot_bytes;
}

// Requires: the count was read before.
std::size_t known_count(const Packet& packet) noexcept
{
    const auto at = count_at(packet);
    return std::size_t{packet.body[at]} << 8U | packet.body[at + 1];
}

} // namespace

Result<Packet> read_packet(Bytes bytes) noexcept
{
    if (bytes.size() < head_bytes || text_of(bytes.first(magic.size())) != magic) {
        return fail(Kind::malformed, "no end-to-end packet of version 1");
    }
    const auto type = bytes[magic.size()];
    if (type == 0 || type > static_cast<std::uint8_t>(packet_type_last)) {
        return fail(Kind::malformed, "an end-to-end packet of unknown type");
    }
    Packet packet;
    packet.type = static_cast<PacketType>(type);
    copy_bytes(packet.id.bytes, bytes.subspan(magic.size() + 1, Id::size));
    packet.body = bytes.subspan(head_bytes);
    return packet;
}

void write_packet_head(Writer& writer, PacketType type, const Id& id) noexcept
{
    writer.write_bytes(bytes_of(magic));
    writer.write_le(static_cast<std::uint8_t>(type));
    writer.write_bytes(id.bytes);
}

Result<std::size_t> count_slots(const Packet& packet) noexcept
{
    if (packet.type != PacketType::fanout && packet.type != PacketType::letter) {
        return fail(Kind::malformed, "a packet of this type has one recipient");
    }
    const auto start = count_at(packet) + count_bytes;
    if (packet.body.size() < start) {
        return fail(Kind::malformed, "a packet ends before its recipients");
    }
    const auto count = known_count(packet);
    if (count == 0 || count > recipients_max || packet.body.size() - start < count * slot_bytes(packet) + tag_bytes ||
        packet.body.size() - start > count * slot_bytes(packet) + tag_bytes + text_bytes_max) {
        return fail(Kind::malformed, "a packet does not hold what its count of recipients says");
    }
    return count;
}

Bytes slot_of(const Packet& packet, std::size_t index) noexcept
{
    const auto size = slot_bytes(packet);
    const auto at = count_at(packet) + count_bytes + index * size;
    CHECK(at + size <= packet.body.size());
    return packet.body.subspan(at, size);
}

Bytes content_of(const Packet& packet) noexcept
{
    return packet.body.subspan(count_at(packet) + count_bytes + known_count(packet) * slot_bytes(packet));
}

} // namespace caisson::protocol::e2e
