// How a thread enters an enclave: the contract of the kernel's vDSO function __vdso_sgx_enter_enclave, which on
// `process` the emulator fulfils. The same caller code serves both.
#pragma once

#include "core/bytes.hpp"

namespace caisson::host::enclave {

// The kernel's struct sgx_enclave_run (arch/x86/include/uapi/asm/sgx.h).
struct EnclaveRun {
    std::uint64_t tcs = 0;
    std::uint32_t function = 0; // EEXIT, or after an exception the leaf that was or would be executed
    std::uint16_t exception_vector = 0;
    std::uint16_t exception_error_code = 0;
    std::uint64_t exception_address = 0;
    std::uint64_t user_handler = 0;
    std::uint64_t user_data = 0;
    ByteArray<216> reserved{}; // zeros
};
static_assert(sizeof(EnclaveRun) == 256);

// RDI, RSI, RDX, R8 and R9 reach the enclave. 0 after EEXIT or a reported exception, else -errno.
using EnterFunction = int (*)(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t rdx, std::uint32_t function,
                              std::uint64_t r8, std::uint64_t r9, EnclaveRun* run);

struct Entry {
    std::uint64_t tcs = 0;  // its address
    std::uint32_t leaf = 0; // EENTER or ERESUME
    std::uint64_t rdi = 0;
    std::uint64_t rsi = 0;
    std::uint64_t rdx = 0;
};

struct Exit {
    int error = 0; // errno when the entry function refused its arguments
    bool by_exception = false;
    std::uint32_t leaf = 0;
    std::uint16_t vector = 0; // of the exception
    std::uint16_t error_code = 0;
    std::uint64_t address = 0; // of a page fault, to the page
    std::uint64_t rdi = 0;     // what the enclave left with
    std::uint64_t rsi = 0;
};

// Enters through `enter` and comes back with how and why the enclave left.
[[nodiscard]] Exit enter_enclave(EnterFunction enter, const Entry& entry) noexcept;

} // namespace caisson::host::enclave
