#include "host/enclave/loader/lockdown.hpp"

#include "airlock/arena.hpp"
#include "host/enclave/loader/seccomp_filter.hpp"
#include "host/enclave/loader/segment_bases.hpp"
#include "host/enclave/loader/trap.hpp"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <span>

// Debian 12's headers are older than the kernels it may run on.
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_SPEC_L1D_FLUSH
#define PR_SPEC_L1D_FLUSH 2
#endif
#ifndef PR_SCHED_CORE
#define PR_SCHED_CORE 62
#define PR_SCHED_CORE_CREATE 1
#endif

extern "C" const char __executable_start;
extern "C" const char etext;

namespace caisson::host::enclave::loader {
namespace {

constexpr unsigned nobody = 65534;
constexpr int last_capability = 63;
constexpr const char* seccomp_step = "seccomp: futex, exit_group, rt_sigreturn, arena pages";
constexpr const char* no_new_privileges_step = "no new privileges"; // the kernel demands it for seccomp filters
constexpr const char* guard_step = "guarded: traced by a process that only waits";
constexpr const char* arena_step = "memory for the whole arena";

long write_file(const char* path, const char* text) noexcept
{
    const int descriptor = ::open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    const auto written = ::write(descriptor, text, std::strlen(text));
    ::close(descriptor);
    return written < 0 ? -1 : 0;
}

long enter_empty_root() noexcept
{
    if (::mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k") != 0 || ::chdir("/tmp") != 0 ||
        ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0) {
        return -1;
    }
    return ::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC | MS_NOSUID | MS_NODEV, nullptr);
}

long set_limit(__rlimit_resource_t resource, rlim_t value) noexcept
{
    const rlimit limit{value, value};
    return ::setrlimit(resource, &limit);
}

} // namespace

bool Lockdown::simulated_missing(const char* name) const noexcept
{
    if (std::strncmp(facts_.missing_step.data(), name, facts_.missing_step.size() - 1) != 0) {
        return false;
    }
    errno = facts_.missing_error;
    return true;
}

bool Lockdown::note(const char* name, long result) noexcept
{
    if (simulated_missing(name)) {
        result = -1;
    }
    const int error = result < 0 ? errno : 0;
    if (report_.step_count < steps_max) {
        auto& step = report_.steps[report_.step_count++];
        std::snprintf(step.name.data(), step.name.size(), "%s", name);
        step.error = error;
    }
    return result >= 0;
}

void Lockdown::begin() noexcept
{
    step("ends with its host", [] { return ::prctl(PR_SET_PDEATHSIG, SIGKILL); });
    step("no core file", [] { return set_limit(RLIMIT_CORE, 0); });
    step("inherited descriptors closed", [] { return ::syscall(SYS_close_range, start_descriptor + 1, ~0U, 0); });
    if (!simulated_missing(guard_step)) {
        guard_.start();
    }
}

int Lockdown::secret_memory(const char* name, std::size_t size) noexcept
{
    int descriptor = -1;
    if (!simulated_missing("secret memory")) {
        descriptor = static_cast<int>(::syscall(SYS_memfd_secret, O_CLOEXEC));
    }
    if (descriptor >= 0 && ::ftruncate(descriptor, static_cast<off_t>(size)) != 0) {
        ::close(descriptor);
        descriptor = -1;
    }
    note(name, descriptor);
    return descriptor;
}

// [ARENA-4]
std::size_t Lockdown::arena_bytes_wanted() const noexcept
{
    return simulated_missing(arena_step) ? airlock::arena_bytes_min : airlock::arena_bytes;
}

void Lockdown::note_arena(std::size_t bytes) noexcept
{
    report_.arena_bytes = static_cast<std::uint32_t>(bytes);
    errno = EAGAIN; // as the kernel says it when RLIMIT_MEMLOCK is used up
    note(arena_step, bytes == airlock::arena_bytes ? 0 : -1);
}

