// Compiled without stack protector: when a handler starts, FS and GS may still be the enclave's.
#include "host/enclave/loader/trap.hpp"

#include "host/enclave/loader/report.hpp"
#include "host/enclave/loader/segment_bases.hpp"
#include "host/enclave/loader/xsave.hpp"

#include <asm/prctl.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

// The contract of the vDSO's entry: RBX, RBP and the stack are kept, the handler (if any) is called before it returns
// and may ask for another entry. ENCLU stands once, for EENTER and as the AEP.
__asm__(R"(
    .text
    .globl caisson_enter_enclave
    .type caisson_enter_enclave, @function
caisson_enter_enclave:
    push %rbp
    mov %rsp, %rbp
    push %rbx
    mov 16(%rbp), %rbx
    mov $27, %r10d
1:  cmpq $0, 32(%rbx,%r10,8)
    jne 6f
    dec %r10d
    jnz 1b
2:  cmp $2, %ecx
    jb 6f
    cmp $3, %ecx
    ja 6f
    mov 16(%rbp), %rbx
    mov %ecx, %eax
    mov (%rbx), %rbx
    lea caisson_aep(%rip), %rcx
    cmp $2, %eax
    je 7f
    .globl caisson_aep
caisson_aep:
    .byte 0x0f, 0x01, 0xd7
    mov 16(%rbp), %rbx
    movl $4, 8(%rbx)
3:  cmpq $0, 24(%rbx)
    jne 5f
    xor %eax, %eax
4:  lea -8(%rbp), %rsp
    pop %rbx
    pop %rbp
    ret
5:  mov %rsp, %rcx
    and $-16, %rsp
    push %rbx
    push %rbx
    cld
    call *24(%rbx)
    mov %eax, %ecx
    test %eax, %eax
    jle 4b
    lea -8(%rbp), %rsp
    jmp 2b
6:  mov $-22, %eax
    jmp 4b
7:  push %rdi
    push %rsi
    push %rdx
    push %r8
    push %r9
    mov %rbx, %rdi
    lea 40(%rsp), %rsi
    mov %rbp, %rdx
    call caisson_enter_directly
    mov %rax, %r10
    mov %rdx, %rax
    pop %r9
    pop %r8
    pop %rdx
    pop %rsi
    pop %rdi
    test %r10, %r10
    jz 8f
    lea caisson_aep+3(%rip), %rcx
    jmp *%r10
8:  mov $2, %eax
    lea caisson_aep(%rip), %rcx
    jmp caisson_aep
    .globl caisson_exception
caisson_exception:
    mov 16(%rbp), %rbx
    mov %eax, 8(%rbx)
    mov %di, 12(%rbx)
    mov %si, 14(%rbx)
    mov %rdx, 16(%rbx)
    jmp 3b
)");

extern "C" char caisson_exception[];
extern "C" char caisson_aep[];

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::SsaGpr;

constexpr std::uint64_t enclu_bytes = 3;
constexpr std::uint64_t trap_flag = 0x100;
constexpr std::uint64_t status_flags = 0x108d5; // CF, PF, AF, ZF, SF, OF, RF: an asynchronous exit clears them

// One thread's memory for traps: its processor, a guard page, the stack. Aligned to its size, so that the handler finds
// the processor from its stack pointer.
constexpr std::size_t region_bytes = std::size_t{64} * 1024;
constexpr std::size_t stack_offset = 2 * page_bytes;
constexpr std::size_t threads_max = 64;

std::array<std::atomic<std::uint64_t>, threads_max> regions{};
std::array<std::atomic<Emulator*>, enclaves_max> enclaves{};

// The order of struct SsaGpr's first sixteen registers.
constexpr std::array<int, 16> ssa_order{REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                        REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

std::uint64_t value_of(const greg_t* registers, int index) noexcept
{
    return static_cast<std::uint64_t>(registers[index]);
}

void set(greg_t* registers, int index, std::uint64_t value) noexcept
{
    registers[index] = static_cast<greg_t>(value);
}

bool is_enclu(std::uint64_t instruction_pointer) noexcept
{
    const auto* at = reinterpret_cast<const std::uint8_t*>(instruction_pointer);
    return at[0] == 0x0f && at[1] == 0x01 && at[2] == 0xd7;
}

bool is_cpuid(std::uint64_t instruction_pointer) noexcept
{
    const auto* at = reinterpret_cast<const std::uint8_t*>(instruction_pointer);
    return at[0] == 0x0f && at[1] == 0xa2;
}

} // namespace

