// Asynchronous exits: the state goes to the SSA, nothing of it is left outside, ERESUME brings it back.
#include "tests/unit/host/enclave/loader/emulated_machine.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::EENTER;
using protocol::sgx::ERESUME;
using protocol::sgx::SsaGpr;
using protocol::sgx::vector_bp;
using protocol::sgx::vector_de;
using protocol::sgx::vector_gp;
using protocol::sgx::vector_pf;
using protocol::sgx::vector_ud;

class EmulatorExits : public EmulatedMachine {
  protected:
    [[nodiscard]] std::uint64_t frame(std::uint32_t number) const
    {
        return enclave_.tcs(0) + protocol::sgx::page_bytes * (1 + 4 * std::uint64_t{number});
    }
    [[nodiscard]] SsaGpr saved(std::uint32_t number) const
    {
        return get<SsaGpr>(frame(number) + 4 * protocol::sgx::page_bytes - sizeof(SsaGpr));
    }
};

TEST_F(EmulatorExits, an_exception_is_reported_as_the_vdso_does)
{
    const auto exit = run(Command::undefined);
    EXPECT_TRUE(exit.by_exception);
    EXPECT_EQ(exit.vector, vector_ud);
    EXPECT_EQ(exit.leaf, ERESUME);
    EXPECT_EQ(exit.address, 0U);
    EXPECT_EQ(exit.error, 0);
}

TEST_F(EmulatorExits, division_by_zero_is_de)
{
    EXPECT_FAULT(run(Command::divide_by_zero), vector_de);
    EXPECT_EQ(answer(Command::exit_info), protocol::sgx::EXITINFO_VALID | protocol::sgx::EXITINFO_HARDWARE | vector_de);
}

TEST_F(EmulatorExits, a_breakpoint_inside_is_a_fault_at_its_own_address)
{
    EXPECT_FAULT(run(Command::breakpoint), vector_bp);
    EXPECT_EQ(get<std::uint8_t>(saved(0).rip), 0xcc);
    EXPECT_EQ(answer(Command::exit_info), protocol::sgx::EXITINFO_VALID | protocol::sgx::EXITINFO_SOFTWARE | vector_bp);
    answer(Command::skip, 1);
    EXPECT_EQ(resume().rdi, 1U);
}

TEST_F(EmulatorExits, a_privileged_instruction_is_gp)
{
    EXPECT_FAULT(run(Command::privileged), vector_gp);
}

TEST_F(EmulatorExits, a_page_fault_tells_the_host_the_page_and_no_more)
{
    const auto exit = run(Command::read, 0x5123);
    EXPECT_TRUE(exit.by_exception);
    EXPECT_EQ(exit.vector, vector_pf);
    EXPECT_EQ(exit.address, 0x5000U);
    EXPECT_NE(exit.error_code & 0x8000U, 0); // raised by an enclave
}

TEST_F(EmulatorExits, page_faults_are_not_told_to_an_enclave_without_miscselect)
{
    run(Command::read, 0x5000);
    EXPECT_EQ(answer(Command::exit_info), 0U);
}

TEST_F(EmulatorExits, an_address_that_is_none_is_gp)
{
    EXPECT_FAULT(run(Command::read, 0x8000000000000000), vector_gp);
}

TEST_F(EmulatorExits, a_handler_inside_repairs_and_the_code_goes_on_with_all_registers)
{
    EXPECT_FAULT(run(Command::patterns_fault), vector_ud);
    answer(Command::skip, 2);
    const auto exit = resume();
    EXPECT_FALSE(exit.by_exception);
    EXPECT_EQ(exit.rdi, 1U);
}

TEST_F(EmulatorExits, wide_vector_registers_come_back_too)
{
    if (__builtin_cpu_supports("avx") == 0) {
        GTEST_SKIP() << "this CPU has no AVX";
    }
    EXPECT_FAULT(run(Command::patterns_fault, 1), vector_ud);
    answer(Command::skip, 2);
    EXPECT_EQ(resume().rdi, 1U);
}

