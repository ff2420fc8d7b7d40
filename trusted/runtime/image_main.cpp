// Where an image begins: entry code, the first entry's set-up, and what happens when a CHECK fails inside.
#include "airlock/arena.hpp"
#include "airlock/entry.hpp"
#include "airlock/ring.hpp"
#include "core/check.hpp"
#include "protocol/image_note.hpp"
#include "trusted/runtime/enclave_runtime.hpp"
#include "trusted/runtime/enclu.hpp"
#include "trusted/runtime/ring_server.hpp"
#include "trusted/runtime/sodium_glue.hpp"

#include <algorithm>
#include <new>

// Entry (SDM vol. 3D, EENTER): RAX = CSSA, RBX = TCS, RCX = where to go back to. The builder lays out, downwards from
// the TCS: the thread page (FS and GS point there), then the stack. CSSA above 0 means an exception inside: a chamber
// never goes on after one. The thread page keeps the host's stack (8, 16), the way back (24), the canary (40), scratch
// (48), and for VERW a selector (56). It is reached through FS alone: there are hypervisors under which a GS base set
// outside the kernel is lost when the process gives way to another.
__asm__(R"(
    .text
    .globl caisson_entry
    .hidden caisson_entry
caisson_entry:
    test %rax, %rax
    jnz 9f
    mov %rsp, %fs:8
    mov %rbp, %fs:16
    mov %rcx, %fs:24
    lea -4096(%rbx), %rsp
    xor %ebp, %ebp
    cld
    push $0
    popfq
    movl $0x1f80, %fs:48
    ldmxcsr %fs:48
    movw $0x37f, %fs:52
    fldcw %fs:52
    call caisson_image_main
    mov %rdx, %rsi
    mov %rax, %rdi
8:  xor %edx, %edx
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
    pxor %xmm0, %xmm0
    pxor %xmm1, %xmm1
    pxor %xmm2, %xmm2
    pxor %xmm3, %xmm3
    pxor %xmm4, %xmm4
    pxor %xmm5, %xmm5
    pxor %xmm6, %xmm6
    pxor %xmm7, %xmm7
    pxor %xmm8, %xmm8
    pxor %xmm9, %xmm9
    pxor %xmm10, %xmm10
    pxor %xmm11, %xmm11
    pxor %xmm12, %xmm12
    pxor %xmm13, %xmm13
    pxor %xmm14, %xmm14
    pxor %xmm15, %xmm15
    cmpb $0, caisson_avx_state(%rip)
    je 7f
    vzeroall
    cmpb $1, caisson_avx_state(%rip)
    je 7f
    .irp number,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    vpxord %zmm\number, %zmm\number, %zmm\number
    .endr
    .irp number,0,1,2,3,4,5,6,7
    kxorw %k\number, %k\number, %k\number
    .endr
7:
)"
#if (CAISSON_IMAGE_HARDENING & 2) != 0
        R"(
    movw %ds, %fs:56
    verw %fs:56
)"
#endif
        R"(
    mov %fs:8, %rsp
    mov %fs:16, %rbp
    mov %fs:24, %rbx
    mov $4, %eax
    .byte 0x0f, 0x01, 0xd7 # to ud2: airlock::direct_exit
    ud2
    ud2
    ud2
9:  mov $3, %edi
    xor %esi, %esi
    jmp 8b
    .globl caisson_fail
    .hidden caisson_fail
caisson_fail:
    mov $3, %edi
    xor %esi, %esi
    jmp 8b
)");

// [IMAGE-5] At the front of the first page, by trusted/runtime/chamber.ld.
struct NoteInImage {
    caisson::ByteArray<16> magic;
    std::uint32_t version;
    std::uint32_t hardening;
};
static_assert(sizeof(NoteInImage) == 24);
[[gnu::section(".caisson_note"), gnu::used]] constinit const NoteInImage caisson_note{
    caisson::protocol::ImageNote::magic, caisson::protocol::ImageNote::current_version, CAISSON_IMAGE_HARDENING};

