// Pages: permissions as signed, and memory that comes and goes while the enclave runs (EAUG, EACCEPT, EMODPE, EMODPR,
// EMODT, EREMOVE).
#include "tests/unit/host/enclave/loader/emulated_machine.hpp"

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::EACCEPT;
using protocol::sgx::EMODPE;
using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::SecInfo;
using protocol::sgx::secinfo_flags;
using protocol::sgx::vector_gp;
using protocol::sgx::vector_pf;

constexpr std::uint64_t rw = protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W;
constexpr std::uint64_t fresh = secinfo_flags(PageType::PT_REG, rw | protocol::sgx::SECINFO_PENDING);
constexpr std::uint64_t trimmed = secinfo_flags(PageType::PT_TRIM, protocol::sgx::SECINFO_MODIFIED);
constexpr std::uint64_t restricted_bit = 32;

class EmulatorMemory : public EmulatedMachine {
  protected:
    Leaf with_secinfo(std::uint32_t number, std::uint64_t flags, std::uint64_t page)
    {
        put(scratch(), SecInfo{flags, {}});
        return leaf(number, scratch(), page);
    }
    Leaf accept(std::uint64_t flags, std::uint64_t page) { return with_secinfo(EACCEPT, flags, page); }
    [[nodiscard]] std::uint64_t arena(std::uint64_t page = 0) const
    {
        return enclave_.base() + arena_offset + page * page_bytes;
    }
};

TEST_F(EmulatorMemory, code_is_not_writable)
{
    EXPECT_FAULT(run(Command::write, answer(Command::scratch, 2)), vector_pf);
}

TEST_F(EmulatorMemory, constants_are_not_writable)
{
    EXPECT_EQ(answer(Command::read, answer(Command::scratch, 1)), 1U);
    EXPECT_FAULT(run(Command::write, answer(Command::scratch, 1)), vector_pf);
}

TEST_F(EmulatorMemory, data_is_not_executable)
{
    const auto page = scratch();
    put<std::uint8_t>(page, 0xc3);
    EXPECT_FAULT(run(Command::jump, page), vector_pf);
}

TEST_F(EmulatorMemory, a_thread_control_structure_is_out_of_reach)
{
    EXPECT_FAULT(run(Command::read, enclave_.tcs(1)), vector_pf);
}

TEST_F(EmulatorMemory, a_thread_control_structure_is_not_writable)
{
    EXPECT_FAULT(run(Command::write, enclave_.tcs(1) + 16), vector_pf);
}

TEST_F(EmulatorMemory, a_hole_in_the_range_is_no_memory)
{
    EXPECT_FAULT(run(Command::read, enclave_.base() + enclave_.size() - page_bytes), vector_pf);
}

TEST_F(EmulatorMemory, an_arena_page_is_no_memory_before_it_is_accepted)
{
    EXPECT_FAULT(run(Command::read, arena()), vector_pf);
}

TEST_F(EmulatorMemory, a_pending_page_is_no_memory_yet)
{
    ASSERT_TRUE(enclave_.augment(arena_offset));
    EXPECT_FAULT(run(Command::read, arena()), vector_pf);
}

TEST_F(EmulatorMemory, accepting_adds_a_page_of_zeros)
{
    const auto accepted = accept(fresh, arena());
    EXPECT_EQ(accepted.result, 0U);
    EXPECT_FALSE(accepted.refused);
    EXPECT_EQ(answer(Command::read, arena() + 4095), 0U);
    EXPECT_EQ(answer(Command::write, arena()), 1U);
    EXPECT_EQ(answer(Command::read, arena()), 1U);
}

TEST_F(EmulatorMemory, the_measurement_does_not_depend_on_the_arena)
{
    const auto before = enclave_.identity().mrenclave;
    for (std::uint64_t page = 0; page < 16; ++page) {
        ASSERT_EQ(accept(fresh, arena(page)).result, 0U);
    }
    EXPECT_EQ(enclave_.identity().mrenclave, before);
    EXPECT_EQ(enclave_.identity().mrenclave, image::measurement_of(built().image));
}

TEST_F(EmulatorMemory, the_arena_ends_where_it_was_reserved_to)
{
    EXPECT_EQ(accept(fresh, arena(arena_bytes / page_bytes - 1)).result, 0U);
    EXPECT_FAULT(accept(fresh, arena(arena_bytes / page_bytes)).exit, vector_pf);
}

TEST_F(EmulatorMemory, a_page_is_not_accepted_twice)
{
    ASSERT_EQ(accept(fresh, arena()).result, 0U);
    ASSERT_EQ(answer(Command::write, arena()), 1U);
    const auto again = accept(fresh, arena());
    EXPECT_EQ(again.result, protocol::sgx::SGX_PAGE_ATTRIBUTES_MISMATCH);
    EXPECT_TRUE(again.refused);
    EXPECT_EQ(answer(Command::read, arena()), 1U); // it was not replaced
}

TEST_F(EmulatorMemory, other_permissions_than_the_pages_own_are_a_mismatch)
{
    const auto refused = accept(fresh & ~protocol::sgx::SECINFO_W, arena());
    EXPECT_EQ(refused.result, protocol::sgx::SGX_PAGE_ATTRIBUTES_MISMATCH);
    EXPECT_FAULT(run(Command::read, arena()), vector_pf);
}

