#include "host/enclave/enclave_entry.hpp"

#include "protocol/sgx.hpp"

// The entry function keeps RBX, RBP and RSP; what else the System V ABI lets a caller rely on, an enclave may have
// changed.
__asm__(R"(
    .text
    .globl caisson_call_enclave
    .hidden caisson_call_enclave
    .type caisson_call_enclave, @function
caisson_call_enclave:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rsi
    mov %rdi, %rax
    mov %rdx, %rdi
    mov %rcx, %rsi
    mov %r8, %rdx
    mov %r9d, %ecx
    xor %r8d, %r8d
    xor %r9d, %r9d
    call *%rax
    cld
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
)");

namespace caisson::host::enclave {
namespace {

struct Registers {
    std::uint64_t rdi = 0;
    std::uint64_t rsi = 0;
};

extern "C" [[gnu::visibility("hidden")]] int caisson_call_enclave(EnterFunction enter, EnclaveRun* run,
                                                                  std::uint64_t rdi, std::uint64_t rsi,
                                                                  std::uint64_t rdx, std::uint32_t leaf) noexcept;

// Called by the entry function on the way out: only here can C code see the registers the enclave left with.
int take_registers(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t /*rdx*/, std::uint64_t /*rsp*/,
                   std::uint64_t /*r8*/, std::uint64_t /*r9*/, EnclaveRun* run) noexcept
{
    *reinterpret_cast<Registers*>(run->user_data) = {rdi, rsi};
    return 0;
}

} // namespace

Exit enter_enclave(EnterFunction enter, const Entry& entry) noexcept
{
    Registers left;
    EnclaveRun run;
    run.tcs = entry.tcs;
    run.user_handler = reinterpret_cast<std::uint64_t>(&take_registers);
    run.user_data = reinterpret_cast<std::uint64_t>(&left);
    const int result = caisson_call_enclave(enter, &run, entry.rdi, entry.rsi, entry.rdx, entry.leaf);
    Exit exit;
    exit.leaf = run.function;
    if (result != 0) {
        exit.error = -result;
        return exit;
    }
    if (run.function != protocol::sgx::EEXIT) {
        exit.by_exception = true;
        exit.vector = run.exception_vector;
        exit.error_code = run.exception_error_code;
        exit.address = run.exception_address;
        return exit;
    }
    exit.rdi = left.rdi;
    exit.rsi = left.rsi;
    return exit;
}

} // namespace caisson::host::enclave