// After exec, never before: so the memory's owner stays the outer user namespace, and nobody of the same user gains
// CAP_SYS_PTRACE over it. Without CLONE_NEWPID: it concerns children, and there are none.
void Lockdown::leave_namespaces() noexcept
{
    const unsigned uid = ::geteuid();
    const unsigned gid = ::getegid();
    constexpr int namespaces =
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    const char* name = "own namespaces (user, mount, network, ipc, uts, cgroup)";
    if (!step(name, [] { return ::unshare(namespaces); })) {
        return;
    }
    std::array<char, 64> map{};
    write_file("/proc/self/setgroups", "deny");
    std::snprintf(map.data(), map.size(), "%u %u 1", nobody, uid);
    write_file("/proc/self/uid_map", map.data());
    std::snprintf(map.data(), map.size(), "%u %u 1", nobody, gid);
    write_file("/proc/self/gid_map", map.data());
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    step("empty root file system", enter_empty_root);
}

void Lockdown::drop_privileges() noexcept
{
    step(no_new_privileges_step, [] { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
    for (int capability = 0; capability <= last_capability; ++capability) {
        ::prctl(PR_CAPBSET_DROP, capability);
    }
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    step("no capabilities", [] {
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, 2> none{};
        return ::syscall(SYS_capset, &header, none.data());
    });
    // After the id maps are written: they need /proc/self, which belongs to root from here on.
    step("not dumpable", [] { return ::prctl(PR_SET_DUMPABLE, 0); });
}

void Lockdown::harden_memory() noexcept
{
    step("no memory both writable and executable", [] { return ::prctl(PR_SET_MDWE, 1, 0, 0, 0); });
    step("own code sealed", [] {
        constexpr std::uint64_t page_mask = 4095;
        const auto start = reinterpret_cast<std::uint64_t>(&__executable_start) & ~page_mask;
        const auto end = (reinterpret_cast<std::uint64_t>(&etext) + page_mask) & ~page_mask;
        return ::syscall(SYS_mseal, start, end - start, 0);
    });
}

void Lockdown::close_side_channels() noexcept
{
    const auto speculation = [](int which, int how) { return ::prctl(PR_SET_SPECULATION_CTRL, which, how, 0, 0); };
    step("store bypass speculation off",
         [&] { return speculation(PR_SPEC_STORE_BYPASS, static_cast<int>(PR_SPEC_FORCE_DISABLE)); });
    step("indirect branch speculation off",
         [&] { return speculation(PR_SPEC_INDIRECT_BRANCH, static_cast<int>(PR_SPEC_FORCE_DISABLE)); });
    step("data cache flushed when others run",
         [&] { return speculation(PR_SPEC_L1D_FLUSH, static_cast<int>(PR_SPEC_ENABLE)); });
    step("shares no core with others at one time", [] {
        constexpr int whole_process = 1; // PIDTYPE_TGID
        return ::prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, whole_process, 0);
    });
}

void Lockdown::limit_resources() noexcept
{
    step("no new processes or threads", [] { return set_limit(RLIMIT_NPROC, 0); });
    step("no file writes", [] { return set_limit(RLIMIT_FSIZE, 0); });
    step("no new descriptors", [] { return set_limit(RLIMIT_NOFILE, 8); });
}

void Lockdown::restrict_by_landlock() noexcept
{
    struct Attributes {
        std::uint64_t files;
        std::uint64_t network;
        std::uint64_t scoped;
    };
    step("Landlock", [] {
        const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < 0) {
            return abi;
        }
        const unsigned file_rights = abi >= 5 ? 16 : abi >= 3 ? 15 : abi == 2 ? 14 : 13;
        // Not LANDLOCK_SCOPE_SIGNAL: it would also hold back the signal that ends the guard with the chamber.
        constexpr std::uint64_t abstract_sockets = 1;
        const Attributes attributes{(std::uint64_t{1} << file_rights) - 1, 3, abstract_sockets};
        const std::size_t known = abi >= 6 ? sizeof attributes : abi >= 4 ? 16 : 8;
        const long ruleset = ::syscall(SYS_landlock_create_ruleset, &attributes, known, 0);
        if (ruleset < 0) {
            return ruleset;
        }
        const long restricted = ::syscall(SYS_landlock_restrict_self, ruleset, 0);
        const int error = errno;
        ::close(static_cast<int>(ruleset));
        errno = error;
        return restricted;
    });
}

