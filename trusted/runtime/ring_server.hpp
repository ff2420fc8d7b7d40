// The inside end of the ring: takes requests from every lane in turn, once, and answers them.
// Everything in the ring is hostile. Each slot and each input is copied in once before anything looks at it.
// Each answer's own status is there at once; the tail moves at the end of a run.
#pragma once

#include "airlock/entry.hpp"
#include "airlock/ring.hpp"
#include "trusted/runtime/chamber.hpp"
#include "trusted/runtime/patience.hpp"

namespace caisson::trusted {

class RingServer {
  public:
    // Requires: `ring` lies outside the enclave; `chamber` has buffers of payload_bytes_max at most.
    RingServer(airlock::Ring& ring, const ChamberEntry& chamber, std::uint32_t spin_budget_ticks) noexcept;

    struct Pause {
        airlock::ExitReason reason = airlock::ExitReason::idle;
        std::uint32_t doorbell = 0; // for idle: the value that no producer has changed yet
    };

    // Serves until there is nothing to do for as long as it is worth to look, the spin budget at most, or until the
    // ring says stop.
    [[nodiscard]] Pause serve() noexcept;

  private:
    // True when it answered at least one request.
    [[nodiscard]] bool serve_lane(std::uint32_t lane) noexcept;
    [[nodiscard]] bool serve_all() noexcept;
    [[nodiscard]] bool waits(std::uint32_t lane) const noexcept;
    [[nodiscard]] bool anything_waits() const noexcept;
    // A producer that sleeps is woken by the loader: an enclave makes no system calls.
    [[nodiscard]] bool producer_sleeps() const noexcept;
    struct Group {
        std::uint32_t first = 0; // position
        std::uint32_t count = 0;
        std::array<airlock::Slot, group_requests_max> slots{};
        std::array<bool, group_requests_max> sound{};
    };

    void take_slots(std::uint32_t lane, std::uint32_t position, Group& group) const noexcept;
    void note_ahead(const std::uint8_t* from, std::size_t size) const noexcept;
    void ask_all_ahead() const noexcept;
    void answer_group(std::uint32_t lane, const Group& group) noexcept;
    [[nodiscard]] std::uint32_t take_inputs(std::uint32_t lane, const Group& group, std::uint32_t first) noexcept;
    // Memory for so much of the buffers.
    [[nodiscard]] bool take_room(std::size_t input_bytes, std::size_t output_bytes) noexcept;
    void give_answers(std::uint32_t lane, const Group& group, std::uint32_t first, std::uint32_t end) noexcept;
    [[nodiscard]] bool is_sound(const airlock::Slot& slot) const noexcept;

    airlock::Ring& ring_;
    ChamberEntry chamber_;
    std::size_t input_has_; // how much of the buffers is memory
    std::size_t output_has_;
    Patience patience_;
    std::array<Group, 2> groups_{};
    std::array<airlock::Exchange, group_requests_max> exchanges_{};
    std::array<std::uint32_t, airlock::lane_count> tails_{}; // ours; the copy in the ring is for the producers
};

} // namespace caisson::trusted
