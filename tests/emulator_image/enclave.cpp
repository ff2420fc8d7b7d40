// The enclave of the emulator's tests: no runtime, every instruction a test wants to see carried out or refused.
#include "protocol/sgx.hpp"
#include "tests/emulator_image/commands.hpp"

#include <atomic>

// The thread page (FS, GS) keeps the host's stack (8, 16) and the way back (24). The stack lies below the thread page;
// the upper quarter of it is for entries after exceptions, 16 KiB each.
__asm__(R"(
    .text
    .globl caisson_entry
    .hidden caisson_entry
caisson_entry:
    test %rax, %rax
    jnz 1f
    mov %rsp, %gs:8
    mov %rbp, %gs:16
    mov %rcx, %gs:24
    lea -4096(%rbx), %rsp
    sub $65536, %rsp
    mov %rax, %rcx
    mov %rbx, %r8
    call emulator_image_main
    mov %rax, %rdi
    mov %gs:8, %rsp
    mov %gs:16, %rbp
    mov %gs:24, %rbx
    mov $4, %eax
    .byte 0x0f, 0x01, 0xd7 # to ud2: airlock::direct_exit
    ud2
    ud2
    ud2
1:  lea -1(%rax), %r9
    shl $14, %r9
    lea -4096(%rbx), %r10
    sub %r9, %r10
    xchg %rsp, %r10
    push %r10
    push %rbp
    push %rcx
    push %rcx
    mov %rax, %rcx
    mov %rbx, %r8
    call emulator_image_main
    mov %rax, %rdi
    pop %rbx
    pop %rbx
    pop %rbp
    pop %rsp
    mov $4, %eax
    .byte 0x0f, 0x01, 0xd7

    .macro fill_patterns
    .irp number,8,9,10,11,12,13,14,15
    mov $(0x0101010101010101 * \number), %r\number
    .endr
    mov $0x5a5a5a5a5a5a5a5a, %rax
    movq %rax, %xmm0
    punpcklqdq %xmm0, %xmm0
    .irp number,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqa %xmm0, %xmm\number
    paddq %xmm\number, %xmm\number
    .endr
    .endm

    .macro check_patterns
    .irp number,8,9,10,11,12,13,14,15
    mov $(0x0101010101010101 * \number), %rcx
    cmp %rcx, %r\number
    jne 9f
    .endr
    mov $0x5a5a5a5a5a5a5a5a, %rcx
    movq %xmm0, %rdx
    cmp %rcx, %rdx
    jne 9f
    add %rcx, %rcx
    .irp number,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movq %xmm\number, %rdx
    cmp %rcx, %rdx
    jne 9f
    .endr
    .endm

    .macro save_registers
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    .endm
    .macro restore_registers
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    .endm

    .globl spin_with_patterns
    .hidden spin_with_patterns
spin_with_patterns:
    save_registers
    fill_patterns
    mov $0x77, %ebx
    mov $0x88, %ebp
    mov $0x99, %esi
2:  cmpl $0, (%rdi)
    je 2b
    cmp $0x77, %ebx
    jne 9f
    cmp $0x88, %ebp
    jne 9f
    cmp $0x99, %esi
    jne 9f
    check_patterns
    mov $1, %eax
    restore_registers
    ret
    .globl fault_with_patterns
    .hidden fault_with_patterns
fault_with_patterns:
    save_registers
    fill_patterns
    test %rdi, %rdi
    jz 3f
    vmovups (%rdi), %ymm3
3:  ud2
    test %rdi, %rdi
    jz 4f
    vpxor (%rdi), %ymm3, %ymm3
    vptest %ymm3, %ymm3
    jnz 9f
    mov $0xb4b4b4b4b4b4b4b4, %rax
    movq %rax, %xmm3
4:  check_patterns
    mov $1, %eax
    restore_registers
    ret
9:  xor %eax, %eax
    restore_registers
    ret
)");