void Trap::give_up(int signal) noexcept
{
    ::syscall(SYS_exit_group, signal == SIGBUS ? status_without_page : status_gave_up);
    __builtin_trap();
}

Emulator* Trap::enclave_at(std::uint64_t address) noexcept
{
    for (const auto& slot : enclaves) {
        auto* enclave = slot.load(std::memory_order_acquire);
        if (enclave != nullptr && address - enclave->base() < enclave->size()) {
            return enclave;
        }
    }
    return nullptr;
}

Trap::Processor* Trap::processor_inside(std::uint64_t thread_base) noexcept
{
    for (const auto& region : regions) {
        const auto address = region.load(std::memory_order_acquire);
        if (address != 0 && reinterpret_cast<const Processor*>(address)->inside == thread_base) {
            return reinterpret_cast<Processor*>(address);
        }
    }
    return nullptr;
}

void Trap::go_in(Processor& cpu, Emulator& enclave, Thread& thread) noexcept
{
    cpu.enclave = &enclave;
    cpu.thread = &thread;
    cpu.inside.store(enclave.base_ + thread.ofsbase);
}

void Trap::go_out(Processor& cpu) noexcept
{
    cpu.inside.store(0);
    cpu.thread->busy.store(false, std::memory_order_release);
}

std::uint64_t Trap::frame_of(const Emulator& enclave, const Thread& thread, std::uint32_t number) noexcept
{
    return enclave.base_ + thread.ossa + std::uint64_t{number} * enclave.header_.ssa_frame_pages * page_bytes;
}

// Every page of an SSA frame must be there and writable.
Fault Trap::check_frame(Emulator& enclave, std::uint64_t frame) noexcept
{
    for (std::uint32_t page = 0; page < enclave.header_.ssa_frame_pages; ++page) {
        const auto address = frame + page * page_bytes;
        const auto fault = check_operand(enclave, address, page_bytes, page_bytes,
                                         protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W);
        if (fault.raised()) {
            return {protocol::sgx::vector_pf, 0, address};
        }
    }
    return {};
}

Fault Trap::enter(Processor& cpu, Emulator& enclave, Thread& thread, greg_t* registers) noexcept
{
    if (thread.cssa >= thread.nssa) {
        return {protocol::sgx::vector_gp, 0, 0};
    }
    const auto frame = frame_of(enclave, thread, thread.cssa);
    const auto fault = check_frame(enclave, frame);
    if (fault.raised()) {
        return fault;
    }
    const auto frame_end = frame + enclave.header_.ssa_frame_pages * page_bytes;
    auto& saved = *reinterpret_cast<SsaGpr*>(frame_end - sizeof(SsaGpr));
    saved.ursp = value_of(registers, REG_RSP);
    saved.urbp = value_of(registers, REG_RBP);
    cpu.aep = value_of(registers, REG_RCX);
    cpu.enclave_fs = enclave.base_ + thread.ofsbase;
    cpu.enclave_gs = enclave.base_ + thread.ogsbase;
    set(registers, REG_RCX, value_of(registers, REG_RIP) + enclu_bytes);
    set(registers, REG_RAX, thread.cssa);
    set(registers, REG_RIP, enclave.base_ + thread.oentry);
    set(registers, REG_EFL, value_of(registers, REG_EFL) & ~trap_flag);
    return {};
}

Fault Trap::resume(Processor& cpu, Emulator& enclave, Thread& thread, ucontext_t& context) noexcept
{
    if (thread.cssa == 0) {
        return {protocol::sgx::vector_gp, 0, 0};
    }
    auto* registers = context.uc_mcontext.gregs;
    const auto frame = frame_of(enclave, thread, thread.cssa - 1);
    const auto fault = check_frame(enclave, frame);
    if (fault.raised()) {
        return fault;
    }
    if (!restore_xsave_state(*context.uc_mcontext.fpregs, enclave.identity_.attributes.xfrm,
                             reinterpret_cast<const std::uint8_t*>(frame))) {
        return {protocol::sgx::vector_gp, 0, 0};
    }
    const auto frame_end = frame + enclave.header_.ssa_frame_pages * page_bytes;
    auto& saved = *reinterpret_cast<SsaGpr*>(frame_end - sizeof(SsaGpr));
    cpu.aep = value_of(registers, REG_RCX);
    saved.ursp = value_of(registers, REG_RSP); // for the next asynchronous exit, which may be on another stack
    saved.urbp = value_of(registers, REG_RBP);
    const auto* values = &saved.rax;
    for (std::size_t index = 0; index < ssa_order.size(); ++index) {
        set(registers, ssa_order[index], values[index]);
    }
    set(registers, REG_EFL, saved.rflags & ~trap_flag);
    set(registers, REG_RIP, saved.rip);
    cpu.enclave_fs = saved.fsbase;
    cpu.enclave_gs = saved.gsbase;
    --thread.cssa;
    return {};
}

