#include "shim/door.hpp"

#include "airlock/ring_place.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace caisson::shim {
namespace {

using airlock::Lane;
using airlock::Ring;
using airlock::Slot;
using airlock::SlotStatus;

constexpr std::uint64_t spin_ns = 10'000;
constexpr std::uint64_t nap_ns = 100'000'000;           // between two looks whether the chamber still lives
constexpr std::uint64_t answer_ns_max = 30'000'000'000; // then it counts as gone
static_assert(airlock::lane_count == 16, "shim/notice.cpp and docs/spec/shim.md say how many processes");
constexpr std::size_t output_offset = airlock::lane_arena_bytes / 2;
static_assert(airlock::payload_bytes_max <= output_offset && output_offset % 8 == 0);

class Locked {
  public:
    explicit Locked(pthread_mutex_t& mutex) noexcept
        : mutex_(mutex)
    {
        ::pthread_mutex_lock(&mutex_);
    }
    ~Locked() { ::pthread_mutex_unlock(&mutex_); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

  private:
    pthread_mutex_t& mutex_;
};

std::uint64_t now_ns() noexcept
{
    ::timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

// The kernel wants the address of the plain word inside the atomic; the ring is shared, so no FUTEX_PRIVATE.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const ::timespec* timeout) noexcept
{
    return ::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, timeout, nullptr, 0);
}

bool has_several_cpus() noexcept
{
    static const bool several = ::sysconf(_SC_NPROCESSORS_ONLN) > 1;
    return several;
}

int number_from_environment(const char* name) noexcept
{
    const char* text = std::getenv(name);
    if (text == nullptr || *text < '0' || *text > '9') {
        return -1;
    }
    char* end = nullptr;
    const long value = std::strtol(text, &end, 10);
    return *end == '\0' && value <= INT_MAX ? static_cast<int>(value) : -1;
}

// A descriptor of that number may be something else by now: only a file of the ring's size is looked at.
Ring* map_if_ring(int fd) noexcept
{
    struct ::stat facts{};
    if (fd < 0 || ::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) ||
        facts.st_size != static_cast<::off_t>(sizeof(Ring))) {
        return nullptr;
    }
    void* memory = ::mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return nullptr;
    }
    auto* ring = static_cast<Ring*>(memory);
    if (ring->magic != airlock::ring_magic) {
        ::munmap(memory, sizeof(Ring));
        return nullptr;
    }
    return ring;
}

// "/proc/RUN_PID/fd/FD" without a heap.
Ring* map_from_run(const RingPlace& place) noexcept
{
    char path[64] = "/proc/";
    char* at = path + 6;
    const auto append_number = [&](int number) {
        char digits[12];
        int count = 0;
        do {
            digits[count++] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        while (count > 0) {
            *at++ = digits[--count];
        }
    };
    append_number(place.run_pid);
    std::memcpy(at, "/fd/", 4);
    at += 4;
    append_number(place.fd);
    *at = '\0';
    const int fd = ::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return nullptr;
    }
    Ring* ring = map_if_ring(fd);
    ::close(fd);
    return ring;
}

// Whoever was killed and is not reaped by its parent is still there for kill(), but not for a pidfd.
bool is_dead(std::uint32_t pid) noexcept
{
    if (::kill(static_cast<::pid_t>(pid), 0) != 0 && errno == ESRCH) {
        return true;
    }
    const auto descriptor = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (descriptor < 0) {
        return errno == ESRCH; // or this kernel has no such call
    }
    ::pollfd ended{descriptor, POLLIN, 0};
    const bool dead = ::poll(&ended, 1, 0) == 1;
    ::close(descriptor);
    return dead;
}

template <typename View>
std::size_t total_size(std::initializer_list<View> parts) noexcept
{
    std::size_t size = 0;
    for (const auto& part : parts) {
        size += part.size();
    }
    return size;
}

