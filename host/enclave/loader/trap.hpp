// ENCLU without SGX: the instruction raises #UD, and the handler does what the CPU would.
#pragma once

#include "host/enclave/loader/emulator.hpp"

#include <signal.h>
#include <ucontext.h>

namespace caisson::host::enclave::loader {

// The layout of the kernel's struct sgx_enclave_run (arch/x86/include/uapi/asm/sgx.h).
struct EnclaveRun {
    std::uint64_t tcs = 0;
    std::uint32_t function = 0;
    std::uint16_t exception_vector = 0;
    std::uint16_t exception_error_code = 0;
    std::uint64_t exception_address = 0;
    std::uint64_t user_handler = 0; // here: RSI at EEXIT
    std::uint64_t user_data = 0;    // here: RDI at EEXIT
    ByteArray<216> reserved{};
};
static_assert(sizeof(EnclaveRun) == 256);

// The vDSO entry's contract: RDI, RSI, RDX, R8, R9 reach the enclave; 0 after EEXIT or a reported exception.
extern "C" int caisson_enter_enclave(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t rdx, std::uint32_t function,
                                     std::uint64_t r8, std::uint64_t r9, EnclaveRun* run);

class Trap {
  public:
    // The thread's alternate stack, in secret memory, with the state of its emulated logical processor at the base.
    static Status attach(Emulator& enclave) noexcept;

    // Called by the signal handler alone, with the host's FS and GS in place.
    static void handle(int signal, const siginfo_t& info, ucontext_t& context) noexcept;

  private:
    struct Processor;
    static void enter_or_resume(Processor& cpu, greg_t* registers) noexcept;
    // The exception vector, or no_fault when the leaf was carried out.
    static std::uint32_t carry_out_leaf(Processor& cpu, greg_t* registers) noexcept;
    static std::uint32_t do_ereport(const Emulator& enclave, const greg_t* registers) noexcept;
    static std::uint32_t do_egetkey(const Emulator& enclave, greg_t* registers) noexcept;
    static void exit_synchronously(Processor& cpu, greg_t* registers) noexcept;
    static void exit_asynchronously(Processor& cpu, greg_t* registers, std::uint32_t vector,
                                    const siginfo_t& info) noexcept;
    static protocol::sgx::SsaGpr& frame_of(const Emulator& enclave, const protocol::sgx::Tcs& tcs,
                                           std::uint32_t number) noexcept;
    friend void handle_signal(int, siginfo_t*, void*) noexcept;
};

} // namespace caisson::host::enclave::loader