Fault Trap::enter_or_resume(Processor& cpu, ucontext_t& context) noexcept
{
    auto* registers = context.uc_mcontext.gregs;
    const auto leaf = static_cast<std::uint32_t>(value_of(registers, REG_RAX));
    const auto address = value_of(registers, REG_RBX);
    auto* enclave = enclave_at(address);
    auto* thread = enclave == nullptr ? nullptr : enclave->thread_at(address);
    if (enclave == nullptr || (leaf != protocol::sgx::EENTER && leaf != protocol::sgx::ERESUME)) {
        return {protocol::sgx::vector_gp, 0, 0};
    }
    if (thread == nullptr) { // an enclave page, but no thread
        return {protocol::sgx::vector_pf, 0, address & ~(page_bytes - 1)};
    }
    if (thread->busy.exchange(true, std::memory_order_acquire)) {
        return {protocol::sgx::vector_gp, 0, 0};
    }
    const auto fault = leaf == protocol::sgx::EENTER ? enter(cpu, *enclave, *thread, registers)
                                                     : resume(cpu, *enclave, *thread, context);
    if (fault.raised()) {
        thread->busy.store(false, std::memory_order_release);
        return fault;
    }
    go_in(cpu, *enclave, *thread);
    return {};
}

void Trap::exit_synchronously(Processor& cpu, greg_t* registers) noexcept
{
    set(registers, REG_RIP, value_of(registers, REG_RBX));
    set(registers, REG_RCX, cpu.aep);
    go_out(cpu);
}

// What the kernel's fix-up makes of an exception at the ENCLU of the vDSO's entry.
void Trap::report_fault(const Fault& fault, greg_t* registers) noexcept
{
    set(registers, REG_RDI, static_cast<std::uint64_t>(fault.vector));
    set(registers, REG_RSI, fault.error_code);
    set(registers, REG_RDX, fault.address & ~(page_bytes - 1));
    set(registers, REG_RIP, reinterpret_cast<std::uint64_t>(&caisson_exception[0]));
}

// State to the SSA, synthetic state outside. Then an exception is reported, and after an interrupt ERESUME comes next.
void Trap::exit_asynchronously(Processor& cpu, const Fault* fault, ucontext_t& context) noexcept
{
    auto& enclave = *cpu.enclave;
    auto& thread = *cpu.thread;
    auto* registers = context.uc_mcontext.gregs;
    const auto frame = frame_of(enclave, thread, thread.cssa);
    const auto frame_end = frame + enclave.header_.ssa_frame_pages * page_bytes;
    auto& saved = *reinterpret_cast<SsaGpr*>(frame_end - sizeof(SsaGpr));
    save_xsave_state(*context.uc_mcontext.fpregs, enclave.identity_.attributes.xfrm,
                     reinterpret_cast<std::uint8_t*>(frame));
    scrub_xsave_state(*context.uc_mcontext.fpregs);
    auto* values = &saved.rax;
    for (std::size_t index = 0; index < ssa_order.size(); ++index) {
        values[index] = value_of(registers, ssa_order[index]);
        set(registers, ssa_order[index], 0);
    }
    const bool breakpoint = fault != nullptr && fault->vector == protocol::sgx::vector_bp;
    saved.rflags = value_of(registers, REG_EFL);
    saved.rip = value_of(registers, REG_RIP) - (breakpoint ? 1 : 0); // inside, INT3 is a fault and not a trap
    saved.exitinfo = 0;
    // Page faults and #GP are told to an enclave only with MISCSELECT.EXINFO, which no image of ours has.
    if (fault != nullptr && fault->vector != protocol::sgx::vector_pf && fault->vector != protocol::sgx::vector_gp) {
        saved.exitinfo = static_cast<std::uint32_t>(fault->vector) | protocol::sgx::EXITINFO_VALID |
                         (breakpoint ? protocol::sgx::EXITINFO_SOFTWARE : protocol::sgx::EXITINFO_HARDWARE);
    }
    saved.fsbase = cpu.enclave_fs;
    saved.gsbase = cpu.enclave_gs;
    thread.cssa++;
    set(registers, REG_RAX, protocol::sgx::ERESUME);
    set(registers, REG_RBX, enclave.base_ + thread.offset);
    set(registers, REG_RCX, cpu.aep);
    set(registers, REG_RSP, saved.ursp);
    set(registers, REG_RBP, saved.urbp);
    set(registers, REG_RIP, cpu.aep);
    set(registers, REG_EFL, value_of(registers, REG_EFL) & ~status_flags);
    if (fault != nullptr) {
        report_fault(*fault, registers);
    }
    go_out(cpu);
}