TEST_F(EmulatorExits, the_ssa_holds_the_registers_at_the_fault)
{
    run(Command::patterns_fault);
    const auto registers = saved(0);
    EXPECT_EQ(registers.r8, 0x0808080808080808U);
    EXPECT_EQ(registers.r15, 0x0f0f0f0f0f0f0f0fU);
    EXPECT_EQ(get<std::uint16_t>(registers.rip), 0x0b0f); // ud2
    EXPECT_EQ(registers.fsbase, enclave_.tcs(0) - protocol::sgx::page_bytes);
    EXPECT_EQ(get<std::uint64_t>(frame(0) + 160), 0x5a5a5a5a5a5a5a5aU);  // XMM0 in the XSAVE area
    EXPECT_EQ(get<std::uint64_t>(frame(0) + 512) & ~machine_xfrm(), 0U); // XSTATE_BV
}

// What the host sees behind an asynchronous exit: the handler of the vDSO is called with the registers as they are.
struct Outside {
    std::uint64_t rdi, rsi, rdx, r8, r9, r10, r11, r12, r13, r14, r15;
    alignas(16) ByteArray<512> legacy;
};
Outside outside_;

__attribute__((naked)) int look(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                                std::uint64_t, EnclaveRun*)
{
    __asm__(R"(
        lea %c1(%%rip), %%rax
        mov %%rdi, (%%rax)
        mov %%rsi, 8(%%rax)
        mov %%rdx, 16(%%rax)
        mov %%r8, 24(%%rax)
        mov %%r9, 32(%%rax)
        mov %%r10, 40(%%rax)
        mov %%r11, 48(%%rax)
        mov %%r12, 56(%%rax)
        mov %%r13, 64(%%rax)
        mov %%r14, 72(%%rax)
        mov %%r15, 80(%%rax)
        lea %c0(%%rip), %%rax
        fxsave (%%rax)
        xor %%eax, %%eax
        ret
    )"
            :
            : "i"(&outside_.legacy), "i"(&outside_)
            : "memory");
}

TEST_F(EmulatorExits, nothing_of_the_enclave_is_left_in_a_register_outside)
{
    EnclaveRun run;
    run.tcs = enclave_.tcs(0);
    run.user_handler = reinterpret_cast<std::uint64_t>(&look);
    ASSERT_EQ(caisson_enter_enclave(static_cast<std::uint64_t>(Command::patterns_fault), 0, 0, EENTER, 0, 0, &run), 0);
    EXPECT_EQ(run.exception_vector, vector_ud);
    for (const auto value : {outside_.rsi, outside_.rdx, outside_.r8, outside_.r9, outside_.r10, outside_.r11,
                             outside_.r12, outside_.r13, outside_.r14, outside_.r15}) {
        EXPECT_EQ(value, 0U);
    }
    EXPECT_EQ(outside_.rdi, vector_ud);
    for (std::size_t at = 160; at < 160 + 256; ++at) { // XMM0 to XMM15
        EXPECT_EQ(outside_.legacy[at], 0) << at;
    }
}