extern "C" {
[[noreturn]] void caisson_fail() noexcept;
extern const char __enclave_base[] __attribute__((visibility("hidden")));
extern const char __enclave_rela_begin[] __attribute__((visibility("hidden")));
extern const char __enclave_rela_end[] __attribute__((visibility("hidden")));
// What the own XFRM lets the chamber use, for the code that clears it on the way out: 1 AVX, 2 AVX-512 as well (whose
// upper sixteen registers and masks vzeroall leaves alone).
__attribute__((visibility("hidden"))) std::uint8_t caisson_avx_state = 0;
}

namespace caisson {

namespace {
bool dead = false;
} // namespace

void check_failed(const char* /*condition*/, int /*line*/) noexcept
{
    dead = true;
    caisson_fail();
}

namespace trusted {
namespace {

using airlock::CpuFeature;
using airlock::EntryFacts;
using airlock::EntryOperation;
using airlock::ExitReason;

struct Rela {
    std::uint64_t offset;
    std::uint64_t info;
    std::int64_t addend;
};
constexpr std::uint64_t R_X86_64_RELATIVE = 8;
[[gnu::no_stack_protector]] void relocate() noexcept
{
    const auto base = reinterpret_cast<std::uint64_t>(&__enclave_base[0]);
    for (const auto* at = __enclave_rela_begin; at != __enclave_rela_end; at += sizeof(Rela)) {
        Rela entry;
        std::memcpy(&entry, at, sizeof entry);
        if (entry.info != R_X86_64_RELATIVE) {
            caisson_fail();
        }
        *reinterpret_cast<std::uint64_t*>(base + entry.offset) = base + static_cast<std::uint64_t>(entry.addend);
    }
}

bool outside(const void* address, std::uint64_t size) noexcept
{
    const auto start = reinterpret_cast<std::uint64_t>(address);
    const auto base = reinterpret_cast<std::uint64_t>(&__enclave_base[0]);
    const auto end = base + airlock::image_range_bytes;
    return start % 64 == 0 && start + size >= start && (start + size <= base || start >= end);
}

constexpr bool has(std::uint32_t features, CpuFeature feature) noexcept
{
    return (features & static_cast<std::uint32_t>(feature)) != 0;
}

// Only an emulator may do without RDRAND: on a CPU that has SGX the host could otherwise deny it and know the seed.
bool is_emulated(const protocol::sgx::Report& own) noexcept
{
    constexpr auto& prefix = protocol::sgx::emulated_cpusvn_prefix;
    return same_bytes(Bytes(own.cpusvn).first(prefix.size()), prefix);
}

// What needs a register state that XFRM does not allow would be a #UD inside.
std::uint32_t allowed_features(std::uint32_t offered, std::uint64_t xfrm) noexcept
{
    constexpr auto bit = [](CpuFeature feature) { return static_cast<std::uint32_t>(feature); };
    constexpr auto avx512 = bit(CpuFeature::avx512) | bit(CpuFeature::avx512_ifma) | bit(CpuFeature::avx512_vbmi2);
    if ((xfrm & protocol::sgx::XFRM_AVX) == 0) {
        offered &= ~(bit(CpuFeature::avx) | bit(CpuFeature::avx2) | avx512);
    }
    if ((xfrm & protocol::sgx::XFRM_AVX512) != protocol::sgx::XFRM_AVX512) {
        offered &= ~avx512;
    }
    return offered;
}

// By XFRM alone: a host that conceals a feature must not decide what is cleared.
constexpr std::uint8_t vector_state(std::uint64_t xfrm) noexcept
{
    if ((xfrm & protocol::sgx::XFRM_AVX) == 0) {
        return 0;
    }
    return (xfrm & protocol::sgx::XFRM_AVX512) == protocol::sgx::XFRM_AVX512 ? 2 : 1;
}

// Built in place at the first entry: an image has no static constructors or destructors.
alignas(EnclaveRuntime) std::uint8_t runtime_memory[sizeof(EnclaveRuntime)];
EnclaveRuntime* runtime = nullptr;
alignas(RingServer) std::uint8_t server_memory[sizeof(RingServer)];
RingServer* server = nullptr;
airlock::Ring* served_ring = nullptr;
alignas(Arena) std::uint8_t arena_memory[sizeof(Arena)];
ArenaEnd arena_end;

// [ARENA-1] Where it lies is the image's own; how much of it the host has memory for is the host's word, and a wrong
// one ends the chamber.
Arena& make_arena(std::uint64_t granted_bytes) noexcept
{
    auto* const begin =
        reinterpret_cast<std::uint8_t*>(reinterpret_cast<std::uint64_t>(&__enclave_base[0])) + airlock::arena_offset;
    const auto granted = std::min<std::uint64_t>(granted_bytes, airlock::arena_bytes);
    arena_end.granted = begin + (granted & ~(protocol::sgx::page_bytes - 1));
    return *new (arena_memory) Arena({begin, airlock::arena_bytes}, accept_page, &arena_end);
}

[[gnu::no_stack_protector]] void set_canary() noexcept
{
    std::uint64_t canary = 0;
    runtime->random({reinterpret_cast<std::uint8_t*>(&canary), sizeof canary});
    __asm__ volatile("mov %0, %%fs:40" : : "r"(canary & ~std::uint64_t{0xff}) : "memory");
}

[[gnu::no_stack_protector]] void start(airlock::Ring* ring, const EntryFacts* outside_facts) noexcept
{
    EntryFacts facts;
    std::memcpy(&facts, outside_facts, sizeof facts);
    CHECK(facts.magic == airlock::entry_magic);
    Seed seed;
    copy_bytes(seed.expose(), facts.seed);
    wipe(facts.seed);
    const auto leaves = enclu_leaves();
    protocol::sgx::Report own{};
    leaves.ereport(nullptr, {}, {}, own);
    const auto hardware = has(facts.features, CpuFeature::rdrand) || !is_emulated(own) ? read_hardware_random : nullptr;
    const auto rdseed = has(facts.features, CpuFeature::rdseed) ? read_hardware_seed : nullptr;
    runtime = new (runtime_memory) EnclaveRuntime;
    CHECK(runtime->start(leaves, seed, hardware, rdseed).has_value());
    runtime->set_counters({facts.counter_least, facts.counter_sealed});
    set_canary();
    const auto features = allowed_features(facts.features, own.attributes.xfrm);
    caisson_avx_state = vector_state(own.attributes.xfrm);
    choose_sodium_implementations(features);
    const auto chamber = start_chamber(*runtime, make_arena(facts.arena_bytes), features);
    server = new (server_memory) RingServer(*ring, chamber, facts.spin_budget_ticks);
    served_ring = ring;
}

} // namespace

struct ExitRegisters {
    std::uint64_t reason;
    std::uint64_t value;
};

extern "C" [[gnu::used, gnu::no_stack_protector, gnu::visibility("hidden")]] ExitRegisters
caisson_image_main(std::uint64_t operation, airlock::Ring* ring, const EntryFacts* facts) noexcept
{
    if (dead || operation != static_cast<std::uint64_t>(EntryOperation::serve)) {
        return {static_cast<std::uint64_t>(ExitReason::failed), 0};
    }
    if (server == nullptr) {
        relocate();
        if (!outside(ring, sizeof(airlock::Ring)) || !outside(facts, sizeof *facts)) {
            return {static_cast<std::uint64_t>(ExitReason::failed), 0};
        }
        start(ring, facts);
    }
    CHECK(ring == served_ring);
    const auto pause = server->serve();
    return {static_cast<std::uint64_t>(pause.reason), pause.doorbell};
}

} // namespace trusted
} // namespace caisson