// What the CPU would have raised for what the kernel tells.
Fault Trap::judge(const Processor& cpu, int signal, const siginfo_t& info, const ucontext_t& context) noexcept
{
    const auto* registers = context.uc_mcontext.gregs;
    const auto instruction_pointer = value_of(registers, REG_RIP);
    if (!cpu.enclave->contains(instruction_pointer)) {
        return {protocol::sgx::vector_gp, 0, 0}; // it left its range
    }
    if (signal == SIGSYS) {
        return {protocol::sgx::vector_ud, 0, 0}; // `syscall`, caught by the seccomp filter
    }
    const auto vector = static_cast<int>(value_of(registers, REG_TRAPNO));
    if (signal == SIGSEGV && vector == protocol::sgx::vector_gp && is_cpuid(instruction_pointer)) {
        return {protocol::sgx::vector_ud, 0, 0};
    }
    if (vector == protocol::sgx::vector_pf) {
        constexpr std::uint16_t by_enclave = 1U << 15U; // the page fault's SGX bit
        return {vector, static_cast<std::uint16_t>(value_of(registers, REG_ERR) | by_enclave),
                reinterpret_cast<std::uint64_t>(info.si_addr)};
    }
    return {vector, static_cast<std::uint16_t>(value_of(registers, REG_ERR)), 0};
}

void Trap::handle_outside(Processor& cpu, int signal, ucontext_t& context) noexcept
{
    auto* registers = context.uc_mcontext.gregs;
    if (signal == interrupt_signal) {
        return;
    }
    // A CPU that has SGX switched on answers some leaves with #GP instead of #UD.
    const bool at_entry = value_of(registers, REG_RIP) == reinterpret_cast<std::uint64_t>(&caisson_aep[0]);
    if ((signal != SIGILL && signal != SIGSEGV) || !at_entry) {
        give_up(signal);
    }
    const auto fault = enter_or_resume(cpu, context);
    if (fault.raised()) {
        report_fault(fault, registers);
    }
}

void Trap::handle(Processor& cpu, int signal, const siginfo_t& info, ucontext_t& context) noexcept
{
    auto* registers = context.uc_mcontext.gregs;
    if (cpu.inside == 0) {
        handle_outside(cpu, signal, context);
        return;
    }
    if (signal == interrupt_signal) {
        exit_asynchronously(cpu, nullptr, context);
        return;
    }
    auto fault = judge(cpu, signal, info, context);
    const bool instruction = fault.vector == protocol::sgx::vector_ud || fault.vector == protocol::sgx::vector_gp;
    if (instruction && signal != SIGSYS && cpu.enclave->contains(value_of(registers, REG_RIP)) &&
        is_enclu(value_of(registers, REG_RIP))) {
        if (static_cast<std::uint32_t>(value_of(registers, REG_RAX)) == protocol::sgx::EEXIT) {
            exit_synchronously(cpu, registers);
            return;
        }
        fault = carry_out_leaf(*cpu.enclave, registers);
        if (!fault.raised()) {
            set(registers, REG_RIP, value_of(registers, REG_RIP) + enclu_bytes);
            return;
        }
    }
    exit_asynchronously(cpu, &fault, context);
}

void Trap::take_host_bases(Processor& cpu) noexcept
{
    get_bases(cpu.enclave_fs, cpu.enclave_gs);
    if (sole_processor != nullptr) {
        cpu.kept_fs = cpu.enclave_fs;
        cpu.kept_gs = cpu.enclave_gs;
        return;
    }
    set_bases(cpu.host_fs, cpu.host_gs);
}

void Trap::take_enclave_bases(Processor& cpu) noexcept
{
    if (sole_processor == nullptr) {
        get_bases(cpu.host_fs, cpu.host_gs);
    } else if (cpu.kept_fs == cpu.enclave_fs && cpu.kept_gs == cpu.enclave_gs) {
        return;
    }
    set_bases(cpu.enclave_fs, cpu.enclave_gs);
    cpu.kept_fs = cpu.enclave_fs;
    cpu.kept_gs = cpu.enclave_gs;
}