void gather(MutableBytes target, std::initializer_list<Bytes> parts) noexcept
{
    for (const auto part : parts) {
        copy_bytes(target, part);
        target = target.subspan(part.size());
    }
}

void scatter(std::initializer_list<MutableBytes> outputs, Bytes source) noexcept
{
    for (const auto output : outputs) {
        const auto part = source.first(output.size() < source.size() ? output.size() : source.size());
        if (output.data() != nullptr) {
            copy_bytes(output, part);
        }
        source = source.subspan(part.size());
    }
}

Result<std::size_t> judge(const Slot& slot, std::size_t capacity) noexcept
{
    const auto status = static_cast<std::uint32_t>(slot.status);
    if (slot.status == SlotStatus::answered) {
        return slot.output_size <= capacity ? Result<std::size_t>(slot.output_size)
                                            : fail(Kind::unavailable, "the chamber's answer is out of bounds");
    }
    if (status >= static_cast<std::uint32_t>(Kind::truncated) &&
        status <= static_cast<std::uint32_t>(Kind::unavailable)) {
        return fail(static_cast<Kind>(status), "refused by the chamber");
    }
    return fail(Kind::forbidden, "refused at the chamber's door");
}

} // namespace

RingPlace ring_place_from_environment() noexcept
{
    return {number_from_environment(airlock::ring_fd_variable), number_from_environment(airlock::run_pid_variable)};
}

Result<std::size_t> Door::ask(std::uint32_t request, std::initializer_list<Bytes> parts,
                              std::initializer_list<MutableBytes> outputs) noexcept
{
    const Locked locked(mutex_);
    TRY(attach());
    return exchange(request, parts, outputs);
}

bool Door::was_restarted() noexcept
{
    const Locked locked(mutex_);
    return ring_ != nullptr && !is_gone_ && ring_->lanes[0].owner_pid.load(std::memory_order_seq_cst) != chamber_pid_;
}

// [SHIM-7]
Status Door::attach() noexcept
{
    if (is_gone_) {
        return fail(Kind::unavailable, "the chamber has ended");
    }
    if (ring_ == nullptr) {
        TRY(map_ring());
    }
    return lane_ != 0 ? Status{} : take_lane();
}

Status Door::map_ring() noexcept
{
    if (place_.fd < 0) {
        return fail(Kind::unavailable, "not started by \"caisson run\"");
    }
    ring_ = map_if_ring(place_.fd);
    if (ring_ == nullptr && place_.run_pid > 0) {
        ring_ = map_from_run(place_);
    }
    if (ring_ == nullptr) {
        return fail(Kind::unavailable, "the ring of \"caisson run\" is not there");
    }
    chamber_pid_ = ring_->lanes[0].owner_pid.load(std::memory_order_seq_cst);
    return {};
}

// [SHIM-8]
Status Door::take_lane() noexcept
{
    const auto own = static_cast<std::uint32_t>(::getpid());
    for (std::uint32_t index = 1; index < airlock::lane_count; ++index) {
        auto& lane = ring_->lanes[index];
        auto owner = lane.owner_pid.load(std::memory_order_acquire);
        if (owner != 0 && !is_dead(owner)) {
            continue;
        }
        if (!lane.owner_pid.compare_exchange_strong(owner, own)) {
            continue;
        }
        lane_ = index;
        return continue_lane(lane);
    }
    return fail(Kind::unavailable, "more processes than the ring has lanes");
}

// The owner before us may have died at any point of its request: what it published is answered first, and where the
// chamber then stands we go on.
Status Door::continue_lane(Lane& lane) noexcept
{
    auto position = lane.tail.load(std::memory_order_acquire);
    for (std::uint32_t count = 0; count < airlock::slots_per_lane; ++count) {
        if (!airlock::is_published(lane.slots[position % airlock::slots_per_lane], position)) {
            break;
        }
        TRY(wait_for(lane, ++position));
    }
    lane.head.store(position, std::memory_order_release);
    return {};
}

