// Door: this process's way into the chamber that `caisson run` keeps, through one lane of its ring.
// Spec: docs/spec/shim.md. Safe for concurrent use, and after fork (the child takes a lane of its own).
//
// It lives in programs of others: no exceptions, no heap, no static constructors that run code of libstdc++.
#pragma once

#include "airlock/ring.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"

#include <initializer_list>

#include <pthread.h>
#include <sys/types.h>

namespace caisson::shim {

// How to find the ring: what `caisson run` put in the environment, as the process found it when it began.
struct RingPlace {
    int fd = -1;          // CAISSON_RING_FD, inherited
    ::pid_t run_pid = -1; // CAISSON_RUN_PID: its fd of the same number is tried when ours was closed
};

[[nodiscard]] RingPlace ring_place_from_environment() noexcept;

class Door {
  public:
    constexpr explicit Door(RingPlace place) noexcept
        : place_(place)
    {
    }
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;

    // Sends one request whose input is the parts one after the other, and waits for its answer, which fills the outputs
    // one after the other (an output without an address is left out). Returns the size of the answer. Fails: the kind
    // the chamber gave; forbidden (no such request, or not in this state); exhausted (too large); unavailable (no ring,
    // no free lane, or the chamber has ended).
    [[nodiscard]] Result<std::size_t> ask(std::uint32_t request, std::initializer_list<Bytes> parts,
                                          std::initializer_list<MutableBytes> outputs) noexcept;

    // Whether another chamber serves the ring than when this process first asked: of what that one gave, long-term keys
    // are left.
    [[nodiscard]] bool was_restarted() noexcept;

    void place_at(RingPlace place) noexcept { place_ = place; }

    // Around fork: the child must find the lock free, and may not use its parent's lane.
    void before_fork() noexcept;
    void after_fork_in_parent() noexcept;
    void after_fork_in_child() noexcept;

    // Unmaps the ring and gives the lane back. For tests: a program keeps its lane until it ends.
    void close() noexcept;

  private:
    Status attach() noexcept;
    Status map_ring() noexcept;
    Status take_lane() noexcept;
    Status continue_lane(airlock::Lane& lane) noexcept;
    Result<std::size_t> exchange(std::uint32_t request, std::initializer_list<Bytes> parts,
                                 std::initializer_list<MutableBytes> outputs) noexcept;
    Status wait_for(airlock::Lane& lane, std::uint32_t position) noexcept;
    [[nodiscard]] bool chamber_is_gone() const noexcept;

    RingPlace place_;
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
    airlock::Ring* ring_ = nullptr;
    std::uint32_t chamber_pid_ = 0; // when the ring was mapped
    std::uint32_t lane_ = 0;        // 0: none taken; that lane is the owner's
    bool is_gone_ = false;
};

} // namespace caisson::shim
