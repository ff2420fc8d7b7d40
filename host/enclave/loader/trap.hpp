// ENCLU without SGX: the instruction raises #UD, and the handler does what the CPU would (SDM vol. 3D, chapters 35, 36,
// 39 and 40).
#pragma once

#include "host/enclave/loader/emulator.hpp"

#include <signal.h>
#include <ucontext.h>

namespace caisson::host::enclave::loader {

// A signal that stands for an interrupt: an enclave that meets it leaves asynchronously and is resumed at once, as the
// kernel has it resumed after an interrupt. Outside it does nothing.
inline constexpr int interrupt_signal = SIGUSR1;

inline constexpr std::size_t enclaves_max = 16;

// Does the kernel keep a base that user code wrote with WRFSBASE or WRGSBASE over a switch to another task? One that
// does not says so by leaving out a bit of AT_HWCAP2, even where a hypervisor lets the instructions pass; then only
// arch_prctl makes a base stay.
[[nodiscard]] bool kernel_keeps_bases() noexcept;

// The emulator's __vdso_sgx_enter_enclave.
extern "C" int caisson_enter_enclave(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t rdx, std::uint32_t function,
                                     std::uint64_t r8, std::uint64_t r9, EnclaveRun* run);

// An exception that an instruction raises, or none.
struct Fault {
    int vector = -1;
    std::uint16_t error_code = 0;
    std::uint64_t address = 0;

    [[nodiscard]] bool raised() const noexcept { return vector >= 0; }
};

class Trap {
  public:
    // The calling thread's alternate stack, in secret memory, with the state of its emulated logical processor at the
    // base; and the handlers, which all threads share. Fails: exhausted (locked memory), unavailable.
    [[nodiscard]] static Status attach() noexcept;

    // EENTER finds the enclave by the address of its TCS. Fails: exhausted.
    [[nodiscard]] static Status remember(Emulator& enclave) noexcept;
    static void forget(const Emulator& enclave) noexcept;

    // Asks the kernel to let CPUID fault in this thread; where it cannot, CPUID inside is not refused. Below 0: errno.
    [[nodiscard]] static long refuse_cpuid() noexcept;

  private:
    struct Processor;
    static void handle(Processor& cpu, int signal, const siginfo_t& info, ucontext_t& context) noexcept;
    static void handle_outside(Processor& cpu, int signal, ucontext_t& context) noexcept;
    static Fault judge(const Processor& cpu, int signal, const siginfo_t& info, const ucontext_t& context) noexcept;
    // Each leaf of ENCLU: no fault when it was carried out.
    static Fault enter(Processor& cpu, Emulator& enclave, Thread& thread, greg_t* registers) noexcept;
    static Fault resume(Processor& cpu, Emulator& enclave, Thread& thread, ucontext_t& context) noexcept;
    static Fault enter_or_resume(Processor& cpu, ucontext_t& context) noexcept;
    static Fault carry_out_leaf(Emulator& enclave, greg_t* registers) noexcept;
    static Fault do_ereport(Emulator& enclave, const greg_t* registers) noexcept;
    static Fault do_egetkey(Emulator& enclave, greg_t* registers) noexcept;
    static Fault do_eaccept(Emulator& enclave, greg_t* registers) noexcept;
    static Fault do_emodpe(Emulator& enclave, greg_t* registers) noexcept;
    static void exit_synchronously(Processor& cpu, greg_t* registers) noexcept;
    static void exit_asynchronously(Processor& cpu, const Fault* fault, ucontext_t& context) noexcept;
    static void report_fault(const Fault& fault, greg_t* registers) noexcept;
    // Operands lie inside, aligned, on regular pages with these permissions.
    static Fault check_operand(Emulator& enclave, std::uint64_t address, std::uint64_t size, std::uint64_t alignment,
                               std::uint64_t permissions) noexcept;
    static std::uint64_t frame_of(const Emulator& enclave, const Thread& thread, std::uint32_t number) noexcept;
    static Fault check_frame(Emulator& enclave, std::uint64_t frame) noexcept;
    static void handle_signal(int signal, siginfo_t* info, void* context) noexcept;
};

} // namespace caisson::host::enclave::loader
