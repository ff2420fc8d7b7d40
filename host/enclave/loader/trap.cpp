// Compiled without stack protector: when a handler starts, FS and GS may still be the enclave's.
#include "host/enclave/loader/trap.hpp"

#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

// Enters with EENTER's registers (RBX = TCS, RCX = AEP); comes back behind ENCLU after EEXIT, or at caisson_exception
// after an asynchronous exit that the handler turns into a report, as the vDSO does.
__asm__(R"(
    .text
    .globl caisson_enter_enclave
    .type caisson_enter_enclave, @function
caisson_enter_enclave:
    push %rbp
    mov %rsp, %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    sub $8, %rsp
    mov %ecx, %eax
    mov 16(%rbp), %rbx
    mov (%rbx), %rbx
    lea caisson_aep(%rip), %rcx
    .globl caisson_aep
caisson_aep:
    .byte 0x0f, 0x01, 0xd7
    mov 16(%rbp), %rbx
    mov %eax, 8(%rbx)
    mov %rsi, 24(%rbx)
    mov %rdi, 32(%rbx)
1:  xor %eax, %eax
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .globl caisson_exception
caisson_exception:
    mov 16(%rbp), %rbx
    mov %eax, 8(%rbx)
    mov %di, 12(%rbx)
    mov %si, 14(%rbx)
    mov %rdx, 16(%rbx)
    jmp 1b
)");

extern "C" char caisson_exception[];

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::Tcs;

constexpr std::size_t signal_stack_bytes = std::size_t{64} * 1024;
constexpr std::uint64_t enclu_bytes = 3;
constexpr std::uint32_t no_fault = 0xffffffffU;
constexpr std::uint32_t vector_de = 0;
constexpr std::uint32_t vector_bp = 3;
constexpr std::uint32_t vector_ud = 6;
constexpr std::uint32_t vector_gp = 13;
constexpr std::uint32_t vector_pf = 14;

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

// A fault of the host side here is ours: nothing can be saved.
[[noreturn]] void give_up() noexcept
{
    ::syscall(SYS_exit_group, 70);
    __builtin_trap();
}

// The order of struct SsaGpr's first sixteen registers.
constexpr std::array<int, 16> ssa_order{REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                        REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

} // namespace

struct Trap::Processor {
    Emulator* enclave = nullptr;
    bool inside = false;
    std::uint64_t host_fs = 0;
    std::uint64_t host_gs = 0;
    std::uint64_t enclave_fs = 0;
    std::uint64_t enclave_gs = 0;
    std::uint64_t aep = 0;
    Tcs* tcs = nullptr;
    bool busy = false;
};

namespace {

// Set once, before the first entry; the handler must find it without TLS.
std::uint8_t* processor_memory = nullptr;

} // namespace

protocol::sgx::SsaGpr& Trap::frame_of(const Emulator& enclave, const Tcs& tcs, std::uint32_t number) noexcept
{
    const auto frame_bytes = std::uint64_t{enclave.header_.ssa_frame_pages} * page_bytes;
    const auto end = enclave.base_ + tcs.ossa + (number + std::uint64_t{1}) * frame_bytes;
    return *reinterpret_cast<protocol::sgx::SsaGpr*>(end - sizeof(protocol::sgx::SsaGpr));
}

void Trap::enter_or_resume(Processor& cpu, greg_t* registers) noexcept
{
    auto& enclave = *cpu.enclave;
    const auto leaf = static_cast<std::uint32_t>(value_of(registers, REG_RAX));
    const auto tcs_address = value_of(registers, REG_RBX);
    const auto offset = tcs_address - enclave.base_;
    if (!enclave.initialised_ || offset >= enclave.size() || offset % page_bytes != 0 ||
        !enclave.pages_[offset / page_bytes].valid || enclave.pages_[offset / page_bytes].type != PageType::PT_TCS ||
        cpu.busy) {
        give_up();
    }
    auto& tcs = *reinterpret_cast<Tcs*>(tcs_address);
    cpu.aep = value_of(registers, REG_RCX);
    cpu.tcs = &tcs;
    if (leaf == protocol::sgx::EENTER) {
        if (tcs.cssa >= tcs.nssa) {
            give_up();
        }
        auto& frame = frame_of(enclave, tcs, tcs.cssa);
        frame.ursp = value_of(registers, REG_RSP);
        frame.urbp = value_of(registers, REG_RBP);
        cpu.enclave_fs = enclave.base_ + tcs.ofsbase;
        cpu.enclave_gs = enclave.base_ + tcs.ogsbase;
        set(registers, REG_RCX, value_of(registers, REG_RIP) + enclu_bytes);
        set(registers, REG_RAX, tcs.cssa);
        set(registers, REG_RIP, enclave.base_ + tcs.oentry);
    } else if (leaf == protocol::sgx::ERESUME && tcs.cssa > 0) {
        const auto& frame = frame_of(enclave, tcs, --tcs.cssa);
        const auto* saved = &frame.rax;
        for (std::size_t index = 0; index < ssa_order.size(); ++index) {
            set(registers, ssa_order[index], saved[index]);
        }
        set(registers, REG_EFL, frame.rflags);
        set(registers, REG_RIP, frame.rip);
        cpu.enclave_fs = frame.fsbase;
        cpu.enclave_gs = frame.gsbase;
    } else {
        give_up();
    }
    cpu.busy = true;
    cpu.inside = true;
}

