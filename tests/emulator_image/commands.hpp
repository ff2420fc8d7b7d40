// What the enclave of the emulator's tests can be told, in RDI at EENTER. RSI and RDX are the arguments, RDI at EEXIT
// the answer.
#pragma once

#include <cstdint>

namespace caisson::tests::emulator_image {

enum class Command : std::uint64_t {
    echo = 1,    // RSI + RDX
    scratch,     // the address of a page of data inside; RSI: 0 writable, 1 read-only, 2 code
    enclu,       // RSI: an EncluRegisters outside, carried out and written back
    read,        // the byte at RSI
    write,       // 1 to the byte at RSI
    jump,        // to RSI
    system_call, // getpid
    cpuid,
    ticks,      // RDTSC
    breakpoint, // INT3
    undefined,  // UD2
    divide_by_zero,
    privileged,     // HLT
    keep,           // stores RSI inside, answers with what was there before
    meet,           // waits until RSI threads are inside, then answers
    patterns_spin,  // patterns in all registers until *RSI is not zero; 1 if they are all still there
    patterns_fault, // patterns in all registers, UD2 (skipped by the handler); 1 if they are all still there
    thread_base,    // where FS points
    skip,           // at CSSA > 0: moves the saved RIP by RSI
    exit_info,      // at CSSA > 0: the EXITINFO of the frame before
    saved_word,     // at CSSA > 0: the word RSI of the frame before, from its start
    set_saved_word, // at CSSA > 0: RDX to the word RSI of the frame before
    nested_fault,   // at CSSA > 0: UD2
    cssa,           // RAX at EENTER
};

struct EncluRegisters {
    std::uint64_t rax, rbx, rcx, rdx, rflags;
};

} // namespace caisson::tests::emulator_image