Result<std::size_t> Door::exchange(std::uint32_t request, std::initializer_list<Bytes> parts,
                                   std::initializer_list<MutableBytes> outputs) noexcept
{
    const auto size = total_size(parts);
    const auto capacity = total_size(outputs);
    if (size > airlock::payload_bytes_max || capacity > airlock::payload_bytes_max) {
        return fail(Kind::exhausted, "larger than the chamber takes");
    }
    auto& lane = ring_->lanes[lane_];
    const MutableBytes arena = ring_->arenas[lane_];
    gather(arena, parts);
    const auto position = lane.head.load(std::memory_order_relaxed);
    auto& slot = lane.slots[position % airlock::slots_per_lane];
    __atomic_store_n(&slot.turn, position, __ATOMIC_RELAXED); // not yet; the chamber may be looking at it
    slot.request = request;
    slot.input_size = static_cast<std::uint32_t>(size);
    slot.input_offset = 0;
    slot.output_offset = output_offset;
    slot.output_capacity = static_cast<std::uint32_t>((capacity + 7) / 8 * 8); // the chamber writes words
    slot.tag = 0;
    slot.status = SlotStatus::pending;
    slot.output_size = 0;
    airlock::publish(slot, position);
    lane.head.store(position + 1, std::memory_order_release);
    ring_->doorbell.fetch_add(1, std::memory_order_seq_cst);
    if (ring_->chamber_asleep.load(std::memory_order_seq_cst) != 0) {
        futex(ring_->doorbell, FUTEX_WAKE, 1, nullptr);
    }
    TRY(wait_for(lane, position + 1));
    const auto answered = TRY(judge(slot, capacity));
    scatter(outputs, arena.subspan(output_offset, answered));
    return answered;
}

Status Door::wait_for(Lane& lane, std::uint32_t position) noexcept
{
    const auto began_ns = now_ns();
    auto tail = lane.tail.load(std::memory_order_acquire);
    while (tail != position && has_several_cpus() && now_ns() - began_ns < spin_ns) {
        for (int pauses = 0; pauses < 16; ++pauses) {
            __builtin_ia32_pause();
        }
        tail = lane.tail.load(std::memory_order_acquire);
    }
    while (tail != position) {
        const bool gone = chamber_is_gone();
        if (gone || now_ns() - began_ns > answer_ns_max) {
            is_gone_ = true;
            return fail(Kind::unavailable, gone ? "the chamber has ended" : "the chamber does not answer");
        }
        lane.producer_asleep.store(1, std::memory_order_seq_cst);
        tail = lane.tail.load(std::memory_order_seq_cst);
        if (tail != position) {
            const ::timespec nap{0, static_cast<long>(nap_ns)};
            futex(lane.tail, FUTEX_WAIT, tail, &nap);
            tail = lane.tail.load(std::memory_order_acquire);
        }
        lane.producer_asleep.store(0, std::memory_order_seq_cst);
    }
    return {};
}

bool Door::chamber_is_gone() const noexcept
{
    return ring_->stop.load(std::memory_order_acquire) != 0 ||
           (place_.run_pid > 0 && is_dead(static_cast<std::uint32_t>(place_.run_pid)));
}

void Door::before_fork() noexcept
{
    ::pthread_mutex_lock(&mutex_);
}

void Door::after_fork_in_parent() noexcept
{
    ::pthread_mutex_unlock(&mutex_);
}

void Door::after_fork_in_child() noexcept
{
    mutex_ = PTHREAD_MUTEX_INITIALIZER; // its holder, the forking thread of the parent, is not here
    lane_ = 0;
}

void Door::close() noexcept
{
    const Locked locked(mutex_);
    if (ring_ == nullptr) {
        return;
    }
    if (lane_ != 0) {
        ring_->lanes[lane_].owner_pid.store(0, std::memory_order_release);
    }
    ::munmap(ring_, sizeof(Ring));
    ring_ = nullptr;
    lane_ = 0;
    is_gone_ = false;
}

} // namespace caisson::shim