TEST_F(EmulatorExits, interrupts_change_nothing_inside)
{
    std::atomic<std::uint32_t> flag = 0;
    std::atomic<bool> attached = false;
    std::uint64_t result = 0;
    std::thread inside([&] {
        ASSERT_TRUE(enclave_.attach_thread());
        attached = true;
        result = answer(Command::patterns_spin, reinterpret_cast<std::uint64_t>(&flag));
    });
    while (!attached) {
        std::this_thread::yield();
    }
    for (int count = 0; count < 200; ++count) {
        pthread_kill(inside.native_handle(), interrupt_signal);
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    flag = 1;
    inside.join();
    EXPECT_EQ(result, 1U);
    EXPECT_NE(saved(0).rip, 0U);       // at least one interrupt met it inside
    EXPECT_FAULT(resume(), vector_gp); // and each was resumed
}

TEST_F(EmulatorExits, after_an_exception_an_entry_sees_the_next_cssa)
{
    EXPECT_EQ(answer(Command::cssa), 0U);
    run(Command::undefined);
    EXPECT_EQ(answer(Command::cssa), 1U);
    run(Command::nested_fault);
    EXPECT_EQ(answer(Command::cssa), 2U);
}

TEST_F(EmulatorExits, no_entry_without_a_free_ssa_frame)
{
    run(Command::undefined);
    run(Command::nested_fault);
    run(Command::nested_fault);
    const auto refused = run(Command::cssa);
    EXPECT_FAULT(refused, vector_gp);
    EXPECT_EQ(refused.leaf, EENTER);
    EXPECT_EQ(answer(Command::echo, 1, 1, 1), 2U); // other threads have their own frames
}

TEST_F(EmulatorExits, nested_exceptions_are_resumed_in_turn)
{
    run(Command::patterns_fault);
    EXPECT_FAULT(run(Command::nested_fault), vector_ud);
    answer(Command::skip, 2);
    EXPECT_EQ(resume().rdi, 1U); // the handler that faulted
    answer(Command::skip, 2);
    EXPECT_EQ(resume().rdi, 1U); // what it was called for
    EXPECT_FAULT(resume(), vector_gp);
}

TEST_F(EmulatorExits, an_xsave_area_that_xrstor_refuses_is_gp_at_eresume)
{
    run(Command::undefined);
    constexpr std::uint64_t xstate_bv = 512 / 8;
    constexpr std::uint64_t mxcsr = 24 / 8;
    const auto components = answer(Command::saved_word, xstate_bv);
    answer(Command::set_saved_word, xstate_bv, std::uint64_t{1} << 18U);
    EXPECT_FAULT(resume(), vector_gp);
    answer(Command::set_saved_word, xstate_bv, components);
    answer(Command::set_saved_word, xstate_bv + 1, 1); // XCOMP_BV
    EXPECT_FAULT(resume(), vector_gp);
    answer(Command::set_saved_word, xstate_bv + 1, 0);
    const auto control = answer(Command::saved_word, mxcsr);
    answer(Command::set_saved_word, mxcsr, control | 0x80000000U);
    EXPECT_FAULT(resume(), vector_gp);
    answer(Command::set_saved_word, mxcsr, control);
    answer(Command::skip, 2);
    EXPECT_EQ(resume().rdi, 1U);
}

TEST_F(EmulatorExits, code_outside_its_range_is_gp)
{
    EXPECT_FAULT(run(Command::jump, 0x5000), vector_gp);
}

// The filter of the loader's lock-down, as far as it matters here.
void trap_system_calls_from(std::uint64_t base, std::uint64_t size)
{
    const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
    sock_filter filter[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, instruction_pointer) + 4},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 4, low(base >> 32U)},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, instruction_pointer)},
        {BPF_ALU | BPF_AND | BPF_K, 0, 0, ~low(size - 1)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, low(base)},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog program{std::size(filter), filter};
    ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ASSERT_EQ(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

TEST_F(EmulatorExits, a_system_call_inside_is_ud_and_does_nothing)
{
    trap_system_calls_from(enclave_.base(), enclave_.size());
    EXPECT_FAULT(run(Command::system_call), vector_ud);
    EXPECT_EQ(answer(Command::exit_info), protocol::sgx::EXITINFO_VALID | protocol::sgx::EXITINFO_HARDWARE | vector_ud);
}

// The policy: CPUID inside is #UD where the CPU can be made to fault, RDTSC is permitted.
TEST_F(EmulatorExits, cpuid_inside_is_ud_where_the_cpu_can_refuse_it)
{
    if (Trap::refuse_cpuid() != 0) {
        EXPECT_EQ(errno, ENODEV);
        GTEST_SKIP() << "this CPU cannot be made to fault at CPUID: the check of the images stands alone";
    }
    EXPECT_FAULT(run(Command::cpuid), vector_ud);
}

TEST_F(EmulatorExits, the_tick_counter_may_be_read_inside)
{
    const auto first = answer(Command::ticks);
    EXPECT_GT(answer(Command::ticks), first);
}

} // namespace
} // namespace caisson::host::enclave::loader
