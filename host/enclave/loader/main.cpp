// caisson-loader: the process that is a chamber's "CPU" on the platform `process`. A static program, started from a
// sealed memfd with four descriptors (report.hpp): it builds the enclave from a sealed image, checks it as EINIT does,
// locks itself down, and then only ever enters the chamber, sleeps for it and wakes for it.
#include "airlock/arena.hpp"
#include "airlock/entry.hpp"
#include "core/check.hpp"
#include "host/enclave/cpu_features.hpp"
#include "host/enclave/loader/emulator.hpp"
#include "host/enclave/loader/image_stream.hpp"
#include "host/enclave/loader/lockdown.hpp"
#include "host/enclave/loader/trap.hpp"
#include "host/enclave/loader/xsave.hpp"
#include "host/enclave/ring_bell.hpp"

#include <csignal>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

namespace caisson {

void check_failed(const char* /*condition*/, int /*line*/) noexcept
{
    ::syscall(SYS_exit_group, 70);
    __builtin_trap();
}

namespace host::enclave::loader {
namespace {

[[noreturn]] void end(int status) noexcept
{
    ::syscall(SYS_exit_group, status);
    __builtin_trap();
}

[[noreturn]] void refuse(Report& report, const Error& error) noexcept
{
    report.failure_kind = static_cast<std::uint32_t>(error.kind);
    std::snprintf(report.failure.data(), report.failure.size(), "%s", error.what);
    report.state.store(LoaderState::failed, std::memory_order_release);
    end(1);
}

// What the kernel refused and in which words: without seccomp filters, or what they need, no chamber starts.
[[noreturn]] void refuse_without_step(Report& report, const Step* step) noexcept
{
    const char* reason = step != nullptr ? ::strerrordesc_np(step->error) : nullptr;
    std::array<char, sizeof report.failure> words{};
    std::snprintf(
        words.data(), words.size(),
        "the kernel refuses the lock-down step \"%s\": %s; a chamber does not start without it: use a kernel or "
        "container that allows seccomp filters",
        step != nullptr ? step->name.data() : "seccomp", reason != nullptr ? reason : "no reason given");
    refuse(report, {Kind::unavailable, words.data()});
}

Result<protocol::sgx::Sigstruct> load_sigstruct() noexcept
{
    ByteArray<sizeof(protocol::sgx::Sigstruct) + 1> content{}; // one more is seen
    const auto size = ::pread(sigstruct_descriptor, content.data(), content.size(), 0);
    if (size < 0) {
        return fail(Kind::unavailable, "the loader cannot read the image's signature");
    }
    return image::read_sigstruct(Bytes(content).first(static_cast<std::size_t>(size)));
}

// What lives as long as the process and must not be readable: the keys the emulator derives from, and what the chamber
// is told at its first entry, a seed among it.
struct KeyMemory {
    PlatformKeys keys;
    alignas(64) airlock::EntryFacts entry{}; // as the chamber demands of what lies outside
};

constexpr std::size_t guard_bytes = 4096;
constexpr std::size_t key_memory_bytes = 4096;
static_assert(sizeof(KeyMemory) <= key_memory_bytes);

Result<KeyMemory*> place_keys(Lockdown& lockdown) noexcept
{
    const int secret = lockdown.secret_memory("secret memory for keys", key_memory_bytes);
    auto* reserved = static_cast<std::uint8_t*>(
        ::mmap(nullptr, key_memory_bytes + 2 * guard_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    void* memory = reserved == MAP_FAILED
                       ? MAP_FAILED
                       : ::mmap(reserved + guard_bytes, key_memory_bytes, PROT_READ | PROT_WRITE,
                                MAP_FIXED | (secret >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), secret, 0);
    if (secret >= 0) {
        ::close(secret);
    }
    if (memory == MAP_FAILED || (secret < 0 && ::mlock(memory, key_memory_bytes) != 0)) {
        return fail(Kind::exhausted, "locked memory is used up (RLIMIT_MEMLOCK): raise it to 8 MiB a chamber");
    }
    return new (memory) KeyMemory;
}

// The pipe's end, and the kernel's random bytes, into memory that nobody else can read.
Status receive_secrets(KeyMemory& memory, const StartFacts& facts, std::size_t arena_bytes) noexcept
{
    for (auto* key : {&memory.keys.seal_enclave, &memory.keys.seal_signer, &memory.keys.report}) {
        const auto bytes = key->expose();
        if (::read(start_descriptor, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
            return fail(Kind::missing, "the loader was started without its keys");
        }
    }
    auto& entry = memory.entry;
    entry.magic = airlock::entry_magic;
    entry.features = facts.features;
    entry.spin_budget_ticks = facts.spin_budget_ticks;
    entry.counter_least = facts.counter_least;
    entry.counter_sealed = facts.counter_sealed;
    entry.arena_bytes = arena_bytes;
    if (::getrandom(entry.seed.data(), entry.seed.size(), 0) != static_cast<ssize_t>(entry.seed.size())) {
        return fail(Kind::unavailable, "the kernel gives no random bytes");
    }
    return {};
}

// As much of it as may be locked, counted from now on; where that is too little for any chamber, none starts.
Status reserve_arena(Emulator& emulator, Lockdown& lockdown) noexcept
{
    constexpr std::size_t step = std::size_t{256} << 10U;
    auto bytes = lockdown.arena_bytes_wanted();
    auto reserved = emulator.reserve(airlock::arena_offset, bytes);
    while (!reserved && reserved.error().kind == Kind::exhausted && bytes > airlock::arena_bytes_min) {
        bytes -= step;
        reserved = emulator.reserve(airlock::arena_offset, bytes);
    }
    TRY(reserved);
    lockdown.note_arena(bytes);
    return {};
}

Status build(Emulator& emulator, Lockdown& lockdown, const StartFacts& facts, const KeyMemory& keys) noexcept
{
    static ImageStream stream(image_descriptor);
    const auto sigstruct = TRY(load_sigstruct());
    auto reader = TRY(stream.open());
    const protocol::sgx::Attributes attributes{sigstruct.attributes.flags, xfrm_of(facts.features)};
    const int secret = lockdown.secret_memory("secret memory for the enclave", reader.header().size);
    TRY(emulator.create(reader.header(), attributes, secret));
    for (auto portion = TRY(stream.next()); !portion.empty(); portion = TRY(stream.next())) {
        reader.go_on_with(portion);
        TRY(emulator.add_all(reader));
    }
    emulator.cross_directly();
    if (reader.header().size == airlock::image_range_bytes) {
        TRY(reserve_arena(emulator, lockdown));
    }
    const auto cpusvn = emulated_cpusvn(static_cast<protocol::sgx::Platform>(facts.platform),
                                        static_cast<protocol::sgx::RootKind>(facts.root));
    TRY(emulator.initialise(stream.measurement(), sigstruct, cpusvn, &keys.keys));
    if (secret >= 0) {
        ::close(secret);
    }
    return emulator.attach_thread();
}

airlock::Ring* map_ring() noexcept
{
    struct stat facts{};
    if (::fstat(ring_descriptor, &facts) != 0 || facts.st_size != static_cast<off_t>(sizeof(airlock::Ring))) {
        end(64);
    }
    void* memory = ::mmap(nullptr, sizeof(airlock::Ring), PROT_READ | PROT_WRITE, MAP_SHARED, ring_descriptor, 0);
    if (memory == MAP_FAILED) {
        end(64);
    }
    return static_cast<airlock::Ring*>(memory);
}

// Enters the chamber for as long as it wants to be entered. The thread is the enclave's from here on: nothing below may
// use thread-local storage.
[[noreturn]] void serve(Emulator& emulator, airlock::Ring& ring, airlock::EntryFacts& facts) noexcept
{
    Trap::give_thread_to_enclave();
    constexpr auto operation = static_cast<std::uint64_t>(airlock::EntryOperation::serve);
    while (true) {
        const auto exit =
            emulator.enter({emulator.tcs(0), protocol::sgx::EENTER, operation, reinterpret_cast<std::uint64_t>(&ring),
                            reinterpret_cast<std::uint64_t>(&facts)});
        wipe(facts.seed); // read at the first entry; nothing reads it again
        const auto reason = static_cast<airlock::ExitReason>(exit.rdi);
        if (exit.error != 0 || exit.by_exception || reason == airlock::ExitReason::failed) {
            end(2);
        }
        wake_producers(ring);
        if (reason == airlock::ExitReason::stopped) {
            end(0);
        }
        if (reason == airlock::ExitReason::idle) {
            wait_for_doorbell(ring, static_cast<std::uint32_t>(exit.rsi));
        }
    }
}

[[noreturn]] void run() noexcept
{
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr); // it was started with all of them blocked
    auto* ring = map_ring();
    auto& report = report_of(*ring);
    static StartFacts facts;
    if (::read(start_descriptor, &facts, sizeof facts) != static_cast<ssize_t>(sizeof facts)) {
        end(64);
    }
    learn_xsave_layout();
    Lockdown lockdown(report, facts);
    lockdown.begin();
    static Emulator emulator;
    const auto keys = place_keys(lockdown);
    if (!keys) {
        refuse(report, keys.error());
    }
    if (const auto built = build(emulator, lockdown, facts, **keys); !built) {
        refuse(report, built.error());
    }
    lockdown.note("CPUID inside refused", Trap::refuse_cpuid());
    lockdown.withdraw();
    if (const auto received = receive_secrets(**keys, facts, emulator.reserved_bytes()); !received) {
        refuse(report, received.error());
    }
    if (!lockdown.finish(emulator.base(), emulator.size())) {
        refuse_without_step(report, lockdown.indispensable_that_failed());
    }
    report.state.store(LoaderState::ready, std::memory_order_release);
    serve(emulator, *ring, (*keys)->entry);
}

} // namespace
} // namespace host::enclave::loader
} // namespace caisson

int main()
{
    caisson::host::enclave::loader::run();
}