TEST_F(EmulatorMemory, a_page_of_the_image_is_not_pending)
{
    EXPECT_EQ(accept(fresh, scratch()).result, protocol::sgx::SGX_PAGE_ATTRIBUTES_MISMATCH);
}

TEST_F(EmulatorMemory, accepting_a_misaligned_page_is_gp)
{
    EXPECT_FAULT(accept(fresh, arena() + 8).exit, vector_gp);
}

TEST_F(EmulatorMemory, accepting_a_page_outside_is_gp)
{
    EXPECT_FAULT(accept(fresh, enclave_.base() + enclave_.size()).exit, vector_gp);
}

TEST_F(EmulatorMemory, reserved_flags_and_forbidden_combinations_are_gp)
{
    for (const auto flags :
         {fresh | 0x80U, fresh | 0x10000U, secinfo_flags(PageType::PT_SECS, rw),
          secinfo_flags(PageType::PT_REG, rw | protocol::sgx::SECINFO_MODIFIED), secinfo_flags(PageType::PT_TRIM, 0)}) {
        EXPECT_FAULT(accept(flags, arena()).exit, vector_gp);
        answer(Command::skip, 3);
        EXPECT_FALSE(resume().by_exception);
    }
}

TEST_F(EmulatorMemory, a_secinfo_outside_the_enclave_is_gp)
{
    alignas(64) static SecInfo outside{fresh, {}};
    EXPECT_FAULT(leaf(EACCEPT, reinterpret_cast<std::uint64_t>(&outside), arena()).exit, vector_gp);
}

TEST_F(EmulatorMemory, taken_permissions_are_gone_at_once_and_known_to_the_enclave)
{
    ASSERT_EQ(accept(fresh, arena()).result, 0U);
    ASSERT_TRUE(enclave_.restrict_permissions(arena_offset, protocol::sgx::SECINFO_R));
    EXPECT_EQ(accept(secinfo_flags(PageType::PT_REG, rw | restricted_bit), arena()).result,
              protocol::sgx::SGX_PAGE_ATTRIBUTES_MISMATCH);
    EXPECT_EQ(accept(secinfo_flags(PageType::PT_REG, protocol::sgx::SECINFO_R | restricted_bit), arena()).result, 0U);
    EXPECT_EQ(answer(Command::read, arena()), 0U);
    EXPECT_FAULT(run(Command::write, arena()), vector_pf);
}

TEST_F(EmulatorMemory, an_enclave_may_extend_its_own_permissions)
{
    const auto constants = answer(Command::scratch, 1);
    EXPECT_FALSE(with_secinfo(EMODPE, secinfo_flags(PageType::PT_REG, rw), constants).exit.by_exception);
    EXPECT_EQ(answer(Command::write, constants), 1U);
}

TEST_F(EmulatorMemory, extending_without_reading_is_gp)
{
    EXPECT_FAULT(with_secinfo(EMODPE, secinfo_flags(PageType::PT_REG, protocol::sgx::SECINFO_W), scratch()).exit,
                 vector_gp);
}

TEST_F(EmulatorMemory, extending_a_page_that_is_not_there_is_pf)
{
    EXPECT_FAULT(with_secinfo(EMODPE, secinfo_flags(PageType::PT_REG, rw), arena()).exit, vector_pf);
}

TEST_F(EmulatorMemory, a_trimmed_page_goes_when_the_enclave_agrees_and_comes_back_empty)
{
    ASSERT_EQ(accept(fresh, arena()).result, 0U);
    ASSERT_EQ(answer(Command::write, arena()), 1U);
    ASSERT_TRUE(enclave_.trim(arena_offset));
    EXPECT_FALSE(enclave_.remove(arena_offset)); // not accepted yet
    EXPECT_EQ(accept(trimmed, arena()).result, 0U);
    ASSERT_TRUE(enclave_.remove(arena_offset));
    EXPECT_EQ(accept(fresh, arena()).result, 0U);
    EXPECT_EQ(answer(Command::read, arena()), 0U);
}

TEST_F(EmulatorMemory, a_trimmed_page_is_no_memory)
{
    ASSERT_EQ(accept(fresh, arena()).result, 0U);
    ASSERT_TRUE(enclave_.trim(arena_offset));
    EXPECT_FAULT(run(Command::read, arena()), vector_pf);
}

TEST_F(EmulatorMemory, pages_of_the_image_and_outside_the_arena_are_not_the_hosts_to_take)
{
    EXPECT_FALSE(enclave_.trim(0));
    EXPECT_FALSE(enclave_.remove(0));
    EXPECT_FALSE(enclave_.augment(0));
    EXPECT_FALSE(enclave_.augment(arena_offset + arena_bytes));
    EXPECT_FALSE(enclave_.augment(arena_offset + 1));
    EXPECT_FALSE(enclave_.remove(arena_offset)); // not there
    EXPECT_FALSE(enclave_.restrict_permissions(range_bytes, 1));
}

} // namespace
} // namespace caisson::host::enclave::loader