bool Lockdown::restrict_system_calls(std::uint64_t base, std::uint64_t size) noexcept
{
    SeccompFilter filter;
    // From inside the enclave: a trap, which the emulator turns into #UD. The range is naturally aligned and smaller
    // than 4 GiB, so the high word is one value and the low word one after masking.
    filter.load(offsetof(seccomp_data, instruction_pointer) + 4);
    filter.skip_unless(static_cast<std::uint32_t>(base >> 32U), 4);
    filter.load(offsetof(seccomp_data, instruction_pointer));
    filter.mask(~static_cast<std::uint32_t>(size - 1));
    filter.skip_unless(static_cast<std::uint32_t>(base), 1);
    filter.give(SECCOMP_RET_TRAP);
    filter.load_number();
    for (const std::uint32_t number : {SYS_futex, SYS_rt_sigreturn, SYS_exit_group}) {
        filter.allow(number);
    }
    if (!kernel_keeps_bases()) { // then the emulator sets the enclave's FS and GS this way
        filter.skip_unless(SYS_arch_prctl, 4);
        filter.load(offsetof(seccomp_data, args));
        filter.skip_if(ARCH_SET_FS, 1);
        filter.skip_unless(ARCH_SET_GS, 1);
        filter.give(SECCOMP_RET_ALLOW);
    }
    // EACCEPT makes one page of the arena usable, and nothing ever makes one executable.
    constexpr std::uint64_t window = airlock::image_range_bytes - airlock::arena_offset;
    static_assert((window & (window - 1)) == 0 && airlock::arena_offset % window == 0);
    constexpr auto argument = [](std::size_t index, std::size_t upper) {
        return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * index + 4 * upper);
    };
    filter.load_number();
    filter.skip_unless(SYS_mprotect, 13);
    filter.load(argument(0, 1));
    filter.skip_unless(static_cast<std::uint32_t>(base >> 32U), 11);
    filter.load(argument(0, 0));
    filter.mask(~static_cast<std::uint32_t>(window - 1));
    filter.skip_unless(static_cast<std::uint32_t>(base + airlock::arena_offset), 8);
    filter.load(argument(1, 1));
    filter.skip_unless(0, 6);
    filter.load(argument(1, 0));
    filter.skip_unless(protocol::sgx::page_bytes, 4);
    filter.load(argument(2, 0));
    filter.mask(~static_cast<std::uint32_t>(PROT_READ | PROT_WRITE));
    filter.skip_unless(0, 1);
    filter.give(SECCOMP_RET_ALLOW);
    return !simulated_missing(seccomp_step) && filter.install() == 0;
}

void Lockdown::withdraw() noexcept
{
    step(guard_step, [this] { return guard_.wait(); });
    for (int descriptor = ring_descriptor; descriptor < start_descriptor; ++descriptor) {
        ::close(descriptor);
    }
    leave_namespaces();
    drop_privileges();
}

bool Lockdown::finish(std::uint64_t base, std::uint64_t size) noexcept
{
    ::close(start_descriptor);
    harden_memory();
    close_side_channels();
    limit_resources();
    restrict_by_landlock();
    const bool restricted = restrict_system_calls(base, size);
    note(seccomp_step, restricted ? 0 : -1);
    return restricted;
}

const Step* Lockdown::indispensable_that_failed() const noexcept
{
    const std::span<const Step> steps(report_.steps.data(), report_.step_count);
    const auto found = std::ranges::find_if(steps, [](const Step& step) {
        return step.error != 0 && (std::strcmp(step.name.data(), no_new_privileges_step) == 0 ||
                                   std::strcmp(step.name.data(), seccomp_step) == 0);
    });
    return found == steps.end() ? nullptr : &*found;
}

} // namespace caisson::host::enclave::loader
