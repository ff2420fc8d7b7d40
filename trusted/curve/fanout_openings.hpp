// Fan-outs of a group of requests on their way through the kernel together: the slots of all of them, then the contents
// of those whose slot has opened. What comes of it is judged elsewhere, in the order of the group. One thread.
#pragma once

#include "trusted/curve/e2e_place.hpp"
#include "trusted/runtime/chamber.hpp"

namespace caisson::trusted::curve {

// What a slot holds: content key, digest, flags.
using SlotInside = Secret<protocol::e2e::content_key_bytes + protocol::e2e::digest_bytes + 1, SharedKeyTag>;

// Of a session: its slot among those of a fan-out, and where it stands. Fails: malformed, missing (none is its).
[[nodiscard]] Result<E2ePlace> slot_place_of(const E2eSession& session, const Packet& packet) noexcept;
// What its slot says of a content. Requires: it has opened.
[[nodiscard]] SealedContent sealed_content_of(const SlotInside& inside) noexcept;
// Fails: unauthentic (another content than the one the slot was made for).
[[nodiscard]] Status check_content(const SealedContent& content, const E2eId& packet_id, Bytes box) noexcept;
// HSalsa20 of the content key and the front of the nonce of every content.
[[nodiscard]] crypto::BoxSubkey content_subkey(const SharedKey& content_key) noexcept;

class FanoutOpenings {
  public:
    // A slot in the present epoch of its session, whose text goes to `text`: returns which one of these it is.
    // Requires: at most group_requests_max of them before `clear`; what is given stays where it is until then.
    std::size_t add(const E2eSession& session, const E2ePlace& place, const Packet& packet,
                    std::uint8_t* text) noexcept;
    void run() noexcept;

    [[nodiscard]] bool slot_opened(std::size_t index) const noexcept { return slot_opened_[index]; }
    // Requires: its slot has opened.
    [[nodiscard]] std::uint8_t flags(std::size_t index) const noexcept { return inside_[index].expose().back(); }
    [[nodiscard]] bool content_opened(std::size_t index) const noexcept { return content_opened_[index]; }
    [[nodiscard]] MutableBytes text(std::size_t index) const noexcept
    {
        const auto& fanout = fanouts_[index];
        return {fanout.text, fanout.content.size() - protocol::e2e::tag_bytes};
    }
    // Forgets keys and all.
    void clear() noexcept;

  private:
    struct Fanout {
        const E2eSession* session = nullptr;
        E2ePlace place;
        E2eId id;
        Bytes content;
        std::uint8_t* text = nullptr;
    };
    void open_slots() noexcept;
    void open_contents() noexcept;

    std::array<Fanout, group_requests_max> fanouts_{};
    std::size_t count_ = 0;
    std::array<SlotInside, group_requests_max> inside_{};
    std::array<crypto::BoxSubkey, group_requests_max> subkeys_{}; // of the slots, then of the contents
    std::array<bool, group_requests_max> slot_opened_{};
    std::array<bool, group_requests_max> content_opened_{};
};

} // namespace caisson::trusted::curve
