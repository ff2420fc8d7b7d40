// The outside end of the ring, for the owner of the chamber: lane 0. Safe for concurrent use.
// The chamber may lie about everything it writes; sizes are bounded before they are believed, and where an answer lies
// is computed from our own calls, never read back.
#pragma once

#include "airlock/ring.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "core/secret.hpp"
#include "host/enclave/enclave.hpp"

#include <array>
#include <functional>
#include <mutex>

namespace caisson::host::enclave {

// A wait that lasts: what the client knows of it, for whoever can look at the process behind the ring.
struct Stall {
    std::uint64_t progress = 0; // another number as soon as one more request was answered
    std::uint32_t patience_ms = 0;
};

class RingClient {
  public:
    // `serves` says whether somebody still serves the ring; it is asked every 10 ms while an answer does not come.
    // `spin_ticks`: how long to spin before sleeping, in TSC ticks; 0 with one CPU, where who spins keeps the other
    // side from working.
    RingClient(airlock::Ring& ring, std::function<bool(const Stall&)> serves, std::uint32_t spin_ticks);

    // Asked, before a sleeping chamber is woken, to have it wake on this CPU, the caller's; each time it is another
    // one.
    void bring_beside(std::function<void(int cpu)> bring) { bring_ = std::move(bring); }

    [[nodiscard]] Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output);
    void call_many(std::span<Enclave::Call> calls);

    // See Enclave::submit, reap and release.
    [[nodiscard]] Enclave::Flight submit(std::span<Enclave::Call> calls);
    void reap(const Enclave::Flight& flight);
    void release(const Enclave::Flight& flight);

    // Asks the chamber to end.
    void stop() noexcept;

    // Nobody serves the ring any more: what is in flight ends as unavailable, in every lane, and so does each call
    // until `reopen`.
    void abandon();
    // Somebody serves it again, from where `abandon` left it.
    void reopen();

  private:
    static constexpr std::size_t flights_max = 16;

    struct InFlight {
        std::uint64_t number = 0;
        std::span<Enclave::Call> calls;
        std::uint32_t first_slot = 0;
        std::uint32_t end_slot = 0;
        std::size_t begin = 0; // in the arena
        std::size_t end = 0;
        std::uint32_t patience_ms = 0;
    };
    struct Place {
        std::size_t begin = 0;
        std::size_t size = 0;
    };
    struct Where { // in the arena
        std::size_t input = 0;
        std::size_t output = 0;
    };
    // The range of the arena that is lent: from the first such flight that landed to the last.
    struct Lent {
        std::uint64_t last = 0; // its flight's number; 0: nothing is lent
        std::size_t begin = 0;
        std::size_t last_begin = 0;
        std::size_t end = 0;
    };

    // All of these require the lock.
    [[nodiscard]] Enclave::Flight take_off(std::span<Enclave::Call> calls);
    [[nodiscard]] Place place_for(std::size_t wanted) const noexcept;
    // Lays out and publishes as many of the calls as fit into slots and place; at least one must. How many.
    std::size_t publish(std::span<Enclave::Call> calls, Place place);
    void lay_out(const Enclave::Call& call, const InFlight& flight) noexcept;
    void show(std::uint32_t first, std::uint32_t end) noexcept;
    // Waits for the oldest flight, then walks over its calls as `publish` did.
    void land_oldest(bool lends = false);
    void finish(Enclave::Call& call, Where where, std::uint32_t slot, const Status& answered);
    [[nodiscard]] bool lend(const InFlight& flight) noexcept;
    [[nodiscard]] Status wait_for(const InFlight& flight);
    [[nodiscard]] bool spin_for(const InFlight& flight) const noexcept;
    [[nodiscard]] bool give_way_for(const InFlight& flight) const noexcept;
    [[nodiscard]] bool sleep_shortly_for(const InFlight& flight) noexcept;
    // How many of its requests, from the first on, are answered.
    [[nodiscard]] std::uint32_t answers_of(const InFlight& flight) const noexcept;
    [[nodiscard]] bool is_answered(std::uint32_t end_slot) const noexcept;
    void sleep_until_more(std::uint32_t end_slot) noexcept;
    void ring_doorbell() noexcept;
    void bring() noexcept;
    [[nodiscard]] const InFlight& oldest() const noexcept { return flights_[landed_ % flights_max]; }
    [[nodiscard]] std::uint64_t in_flight() const noexcept { return departed_ - landed_; }

    airlock::Ring& ring_;
    airlock::Lane& lane_;
    std::function<bool(const Stall&)> serves_;
    std::function<void(int)> bring_; // empty: it wakes where the kernel likes
    int beside_ = -1;                // the CPU it was brought to
    std::mutex mutex_;
    std::array<InFlight, flights_max> flights_{}; // first in, first out: a lane is answered in order
    std::uint64_t departed_ = 0;
    std::uint64_t landed_ = 0;
    Lent lent_;
    std::uint32_t head_ = 0;  // ours; the copy in the ring is for the chamber
    std::uint32_t freed_ = 0; // slots before this one may be written again
    bool gone_ = false;
    std::uint32_t spin_ticks_;
};

} // namespace caisson::host::enclave