void Trap::give_thread_to_enclave() noexcept
{
    sole_processor = own();
}

// The first code in a trap: FS and GS may be the enclave's, so no TLS before the host's are back.
void Trap::handle_signal(int signal, siginfo_t* info, void* context) noexcept
{
    const auto region = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)) & ~(region_bytes - 1);
    if (std::none_of(regions.begin(), regions.end(), [region](const auto& known) { return known.load() == region; })) {
        if (signal == interrupt_signal) {
            return;
        }
        give_up(); // a thread that no enclave is entered by
    }
    auto& cpu = *reinterpret_cast<Processor*>(region);
    if (cpu.handling) {
        give_up();
    }
    cpu.handling = true;
    if (cpu.inside != 0) {
        take_host_bases(cpu);
    }
    handle(cpu, signal, *info, *static_cast<ucontext_t*>(context));
    if (cpu.inside != 0) {
        take_enclave_bases(cpu);
    }
    cpu.handling = false;
}

namespace {

// Signal frames carry the enclave's registers: what they lie on is secret memory, between guard pages.
Result<std::uint64_t> map_region() noexcept
{
    auto* reserved = static_cast<std::uint8_t*>(
        ::mmap(nullptr, 3 * region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (reserved == MAP_FAILED) {
        return fail(Kind::exhausted, "there is no address space for a thread's traps (RLIMIT_AS)");
    }
    const auto region = (reinterpret_cast<std::uint64_t>(reserved) + 2 * region_bytes - 1) & ~(region_bytes - 1);
    const int secret = static_cast<int>(::syscall(SYS_memfd_secret, O_CLOEXEC));
    const bool have_secret = secret >= 0 && ::ftruncate(secret, region_bytes) == 0;
    const auto map = [&](std::uint64_t offset, std::uint64_t bytes) {
        auto* address = reinterpret_cast<void*>(region + offset);
        const int flags = MAP_FIXED | (have_secret ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
        return ::mmap(address, bytes, PROT_READ | PROT_WRITE, flags, have_secret ? secret : -1,
                      have_secret ? static_cast<off_t>(offset) : 0) != MAP_FAILED &&
               (have_secret || ::mlock(address, bytes) == 0);
    };
    const bool mapped = map(0, page_bytes) && map(stack_offset, region_bytes - stack_offset);
    if (secret >= 0) {
        ::close(secret);
    }
    if (!mapped) {
        return fail(Kind::exhausted, "locked memory is used up (RLIMIT_MEMLOCK): raise it to 8 MiB a chamber");
    }
    return region;
}

} // namespace

Status Trap::attach() noexcept
{
    if (own() != nullptr) {
        return {};
    }
    const auto region = TRY(map_region());
    auto* cpu = new (reinterpret_cast<void*>(region)) Processor;
    begin_with_bases(cpu->host_fs, cpu->host_gs);
    std::uint64_t unused = 0;
    const bool noted = std::any_of(regions.begin(), regions.end(), [&](auto& slot) {
        unused = 0;
        return slot.compare_exchange_strong(unused, region);
    });
    if (!noted) {
        return fail(Kind::exhausted, "the emulator has no room for another thread");
    }
    stack_t stack{};
    stack.ss_sp = reinterpret_cast<void*>(region + stack_offset);
    stack.ss_size = region_bytes - stack_offset;
    struct sigaction action{};
    action.sa_sigaction = handle_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
    sigaddset(&action.sa_mask, interrupt_signal);
    bool set_up = ::sigaltstack(&stack, nullptr) == 0;
    for (const int signal : {SIGILL, SIGSEGV, SIGFPE, SIGTRAP, SIGSYS, SIGBUS, interrupt_signal}) {
        set_up &= ::sigaction(signal, &action, nullptr) == 0;
    }
    if (!set_up) {
        return fail(Kind::unavailable, "the trap handlers of the emulator cannot be set");
    }
    own() = cpu;
    return {};
}

Status Trap::remember(Emulator& enclave) noexcept
{
    for (auto& slot : enclaves) {
        Emulator* unused = nullptr;
        if (slot.compare_exchange_strong(unused, &enclave)) {
            return {};
        }
    }
    return fail(Kind::exhausted, "the emulator has no room for another enclave");
}

void Trap::forget(const Emulator& enclave) noexcept
{
    for (auto& slot : enclaves) {
        auto* known = slot.load();
        if (known == &enclave) {
            slot.store(nullptr);
        }
    }
}

long Trap::refuse_cpuid() noexcept
{
    return ::syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
}

} // namespace caisson::host::enclave::loader