namespace caisson::tests::emulator_image {
namespace {

using protocol::sgx::page_bytes;

extern "C" {
std::uint64_t spin_with_patterns(const std::uint32_t* flag) noexcept;
std::uint64_t fault_with_patterns(const void* wide_pattern) noexcept;
extern const char __enclave_base[] __attribute__((visibility("hidden")));
}

alignas(page_bytes) ByteArray<2 * page_bytes> writable_page;
alignas(page_bytes) const ByteArray<page_bytes> read_only_page{1, 2, 3};
alignas(32) constexpr ByteArray<32> wide_pattern{1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                                 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
std::atomic<std::uint64_t> threads_inside = 0;
std::uint64_t kept = 0;

std::uint64_t carry_out(EncluRegisters& outside) noexcept
{
    auto registers = outside;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd7\n\tpushfq\n\tpop %4"
                     : "+a"(registers.rax), "+b"(registers.rbx), "+c"(registers.rcx), "+d"(registers.rdx),
                       "=r"(registers.rflags)
                     :
                     : "memory", "cc");
    outside = registers;
    return registers.rax;
}

std::uint64_t address_of(std::uint64_t which) noexcept
{
    switch (which) { // an array of addresses would need relocations, which nobody here applies
    case 0: return reinterpret_cast<std::uint64_t>(writable_page.data());
    case 1: return reinterpret_cast<std::uint64_t>(read_only_page.data());
    default: return reinterpret_cast<std::uint64_t>(__enclave_base);
    }
}

std::uint64_t meet(std::uint64_t count) noexcept
{
    threads_inside.fetch_add(1);
    while (threads_inside.load() < count) {
        __builtin_ia32_pause();
    }
    return count;
}

// The words of the SSA frame before this entry, which follow the TCS.
std::uint64_t* frame_before(std::uint64_t tcs, std::uint64_t cssa) noexcept
{
    constexpr std::uint64_t frame_pages = 4;
    return reinterpret_cast<std::uint64_t*>(tcs + page_bytes + (cssa - 1) * frame_pages * page_bytes);
}

protocol::sgx::SsaGpr& registers_before(std::uint64_t tcs, std::uint64_t cssa) noexcept
{
    constexpr std::uint64_t frame_bytes = 4 * page_bytes;
    const auto end = reinterpret_cast<std::uint64_t>(frame_before(tcs, cssa)) + frame_bytes;
    return *reinterpret_cast<protocol::sgx::SsaGpr*>(end - sizeof(protocol::sgx::SsaGpr));
}

// What needs an exception before it.
std::uint64_t handle(Command command, std::uint64_t argument, std::uint64_t value, std::uint64_t cssa,
                     std::uint64_t tcs) noexcept
{
    switch (command) {
    case Command::skip: return registers_before(tcs, cssa).rip += argument;
    case Command::exit_info: return registers_before(tcs, cssa).exitinfo;
    case Command::saved_word: return frame_before(tcs, cssa)[argument];
    case Command::set_saved_word: return frame_before(tcs, cssa)[argument] = value;
    case Command::nested_fault: __asm__ volatile("ud2"); return 1;
    case Command::cssa: return cssa;
    default: return ~std::uint64_t{0};
    }
}

std::uint64_t raise(Command command) noexcept
{
    std::uint64_t result = 0;
    switch (command) {
    case Command::system_call:
        __asm__ volatile("syscall" : "=a"(result) : "a"(39) : "rcx", "r11", "memory");
        return result;
    case Command::cpuid: __asm__ volatile("cpuid" : "=a"(result) : "a"(0) : "rbx", "rcx", "rdx"); return result;
    case Command::ticks: return __builtin_ia32_rdtsc();
    case Command::breakpoint: __asm__ volatile("int3"); return 1;
    case Command::undefined: __asm__ volatile("ud2"); return 1;
    case Command::divide_by_zero:
        __asm__ volatile("div %1" : "=a"(result) : "r"(result), "a"(1), "d"(0));
        return result;
    case Command::privileged: __asm__ volatile("hlt"); return 1;
    default: return ~std::uint64_t{0};
    }
}

} // namespace

extern "C" [[gnu::used, gnu::visibility("hidden")]] std::uint64_t
emulator_image_main(Command command, std::uint64_t argument, std::uint64_t value, std::uint64_t cssa,
                    std::uint64_t tcs) noexcept
{
    if (cssa > 0) {
        return handle(command, argument, value, cssa, tcs);
    }
    auto* byte = reinterpret_cast<volatile std::uint8_t*>(argument);
    switch (command) {
    case Command::echo: return argument + value;
    case Command::scratch: return address_of(argument);
    case Command::enclu: return carry_out(*reinterpret_cast<EncluRegisters*>(argument));
    case Command::read: return *byte;
    case Command::write: *byte = 1; return 1;
    case Command::jump: return reinterpret_cast<std::uint64_t (*)()>(argument)();
    case Command::keep: {
        const auto before = kept;
        kept = argument;
        return before;
    }
    case Command::meet: return meet(argument);
    case Command::patterns_spin: return spin_with_patterns(reinterpret_cast<const std::uint32_t*>(argument));
    case Command::patterns_fault: return fault_with_patterns(argument == 0 ? nullptr : wide_pattern.data());
    case Command::thread_base: {
        std::uint64_t base = 0;
        __asm__ volatile("rdfsbase %0" : "=r"(base));
        return base;
    }
    case Command::cssa: return cssa;
    default: return raise(command);
    }
}

} // namespace caisson::tests::emulator_image
