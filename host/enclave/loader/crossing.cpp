// In and out of an enclave without a trap. Each trap is a signal, and each signal of a chamber's process a stop that
// its guard must end: for a chamber that sleeps and wakes thousands of times a second that is most of what it costs. An
// exit that was written for it (direct_exit) becomes a jump out to here when the enclave is built, after it has been
// measured; the EENTER of such an enclave is a call. What a CPU checks is checked all the same, and whatever is not a
// plain entry or exit goes through ENCLU and its trap.
#include "airlock/entry.hpp"
#include "host/enclave/loader/segment_bases.hpp"
#include "host/enclave/loader/trap.hpp"

#include <algorithm>
#include <cstring>

// Entered by the jump, on the stack that the enclave leaves to, with FS and GS still the enclave's. RDI, RSI, RDX, R8
// and R9 are for the host side, RBX is where it goes on.
__asm__(R"(
    .text
    .globl caisson_leave_directly
    .hidden caisson_leave_directly
caisson_leave_directly:
    push %rbp
    mov %rsp, %rbp
    push %rdi
    push %rsi
    push %rdx
    push %r8
    push %r9
    and $-16, %rsp
    cld
    call caisson_out_of_enclave
    mov %rax, %rcx
    mov -40(%rbp), %r9
    mov -32(%rbp), %r8
    mov -24(%rbp), %rdx
    mov -16(%rbp), %rsi
    mov -8(%rbp), %rdi
    leave
    mov $4, %eax
    jmp *%rbx
)");

extern "C" {
extern char caisson_leave_directly[] __attribute__((visibility("hidden")));
extern char caisson_aep[];
}

namespace caisson::host::enclave::loader {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;

DirectEntry Trap::enter_directly(std::uint64_t tcs, std::uint64_t rsp, std::uint64_t rbp) noexcept
{
    auto* cpu = sole_processor != nullptr ? sole_processor : own();
    auto* enclave = enclave_at(tcs);
    if (cpu == nullptr || enclave == nullptr || !enclave->crosses_directly_) {
        return {};
    }
    auto* thread = enclave->thread_at(tcs);
    if (thread == nullptr || thread->busy.exchange(true, std::memory_order_acquire)) {
        return {};
    }
    const auto aep = reinterpret_cast<greg_t>(&caisson_aep[0]);
    gregset_t registers{};
    registers[REG_RSP] = static_cast<greg_t>(rsp);
    registers[REG_RBP] = static_cast<greg_t>(rbp);
    registers[REG_RCX] = aep;
    registers[REG_RIP] = aep;
    if (enter(*cpu, *enclave, *thread, registers).raised()) {
        thread->busy.store(false, std::memory_order_release);
        return {};
    }
    go_in(*cpu, *enclave, *thread);
    take_enclave_bases(*cpu);
    return {static_cast<std::uint64_t>(registers[REG_RIP]), static_cast<std::uint64_t>(registers[REG_RAX])};
}

std::uint64_t Trap::leave_directly() noexcept
{
    auto* cpu = sole_processor != nullptr ? sole_processor : processor_inside(fs_base());
    if (cpu == nullptr || cpu->inside == 0) {
        give_up(); // it has moved FS: nothing says who left
    }
    const auto aep = cpu->aep;
    go_out(*cpu); // first: an interrupt from here on is one outside, and leaves the bases alone
    take_host_bases(*cpu);
    return aep;
}

// Only where FS tells the threads apart.
bool Emulator::may_cross_directly() const noexcept
{
    for (std::size_t index = 0; index < threads_.size(); ++index) {
        for (std::size_t other = 0; other < index; ++other) {
            if (threads_[index]->ofsbase == threads_[other]->ofsbase) {
                return false;
            }
        }
    }
    return true;
}

void Emulator::cross_directly() noexcept
{
    constexpr auto size = airlock::direct_exit.size();
    ByteArray<size> jump{0xff, 0x25, 0, 0, 0, 0}; // jmp *(%rip), and the address behind it
    const auto target = reinterpret_cast<std::uint64_t>(&caisson_leave_directly[0]);
    std::memcpy(jump.data() + size - sizeof target, &target, sizeof target);
    if (!may_cross_directly()) {
        return;
    }
    const auto is_code = [&](std::uint64_t offset) {
        const auto& page = page_at(offset);
        return page.valid && page.type == PageType::PT_REG && (page.permissions & protocol::sgx::SECINFO_X) != 0;
    };
    for (std::uint64_t begin = 0; begin < header_.size; begin += page_bytes) {
        auto end = begin;
        while (end < header_.size && is_code(end)) {
            end += page_bytes;
        }
        const auto* last = reinterpret_cast<std::uint8_t*>(base_ + end);
        auto* at = reinterpret_cast<std::uint8_t*>(base_ + begin);
        while (void* found = ::memmem(at, static_cast<std::size_t>(last - at), airlock::direct_exit.data(), size)) {
            at = std::copy(jump.begin(), jump.end(), static_cast<std::uint8_t*>(found));
            crosses_directly_ = true;
        }
        begin = end;
    }
}

} // namespace caisson::host::enclave::loader
