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

// Where the first instruction inside is, and RAX for it; no instruction: ENCLU must decide.
struct DirectEntry {
    std::uint64_t instruction = 0;
    std::uint64_t cssa = 0;
};

class Trap {
  public:
    // The calling thread's alternate stack, in secret memory, with the state of its emulated logical processor at the
    // base; and the handlers, which all threads share. Fails: exhausted (locked memory), unavailable.
    [[nodiscard]] static Status attach() noexcept;

    // From its next entry on the calling thread, the only one that enters, keeps FS and GS as the enclave has them: to
    // set them costs more than all else of a crossing where the kernel has to do it. Requires: attached; whatever this
    // thread does from then on needs no thread-local storage, and so no errno.
    static void give_thread_to_enclave() noexcept;

    // EENTER finds the enclave by the address of its TCS. Fails: exhausted.
    [[nodiscard]] static Status remember(Emulator& enclave) noexcept;
    static void forget(const Emulator& enclave) noexcept;

    // EENTER and EEXIT of an enclave that crosses directly, for the assembly of the way in and out (crossing.cpp).
    // `rsp` and `rbp` are those at the EENTER.
    static DirectEntry enter_directly(std::uint64_t tcs, std::uint64_t rsp, std::uint64_t rbp) noexcept
        __asm__("caisson_enter_directly");
    // FS and GS are the enclave's at the call and the host's afterwards; the AEP.
    static std::uint64_t leave_directly() noexcept __asm__("caisson_out_of_enclave");

    // Asks the kernel to let CPUID fault in this thread; where it cannot, CPUID inside is not refused. Below 0: errno.
    [[nodiscard]] static long refuse_cpuid() noexcept;

  private:
    // One for each thread that enters: the logical processor.
    struct Processor {
        Emulator* enclave = nullptr;
        Thread* thread = nullptr;
        // Inside: where FS points when the thread is entered, which no other thread has. Outside: 0.
        std::atomic<std::uint64_t> inside = 0;
        bool handling = false;
        std::uint64_t host_fs = 0;
        std::uint64_t host_gs = 0;
        std::uint64_t enclave_fs = 0;
        std::uint64_t enclave_gs = 0;
        std::uint64_t kept_fs = 0; // what a thread given to its enclave has in them
        std::uint64_t kept_gs = 0;
        std::uint64_t aep = 0;
    };
    // A fault of the host side here is ours: nothing can be saved.
    [[noreturn]] static void give_up(int signal = 0) noexcept;
    static Processor*& own() noexcept; // the calling thread's, nullptr before it is attached
    // FS and GS, between host and enclave.
    static void take_host_bases(Processor& cpu) noexcept;
    static void take_enclave_bases(Processor& cpu) noexcept;
    static Emulator* enclave_at(std::uint64_t address) noexcept;
    // The one that is inside with the thread whose FS begins there, or nullptr.
    static Processor* processor_inside(std::uint64_t thread_base) noexcept;
    static void go_in(Processor& cpu, Emulator& enclave, Thread& thread) noexcept;
    static void go_out(Processor& cpu) noexcept;
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
    static inline Processor* sole_processor = nullptr; // of a thread that is given to its enclave
    static std::uint64_t frame_of(const Emulator& enclave, const Thread& thread, std::uint32_t number) noexcept;
    static Fault check_frame(Emulator& enclave, std::uint64_t frame) noexcept;
    static void handle_signal(int signal, siginfo_t* info, void* context) noexcept;
};

} // namespace caisson::host::enclave::loader
