#include "host/enclave/loader/segment_bases.hpp"

#include <asm/prctl.h>
#include <immintrin.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

namespace caisson::host::enclave::loader {
namespace {

bool bases_kept = false; // set before the first trap

// Not the C library's: it may have TLS to reach for.
long arch_prctl(long code, std::uint64_t value) noexcept
{
    long result = SYS_arch_prctl;
    __asm__ volatile("syscall" : "+a"(result) : "D"(code), "S"(value) : "rcx", "r11", "memory");
    return result;
}

} // namespace

bool kernel_keeps_bases() noexcept
{
    constexpr unsigned long HWCAP2_FSGSBASE = 2;
    return (::getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) != 0;
}

void begin_with_bases(std::uint64_t& fs, std::uint64_t& gs) noexcept
{
    bases_kept = kernel_keeps_bases();
    arch_prctl(ARCH_GET_FS, reinterpret_cast<std::uint64_t>(&fs));
    arch_prctl(ARCH_GET_GS, reinterpret_cast<std::uint64_t>(&gs));
}

[[gnu::target("fsgsbase")]] std::uint64_t fs_base() noexcept
{
    if (bases_kept) {
        return _readfsbase_u64();
    }
    std::uint64_t fs = 0;
    arch_prctl(ARCH_GET_FS, reinterpret_cast<std::uint64_t>(&fs));
    return fs;
}

[[gnu::target("fsgsbase")]] void get_bases(std::uint64_t& fs, std::uint64_t& gs) noexcept
{
    if (bases_kept) {
        fs = _readfsbase_u64();
        gs = _readgsbase_u64();
    }
}

[[gnu::target("fsgsbase")]] void set_bases(std::uint64_t fs, std::uint64_t gs) noexcept
{
    if (bases_kept) {
        _writefsbase_u64(fs);
        _writegsbase_u64(gs);
    } else {
        arch_prctl(ARCH_SET_FS, fs);
        arch_prctl(ARCH_SET_GS, gs);
    }
}

} // namespace caisson::host::enclave::loader