std::uint32_t Trap::do_ereport(const Emulator& enclave, const greg_t* registers) noexcept
{
    const auto inside = [&enclave](std::uint64_t address, std::uint64_t size, std::uint64_t alignment) {
        return address % alignment == 0 && address >= enclave.base_ && address - enclave.base_ <= enclave.size() - size;
    };
    const auto target = value_of(registers, REG_RBX);
    const auto data = value_of(registers, REG_RCX);
    const auto report = value_of(registers, REG_RDX);
    if (!inside(target, sizeof(protocol::sgx::TargetInfo), 512) ||
        !inside(data, sizeof(protocol::sgx::ReportData), 128) || !inside(report, sizeof(protocol::sgx::Report), 512)) {
        return vector_gp;
    }
    emulate_ereport(enclave.identity_, *enclave.keys_, *reinterpret_cast<const protocol::sgx::TargetInfo*>(target),
                    *reinterpret_cast<const protocol::sgx::ReportData*>(data),
                    *reinterpret_cast<protocol::sgx::Report*>(report));
    return no_fault;
}

std::uint32_t Trap::do_egetkey(const Emulator& enclave, greg_t* registers) noexcept
{
    constexpr std::uint64_t SGX_INVALID_KEYNAME = 1U << 8U;
    const auto request = value_of(registers, REG_RBX);
    const auto output = value_of(registers, REG_RCX);
    const auto last = enclave.base_ + enclave.size();
    if (request % 512 != 0 || request < enclave.base_ || request > last - sizeof(protocol::sgx::KeyRequest) ||
        output % 16 != 0 || output < enclave.base_ || output > last - 16) {
        return vector_gp;
    }
    const bool given =
        emulate_egetkey(enclave.identity_, *enclave.keys_, *reinterpret_cast<const protocol::sgx::KeyRequest*>(request),
                        *reinterpret_cast<ByteArray<16>*>(output));
    set(registers, REG_RAX, given ? 0 : SGX_INVALID_KEYNAME);
    return no_fault;
}

std::uint32_t Trap::carry_out_leaf(Processor& cpu, greg_t* registers) noexcept
{
    const auto leaf = static_cast<std::uint32_t>(value_of(registers, REG_RAX));
    std::uint32_t fault = vector_gp;
    if (leaf == protocol::sgx::EREPORT) {
        fault = do_ereport(*cpu.enclave, registers);
    } else if (leaf == protocol::sgx::EGETKEY) {
        fault = do_egetkey(*cpu.enclave, registers);
    }
    if (fault == no_fault) {
        set(registers, REG_RIP, value_of(registers, REG_RIP) + enclu_bytes);
    }
    return fault;
}

void Trap::exit_synchronously(Processor& cpu, greg_t* registers) noexcept
{
    set(registers, REG_RIP, value_of(registers, REG_RBX));
    set(registers, REG_RCX, cpu.aep);
    cpu.busy = false;
    cpu.inside = false;
}

// State to the SSA, synthetic state outside (SDM vol. 3D, chapter 35), then what the kernel's fix-up does.
void Trap::exit_asynchronously(Processor& cpu, greg_t* registers, std::uint32_t vector, const siginfo_t& info) noexcept
{
    auto& tcs = *cpu.tcs;
    auto& frame = frame_of(*cpu.enclave, tcs, tcs.cssa);
    auto* saved = &frame.rax;
    for (std::size_t index = 0; index < ssa_order.size(); ++index) {
        saved[index] = value_of(registers, ssa_order[index]);
    }
    frame.rflags = value_of(registers, REG_EFL);
    frame.rip = value_of(registers, REG_RIP);
    frame.exitinfo = vector | 3U << 8U | 1U << 31U;
    frame.fsbase = cpu.enclave_fs;
    frame.gsbase = cpu.enclave_gs;
    tcs.cssa++;
    for (const int index : {REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15}) {
        set(registers, index, 0);
    }
    set(registers, REG_RAX, protocol::sgx::ERESUME);
    set(registers, REG_RBX, reinterpret_cast<std::uint64_t>(&tcs));
    set(registers, REG_RCX, cpu.aep);
    set(registers, REG_RSP, frame.ursp);
    set(registers, REG_RBP, frame.urbp);
    set(registers, REG_RDI, vector);
    set(registers, REG_RSI, 0);
    const auto address = reinterpret_cast<std::uint64_t>(info.si_addr);
    set(registers, REG_RDX, vector == vector_pf ? address & ~(page_bytes - 1) : 0);
    set(registers, REG_RIP, reinterpret_cast<std::uint64_t>(&caisson_exception[0]));
    cpu.busy = false;
    cpu.inside = false;
}

