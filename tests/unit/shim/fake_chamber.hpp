// FakeChamber: a ring with a thread at its other end that answers as a test says. What a chamber is to the shim,
// without a chamber.
#pragma once

#include "airlock/ring.hpp"
#include "core/check.hpp"

#include <functional>
#include <thread>
#include <vector>

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace caisson::shim {

class FakeChamber {
  public:
    struct Answer {
        airlock::SlotStatus status = airlock::SlotStatus::answered;
        std::vector<std::uint8_t> output;
    };
    using Answering = std::function<Answer(std::uint32_t request, std::vector<std::uint8_t> input)>;

    explicit FakeChamber(Answering answering)
        : answering_(std::move(answering))
        , fd_(::memfd_create("ring", MFD_CLOEXEC))
    {
        CHECK(::ftruncate(fd_, sizeof(airlock::Ring)) == 0);
        void* memory = ::mmap(nullptr, sizeof(airlock::Ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
        CHECK(memory != MAP_FAILED);
        ring_ = static_cast<airlock::Ring*>(memory);
        ring_->magic = airlock::ring_magic;
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeChamber()
    {
        stop();
        ::munmap(ring_, sizeof(airlock::Ring));
        ::close(fd_);
    }
    FakeChamber(const FakeChamber&) = delete;
    FakeChamber& operator=(const FakeChamber&) = delete;

    void stop()
    {
        ending_ = true;
        ring_->stop = 1;
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    [[nodiscard]] airlock::Ring& ring() { return *ring_; }
    [[nodiscard]] int fd() const { return fd_; }

  private:
    void serve()
    {
        while (!ending_) {
            bool worked = false;
            for (std::size_t index = 0; index < airlock::lane_count; ++index) {
                worked = serve_lane(index) || worked;
            }
            if (!worked) {
                std::this_thread::sleep_for(std::chrono::microseconds(20));
            }
        }
    }

    bool serve_lane(std::size_t index)
    {
        auto& lane = ring_->lanes[index];
        const auto tail = lane.tail.load();
        if (lane.head.load() == tail) {
            return false;
        }
        auto& slot = lane.slots[tail % airlock::slots_per_lane];
        auto* arena = ring_->arenas[index];
        const auto answer =
            answering_(slot.request, {arena + slot.input_offset, arena + slot.input_offset + slot.input_size});
        std::copy(answer.output.begin(), answer.output.end(), arena + slot.output_offset);
        slot.output_size = static_cast<std::uint32_t>(answer.output.size());
        slot.status = answer.status;
        lane.tail.store(tail + 1);
        if (lane.producer_asleep.load() != 0) {
            ::syscall(SYS_futex, &lane.tail, FUTEX_WAKE, 1, nullptr, nullptr, 0);
        }
        return true;
    }

    Answering answering_;
    int fd_;
    airlock::Ring* ring_ = nullptr;
    std::atomic<bool> ending_ = false;
    std::thread thread_;
};

} // namespace caisson::shim
