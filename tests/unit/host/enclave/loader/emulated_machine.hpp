// A machine for the emulator's tests: platform keys, and enclaves built from tests/emulator_image as an image is.
#pragma once

#include "host/enclave/image/builder.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/enclave/loader/emulator.hpp"
#include "host/enclave/loader/trap.hpp"
#include "host/enclave/loader/xsave.hpp"
#include "tests/emulator_image/commands.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace caisson::host::enclave::loader {

using tests::emulator_image::Command;
using tests::emulator_image::EncluRegisters;

inline constexpr std::uint64_t range_bytes = std::uint64_t{8} << 20U;
inline constexpr std::uint64_t arena_offset = range_bytes / 2;
inline constexpr std::uint64_t arena_bytes = 64 * protocol::sgx::page_bytes;

struct Built {
    std::vector<std::uint8_t> image;
    protocol::sgx::Sigstruct sigstruct{};
};

inline Built built(const image::Identity& identity = {}, std::uint32_t ssa_frames = 3)
{
    std::ifstream file(CAISSON_EMULATOR_IMAGE, std::ios::binary);
    const std::vector<std::uint8_t> elf{std::istreambuf_iterator<char>(file), {}};
    image::Layout layout;
    layout.range_bytes = range_bytes;
    layout.threads = 3;
    layout.ssa_frames = ssa_frames;
    auto image = image::build_image(elf, layout);
    EXPECT_TRUE(image) << image.error().what;
    const auto signer = image::Signer::open(CAISSON_SIGNING_KEY);
    EXPECT_TRUE(signer) << signer.error().what;
    Built out;
    out.image = std::move(*image);
    out.sigstruct = *signer->sign(image::measurement_of(out.image), identity);
    return out;
}

inline std::uint64_t machine_xfrm()
{
    learn_xsave_layout();
    auto xfrm = protocol::sgx::XFRM_LEGACY;
    xfrm |= __builtin_cpu_supports("avx") != 0 ? protocol::sgx::XFRM_AVX : 0;
    xfrm |= __builtin_cpu_supports("avx512f") != 0 ? protocol::sgx::XFRM_AVX512 : 0;
    return xfrm;
}

enum class Crossing { by_trap, direct };

// Everything ECREATE to EINIT, from an image; what fails is the answer.
inline Status load(Emulator& emulator, const Built& of, const PlatformKeys& keys,
                   std::uint64_t flags = protocol::sgx::ATTRIBUTES_MODE64BIT, Crossing crossing = Crossing::direct)
{
    auto reader = TRY(image::SgxsReader::open(of.image));
    TRY(emulator.create(reader.header(), {flags, machine_xfrm()}, -1));
    TRY(emulator.add_all(reader));
    TRY(emulator.reserve(arena_offset, arena_bytes));
    if (crossing == Crossing::direct) {
        emulator.cross_directly();
    }
    const auto cpusvn = emulated_cpusvn(protocol::sgx::Platform::process, protocol::sgx::RootKind::file);
    TRY(emulator.initialise(image::measurement_of(of.image), of.sigstruct, cpusvn, &keys));
    return emulator.attach_thread();
}

inline PlatformKeys machine_keys(std::uint8_t machine)
{
    PlatformKeys keys;
    std::memset(keys.seal_enclave.expose().data(), machine, PlatformKey::size);
    std::memset(keys.seal_signer.expose().data(), machine + 1, PlatformKey::size);
    std::memset(keys.report.expose().data(), machine + 2, PlatformKey::size);
    return keys;
}

class EmulatedMachine : public testing::Test {
  protected:
    void SetUp() override
    {
        const auto loaded = load(enclave_, built(), keys_);
        ASSERT_TRUE(loaded) << loaded.error().what;
    }

    Exit run(Command command, std::uint64_t first = 0, std::uint64_t second = 0, std::size_t thread = 0)
    {
        return enclave_.enter(
            {enclave_.tcs(thread), protocol::sgx::EENTER, static_cast<std::uint64_t>(command), first, second});
    }
    std::uint64_t answer(Command command, std::uint64_t first = 0, std::uint64_t second = 0, std::size_t thread = 0)
    {
        const auto exit = run(command, first, second, thread);
        EXPECT_EQ(exit.error, 0);
        EXPECT_FALSE(exit.by_exception) << "vector " << exit.vector << " at " << std::hex << exit.address;
        return exit.rdi;
    }
    Exit resume(std::size_t thread = 0) { return enclave_.enter({enclave_.tcs(thread), protocol::sgx::ERESUME}); }

    // ENCLU with these registers, inside.
    struct Leaf {
        Exit exit;
        std::uint32_t result = 0;
        bool refused = false; // ZF
    };
    Leaf leaf(std::uint32_t number, std::uint64_t rbx, std::uint64_t rcx, std::uint64_t rdx = 0)
    {
        EncluRegisters registers{number, rbx, rcx, rdx, 0};
        const auto exit = run(Command::enclu, reinterpret_cast<std::uint64_t>(&registers));
        return {exit, static_cast<std::uint32_t>(registers.rax), (registers.rflags & 0x40U) != 0};
    }
    // A writable page inside; the test lives in the same address space.
    std::uint64_t scratch() { return answer(Command::scratch, 0); }
    template <typename T>
    static void put(std::uint64_t address, const T& value)
    {
        std::memcpy(reinterpret_cast<void*>(address), &value, sizeof value);
    }
    template <typename T>
    static T get(std::uint64_t address)
    {
        T value;
        std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
        return value;
    }

    PlatformKeys keys_ = machine_keys(1);
    Emulator enclave_;
};

#define EXPECT_FAULT(exit_expression, expected_vector)                                                                 \
    do {                                                                                                               \
        const Exit exit_ = (exit_expression);                                                                          \
        EXPECT_TRUE(exit_.by_exception);                                                                               \
        EXPECT_EQ(exit_.vector, expected_vector);                                                                      \
    } while (false)

} // namespace caisson::host::enclave::loader
