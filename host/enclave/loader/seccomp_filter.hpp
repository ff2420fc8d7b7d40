// A seccomp program, built instruction by instruction.
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace caisson::host::enclave::loader {

class SeccompFilter {
  public:
    // Other architectures' calls are killed, whatever their numbers mean.
    SeccompFilter() noexcept
    {
        load(offsetof(seccomp_data, arch));
        skip_if(AUDIT_ARCH_X86_64, 1);
        give(SECCOMP_RET_KILL_PROCESS);
    }

    void load(std::uint32_t offset) noexcept { add({BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}); }
    void load_number() noexcept { load(offsetof(seccomp_data, nr)); }
    void mask(std::uint32_t value) noexcept { add({BPF_ALU | BPF_AND | BPF_K, 0, 0, value}); }
    // Skips the next `count` instructions unless the accumulator is `value`.
    void skip_unless(std::uint32_t value, std::uint8_t count) noexcept
    {
        add({BPF_JMP | BPF_JEQ | BPF_K, 0, count, value});
    }
    void skip_if(std::uint32_t value, std::uint8_t count) noexcept
    {
        add({BPF_JMP | BPF_JEQ | BPF_K, count, 0, value});
    }
    void give(std::uint32_t verdict) noexcept { add({BPF_RET | BPF_K, 0, 0, verdict}); }
    // Requires: the number is loaded.
    void allow(std::uint32_t number) noexcept
    {
        skip_unless(number, 1);
        give(SECCOMP_RET_ALLOW);
    }

    // Everything else is killed.
    [[nodiscard]] long install() noexcept
    {
        give(SECCOMP_RET_KILL_PROCESS);
        sock_fprog program{static_cast<unsigned short>(count_), instructions_.data()};
        return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    }

  private:
    void add(sock_filter instruction) noexcept { instructions_[count_++] = instruction; }

    std::array<sock_filter, 48> instructions_{};
    std::size_t count_ = 0;
};

} // namespace caisson::host::enclave::loader
