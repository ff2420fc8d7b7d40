// Where packets stand in an end-to-end session: counters, epochs, and the keys that move on with them.
// Spec: docs/spec/e2e.md. One thread.
#pragma once

#include "trusted/curve/e2e_session.hpp"

namespace caisson::trusted::curve {

// [E2E-7] What the nonce of a box says: what is in it, whose it is, and where it stands.
[[nodiscard]] Nonce nonce_of(PacketType type, bool from_server, std::uint32_t epoch, std::uint64_t counter) noexcept;
// HSalsa20 of a key and the front of that nonce: the same for all packets of a type in one epoch.
[[nodiscard]] crypto::BoxSubkey subkey_of(const SharedKey& key, PacketType type, bool from_server,
                                          std::uint32_t epoch) noexcept;
// Of packets of data in the present epoch of a direction: made with the first of them, gone with the key.
[[nodiscard]] const crypto::BoxSubkey& data_subkey(E2eDirection& direction, bool from_server) noexcept;

// Whether the sender's key moves on before the next packet.
[[nodiscard]] bool moves_on(const E2eSession& session) noexcept;
// The place of the next packet; the key has moved on, where it has to. Fails: exhausted.
[[nodiscard]] Result<std::uint64_t> next_place(E2eSession& session, std::size_t text_bytes) noexcept;

struct E2ePlace {
    std::uint32_t epoch = 0;
    std::uint64_t counter = 0;
    Bytes box;
};
// Fails: truncated.
[[nodiscard]] Result<E2ePlace> read_place(Bytes bytes) noexcept;
// Of a packet of this session whose box has a content. Fails: missing (another session's), truncated, malformed.
[[nodiscard]] Result<E2ePlace> place_of(const E2eSession& session, const Packet& packet) noexcept;
// [E2E-9] [E2E-10] Fails: expired (was there before, or is too old to tell).
[[nodiscard]] Status check_new(const E2eSession& session, std::uint64_t counter) noexcept;
// [E2E-9] Of a packet that has opened. Fails: conflict (packets before it are missing, and the order is strict).
[[nodiscard]] Status check_gap(const E2eSession& session, std::uint64_t counter) noexcept;
// [E2E-13] Fails: malformed.
[[nodiscard]] Status check_packet_flags(std::uint8_t flags) noexcept;
// Opens a box that stands at a place of the receiving direction, in whatever epoch; `take_place` then takes the place,
// with the key. Fails: expired, unauthentic, conflict.
[[nodiscard]] Result<SharedKey> open_at(const E2eSession& session, PacketType type, const E2ePlace& place,
                                        MutableBytes text) noexcept;
void take_place(E2eSession& session, const E2ePlace& place, SharedKey&& key) noexcept;
// The same of a place in the present epoch.
void take_present_place(E2eSession& session, std::uint64_t counter) noexcept;

} // namespace caisson::trusted::curve
