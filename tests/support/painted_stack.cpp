#include "tests/support/painted_stack.hpp"

#include <algorithm>
#include <cstring>

// caisson_call_on(work, argument, stack, registers, width): width 0 for xmm, 1 for ymm, 2 for zmm and masks.
__asm__(R"(
    .text
    .globl caisson_call_on
    .type caisson_call_on, @function
caisson_call_on:
    push %rbp
    push %rbx
    push %r12
    mov %rsp, %rbp
    mov %rcx, %rbx
    mov %r8, %r12
    mov %rdx, %rsp
    mov %rdi, %rax
    mov %rsi, %rdi
    xor %edx, %edx
    .irp number,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    pxor %xmm\number, %xmm\number
    .endr
    cmp $1, %r12
    jb 1f
    vzeroall
    je 1f
    .irp number,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vpxord %zmm\number, %zmm\number, %zmm\number
    .endr
1:  call *%rax
    cmp $1, %r12
    je 2f
    ja 3f
    .irp number,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqu %xmm\number, 64*\number(%rbx)
    .endr
    jmp 4f
2:  .irp number,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vmovdqu %ymm\number, 64*\number(%rbx)
    .endr
    jmp 4f
3:  .irp number,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vmovdqu64 %zmm\number, 64*\number(%rbx)
    .endr
4:  mov %rbp, %rsp
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size caisson_call_on, . - caisson_call_on
)");

extern "C" void caisson_call_on(void (*work)(void*), void* argument, std::uint8_t* stack, std::uint8_t* registers,
                                std::uint64_t width) noexcept;

namespace caisson::tests {
namespace {

constexpr std::size_t stack_bytes = std::size_t{256} << 10U;
constexpr std::size_t register_bytes = 64;
constexpr std::uint8_t paint = 0xa5;

std::uint64_t register_width()
{
    if (__builtin_cpu_supports("avx512f")) {
        return 2;
    }
    return __builtin_cpu_supports("avx") ? 1 : 0;
}

} // namespace

PaintedStack::PaintedStack()
    : memory_(new std::uint8_t[stack_bytes + register_bytes])
{
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.get());
    bottom_ = memory_.get() + (register_bytes - address % register_bytes) % register_bytes;
}

LeftBehind PaintedStack::run(void (*work)(void*), void* argument)
{
    std::memset(bottom_, paint, stack_bytes);
    caisson_call_on(work, argument, bottom_ + stack_bytes, registers_.data(), register_width());
    return {{bottom_, bottom_ + stack_bytes}, {registers_.begin(), registers_.end()}};
}

Differences differences(const std::vector<std::uint8_t>& first, const std::vector<std::uint8_t>& second,
                        const std::vector<PublicPair>& known)
{
    std::vector<bool> excused(first.size());
    Differences out;
    for (std::size_t at = 0; at < first.size(); ++at) {
        if (first[at] == second[at]) {
            continue;
        }
        // A word that is public may begin up to seven octets before the first one that differs.
        for (const auto& pair : known) {
            constexpr auto word_bytes = sizeof pair.first;
            for (std::size_t back = 0; back < word_bytes && back <= at && !excused[at]; ++back) {
                const auto from = at - back;
                if (from + word_bytes <= first.size() &&
                    std::memcmp(first.data() + from, pair.first.data(), word_bytes) == 0 &&
                    std::memcmp(second.data() + from, pair.second.data(), word_bytes) == 0) {
                    std::fill_n(excused.begin() + static_cast<std::ptrdiff_t>(from), word_bytes, true);
                }
            }
        }
        if (!excused[at]) {
            out.count += 1;
            out.farthest = std::max(out.farthest, first.size() - at);
        }
    }
    const auto used = std::find_if(first.begin(), first.end(), [](std::uint8_t octet) { return octet != paint; });
    out.used = static_cast<std::size_t>(first.end() - used);
    return out;
}

} // namespace caisson::tests
