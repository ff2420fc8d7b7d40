// Entering and leaving: EENTER, EEXIT, ERESUME, threads, and what EINIT refuses.
#include "tests/unit/host/enclave/loader/emulated_machine.hpp"

#include <thread>

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::EENTER;
using protocol::sgx::ERESUME;
using protocol::sgx::vector_gp;
using protocol::sgx::vector_pf;
using protocol::sgx::vector_ud;

using EmulatorEntry = EmulatedMachine;

TEST_F(EmulatorEntry, arguments_go_in_and_an_answer_comes_out)
{
    EXPECT_EQ(answer(Command::echo, 40, 2), 42U);
    EXPECT_EQ(answer(Command::echo, 1, 2), 3U);
}

TEST_F(EmulatorEntry, the_range_is_naturally_aligned_and_has_the_signed_identity)
{
    EXPECT_EQ(enclave_.base() % enclave_.size(), 0U);
    EXPECT_EQ(enclave_.identity().mrenclave, image::measurement_of(built().image));
    EXPECT_NE(enclave_.identity().attributes.flags & protocol::sgx::ATTRIBUTES_INIT, 0U);
}

TEST_F(EmulatorEntry, fs_is_the_threads_own_inside_and_the_hosts_again_outside)
{
    static thread_local int in_fs = 7;
    const auto first = answer(Command::thread_base, 0, 0, 0);
    const auto second = answer(Command::thread_base, 0, 0, 1);
    EXPECT_EQ(first, enclave_.tcs(0) - protocol::sgx::page_bytes);
    EXPECT_EQ(second, enclave_.tcs(1) - protocol::sgx::page_bytes);
    EXPECT_EQ(in_fs, 7);
}

TEST_F(EmulatorEntry, memory_inside_stays_between_entries_and_threads)
{
    EXPECT_EQ(answer(Command::keep, 5, 0, 0), 0U);
    EXPECT_EQ(answer(Command::keep, 6, 0, 1), 5U);
    EXPECT_EQ(answer(Command::keep, 7, 0, 2), 6U);
}

TEST_F(EmulatorEntry, a_busy_thread_is_not_entered_again)
{
    std::atomic<std::uint32_t> flag = 0;
    std::thread inside([&] {
        ASSERT_TRUE(enclave_.attach_thread());
        Exit exit;
        do { // it may itself find the thread busy
            exit = run(Command::patterns_spin, reinterpret_cast<std::uint64_t>(&flag));
        } while (exit.by_exception);
        EXPECT_EQ(exit.rdi, 1U);
    });
    Exit refused;
    do { // until the other one is inside
        refused = run(Command::echo);
    } while (!refused.by_exception);
    EXPECT_EQ(refused.vector, vector_gp);
    EXPECT_EQ(refused.leaf, EENTER);
    EXPECT_FAULT(resume(), vector_gp);
    EXPECT_EQ(answer(Command::echo, 1, 1, 1), 2U); // another thread is free
    flag = 1;
    inside.join();
    EXPECT_EQ(answer(Command::echo, 1, 1), 2U);
}

TEST_F(EmulatorEntry, a_page_that_is_no_thread_is_not_entered)
{
    EXPECT_FAULT(enclave_.enter({enclave_.base(), EENTER}), vector_pf);
    EXPECT_FAULT(enclave_.enter({enclave_.tcs(0) + 64, EENTER}), vector_pf);
    EXPECT_EQ(answer(Command::echo, 1, 1), 2U);
}

TEST_F(EmulatorEntry, an_address_in_no_enclave_is_not_entered)
{
    EXPECT_FAULT(enclave_.enter({enclave_.base() + enclave_.size(), EENTER}), vector_gp);
    EXPECT_FAULT(enclave_.enter({0, EENTER}), vector_gp);
}

TEST_F(EmulatorEntry, there_is_nothing_to_resume_before_an_asynchronous_exit)
{
    const auto refused = resume();
    EXPECT_FAULT(refused, vector_gp);
    EXPECT_EQ(refused.leaf, ERESUME);
    EXPECT_EQ(answer(Command::echo, 1, 1), 2U);
}

TEST_F(EmulatorEntry, the_entry_function_takes_no_other_leaf_and_no_reserved_bytes)
{
    EXPECT_EQ(enclave_.enter({enclave_.tcs(0), protocol::sgx::EREPORT}).error, EINVAL);
    EXPECT_EQ(enclave_.enter({enclave_.tcs(0), protocol::sgx::EEXIT}).error, EINVAL);
    EnclaveRun run;
    run.tcs = enclave_.tcs(0);
    run.reserved.back() = 1;
    EXPECT_EQ(caisson_enter_enclave(0, 0, 0, EENTER, 0, 0, &run), -EINVAL);
}

TEST_F(EmulatorEntry, a_handler_of_the_host_may_enter_again)
{
    struct Seen {
        int calls = 0;
    } seen;
    const auto handler = [](std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                            EnclaveRun* of) -> int {
        auto& counted = *reinterpret_cast<Seen*>(of->user_data);
        return ++counted.calls < 3 ? static_cast<int>(EENTER) : 0;
    };
    EnclaveRun run;
    run.tcs = enclave_.tcs(0);
    run.user_handler = reinterpret_cast<std::uint64_t>(+handler);
    run.user_data = reinterpret_cast<std::uint64_t>(&seen);
    EXPECT_EQ(caisson_enter_enclave(static_cast<std::uint64_t>(Command::echo), 1, 2, EENTER, 0, 0, &run), 0);
    EXPECT_EQ(seen.calls, 3);
}