void Trap::handle(int signal, const siginfo_t& info, ucontext_t& context) noexcept
{
    auto& cpu = *reinterpret_cast<Processor*>(processor_memory);
    auto* registers = context.uc_mcontext.gregs;
    // A CPU that has SGX switched on answers some leaves with #GP instead of #UD.
    const bool instruction = signal == SIGILL || signal == SIGSEGV;
    if (!cpu.inside) {
        if (!instruction || !is_enclu(value_of(registers, REG_RIP))) {
            give_up();
        }
        enter_or_resume(cpu, registers);
        return;
    }
    std::uint32_t fault = vector_ud; // SIGILL, and SIGSYS: `syscall` inside is #UD
    if (signal == SIGILL && is_enclu(value_of(registers, REG_RIP))) {
        if (static_cast<std::uint32_t>(value_of(registers, REG_RAX)) == protocol::sgx::EEXIT) {
            exit_synchronously(cpu, registers);
            return;
        }
        fault = carry_out_leaf(cpu, registers);
        if (fault == no_fault) {
            return;
        }
    } else if (signal == SIGSEGV || signal == SIGBUS) {
        fault = vector_pf;
    } else if (signal == SIGFPE) {
        fault = vector_de;
    } else if (signal == SIGTRAP) {
        fault = vector_bp;
    }
    exit_asynchronously(cpu, registers, fault, info);
}

// The first code in a trap: FS and GS may be the enclave's, so no TLS before the host's are back.
[[gnu::target("fsgsbase")]] void handle_signal(int signal, siginfo_t* info, void* context) noexcept
{
    auto& cpu = *reinterpret_cast<Trap::Processor*>(processor_memory);
    if (cpu.inside) {
        cpu.enclave_fs = _readfsbase_u64();
        cpu.enclave_gs = _readgsbase_u64();
        _writefsbase_u64(cpu.host_fs);
        _writegsbase_u64(cpu.host_gs);
    } else {
        cpu.host_fs = _readfsbase_u64();
        cpu.host_gs = _readgsbase_u64();
    }
    Trap::handle(signal, *info, *static_cast<ucontext_t*>(context));
    if (cpu.inside) {
        _writefsbase_u64(cpu.enclave_fs);
        _writegsbase_u64(cpu.enclave_gs);
    }
}

Status Trap::attach(Emulator& enclave) noexcept
{
    // Signal frames carry the enclave's registers: the stack they lie on is secret memory too, between guard pages.
    const auto whole = signal_stack_bytes + page_bytes;
    const int secret = static_cast<int>(::syscall(SYS_memfd_secret, 0));
    const bool have_secret = secret >= 0 && ::ftruncate(secret, static_cast<off_t>(whole)) == 0;
    auto* reserved = static_cast<std::uint8_t*>(
        ::mmap(nullptr, whole + 2 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    void* memory =
        ::mmap(reserved + page_bytes, whole, PROT_READ | PROT_WRITE,
               MAP_FIXED | (have_secret ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), have_secret ? secret : -1, 0);
    if (secret >= 0) {
        ::close(secret);
    }
    if (memory == MAP_FAILED || (!have_secret && ::mlock(memory, whole) != 0)) {
        return fail(Kind::exhausted, "locked memory is used up (RLIMIT_MEMLOCK): raise it to 8 MiB a chamber");
    }
    processor_memory = static_cast<std::uint8_t*>(memory);
    auto* cpu = new (processor_memory) Processor;
    cpu->enclave = &enclave;
    stack_t stack{};
    stack.ss_sp = processor_memory + page_bytes;
    stack.ss_size = signal_stack_bytes;
    struct sigaction action{};
    action.sa_sigaction = handle_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    bool set_up = ::sigaltstack(&stack, nullptr) == 0;
    for (const int signal : {SIGILL, SIGSEGV, SIGFPE, SIGTRAP, SIGSYS, SIGBUS}) {
        set_up &= ::sigaction(signal, &action, nullptr) == 0;
    }
    if (!set_up) {
        return fail(Kind::unavailable, "the trap handlers of the emulator cannot be set");
    }
    return {};
}

} // namespace caisson::host::enclave::loader