TEST_F(EmulatorEntry, the_instructions_of_the_host_are_no_leaves_inside)
{
    for (const std::uint32_t number : {EENTER, ERESUME, std::uint32_t{8}, std::uint32_t{99}}) {
        Emulator other;
        const auto keys = machine_keys(1);
        ASSERT_TRUE(load(other, built(), keys));
        EncluRegisters registers{number, other.tcs(0), 0, 0, 0};
        EXPECT_FAULT(other.enter({other.tcs(0), EENTER, static_cast<std::uint64_t>(Command::enclu),
                                  reinterpret_cast<std::uint64_t>(&registers)}),
                     vector_gp);
    }
}

TEST_F(EmulatorEntry, two_enclaves_live_in_one_process_apart)
{
    Emulator other;
    const auto keys = machine_keys(1);
    ASSERT_TRUE(load(other, built(), keys));
    EXPECT_EQ(answer(Command::keep, 5), 0U);
    EXPECT_EQ(other.enter({other.tcs(0), EENTER, static_cast<std::uint64_t>(Command::keep), 9}).rdi, 0U);
    EXPECT_EQ(answer(Command::keep, 6), 5U);
}

// EINIT

class EmulatorInit : public testing::Test {
  protected:
    Status loaded(const Built& of, std::uint64_t flags = protocol::sgx::ATTRIBUTES_MODE64BIT)
    {
        Emulator emulator;
        return load(emulator, of, keys_, flags);
    }
    PlatformKeys keys_ = machine_keys(1);
};

TEST_F(EmulatorInit, an_altered_page_is_another_measurement_and_refused)
{
    auto of = built();
    of.image[200] = static_cast<std::uint8_t>(of.image[200] ^ 1U); // in the first page's content
    const auto refused = loaded(of);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
}

TEST_F(EmulatorInit, a_signature_with_a_flipped_bit_is_refused)
{
    for (const std::size_t at : {std::size_t{0}, std::size_t{200}, std::size_t{383}}) {
        auto of = built();
        of.sigstruct.signature[at] = static_cast<std::uint8_t>(of.sigstruct.signature[at] ^ 1U);
        ASSERT_FALSE(loaded(of));
    }
}

TEST_F(EmulatorInit, quotients_that_do_not_fit_are_refused)
{
    auto of = built();
    of.sigstruct.q1[0] = static_cast<std::uint8_t>(of.sigstruct.q1[0] ^ 1U);
    EXPECT_FALSE(loaded(of));
    of = built();
    of.sigstruct.q2[0] = static_cast<std::uint8_t>(of.sigstruct.q2[0] ^ 1U);
    EXPECT_FALSE(loaded(of));
}

TEST_F(EmulatorInit, a_signature_of_another_image_is_refused)
{
    auto of = built();
    of.sigstruct = built({}, 2).sigstruct;
    const auto refused = loaded(of);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
}

TEST_F(EmulatorInit, a_raised_svn_is_not_signed)
{
    auto of = built();
    of.sigstruct.isv_svn = 9;
    EXPECT_FALSE(loaded(of));
}

TEST_F(EmulatorInit, debug_is_an_attribute_that_must_be_signed)
{
    EXPECT_FALSE(loaded(built(), protocol::sgx::ATTRIBUTES_MODE64BIT | protocol::sgx::ATTRIBUTES_DEBUG));
    image::Identity debug;
    debug.debug = true;
    EXPECT_TRUE(loaded(built(debug), protocol::sgx::ATTRIBUTES_MODE64BIT | protocol::sgx::ATTRIBUTES_DEBUG));
    EXPECT_FALSE(loaded(built(debug)));
}

TEST_F(EmulatorInit, an_enclave_is_not_entered_before_it)
{
    const auto of = built();
    Emulator emulator;
    auto reader = image::SgxsReader::open(of.image);
    ASSERT_TRUE(reader);
    ASSERT_TRUE(emulator.create(reader->header(), {protocol::sgx::ATTRIBUTES_MODE64BIT, machine_xfrm()}, -1));
    ASSERT_TRUE(emulator.add_all(*reader));
    ASSERT_TRUE(emulator.attach_thread());
    EXPECT_FAULT(emulator.enter({emulator.tcs(0), EENTER}), vector_gp);
}

TEST_F(EmulatorInit, no_page_is_added_twice_or_afterwards)
{
    const auto of = built();
    Emulator emulator;
    ASSERT_TRUE(load(emulator, of, keys_));
    auto reader = image::SgxsReader::open(of.image);
    EXPECT_FALSE(emulator.add_all(*reader));
    EXPECT_FALSE(emulator.reserve(arena_offset, arena_bytes));
}

TEST_F(EmulatorInit, an_ssa_frame_must_hold_the_xsave_area)
{
    Emulator emulator;
    const auto xfrm = machine_xfrm();
    EXPECT_TRUE(emulator.create({1, range_bytes}, {0, xfrm}, -1));
    Emulator tile; // AMX has 8 KiB
    const auto amx = xfrm | 0x60000U;
    if (xsave_bytes(amx) > protocol::sgx::page_bytes) {
        EXPECT_FALSE(tile.create({1, range_bytes}, {0, amx}, -1));
    }
}

} // namespace
} // namespace caisson::host::enclave::loader
