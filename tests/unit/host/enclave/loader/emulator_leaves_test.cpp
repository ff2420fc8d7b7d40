// EREPORT and EGETKEY as instructions: operands, refusals, and who can verify what.
#include "tests/unit/host/enclave/loader/emulated_machine.hpp"

#include "core/crypto/aes_cmac.hpp"

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::EGETKEY;
using protocol::sgx::EREPORT;
using protocol::sgx::KeyName;
using protocol::sgx::KeyRequest;
using protocol::sgx::Report;
using protocol::sgx::ReportData;
using protocol::sgx::TargetInfo;
using protocol::sgx::vector_gp;
using protocol::sgx::vector_pf;

// Operands in the scratch page: the request at 0, the key or the report's data at 1024, the report at 2048.
class EmulatorLeaves : public EmulatedMachine {
  protected:
    void SetUp() override
    {
        EmulatedMachine::SetUp();
        page_ = scratch();
    }

    TargetInfo target() const
    {
        TargetInfo of{};
        of.mrenclave = enclave_.identity().mrenclave;
        of.attributes = enclave_.identity().attributes;
        return of;
    }
    Report report(const TargetInfo& for_whom, const ReportData& data = {})
    {
        put(page_, for_whom);
        put(page_ + 1024, data);
        const auto made = leaf(EREPORT, page_, page_ + 1024, page_ + 2048);
        EXPECT_FALSE(made.exit.by_exception);
        return get<Report>(page_ + 2048);
    }
    Leaf getkey(const KeyRequest& request)
    {
        put(page_, request);
        put(page_ + 1024, ByteArray<16>{});
        return leaf(EGETKEY, page_, page_ + 1024);
    }
    ByteArray<16> key(const KeyRequest& request)
    {
        const auto given = getkey(request);
        EXPECT_FALSE(given.exit.by_exception);
        EXPECT_EQ(given.result, 0U);
        EXPECT_FALSE(given.refused);
        return get<ByteArray<16>>(page_ + 1024);
    }
    // With the key that this enclave gets for its own reports.
    bool verifies(const Report& made)
    {
        KeyRequest request{};
        request.key_name = KeyName::REPORT;
        request.key_id = made.key_id;
        crypto::AesCmacKey mac_key;
        copy_bytes(mac_key.expose(), key(request));
        const Bytes maced(reinterpret_cast<const std::uint8_t*>(&made), protocol::sgx::report_maced_bytes);
        return crypto::aes128_cmac(mac_key, maced) == made.mac;
    }
    KeyRequest seal_request(std::uint16_t policy = protocol::sgx::KEYPOLICY_MRSIGNER) const
    {
        KeyRequest request{};
        request.cpusvn = enclave_.identity().cpusvn;
        request.key_name = KeyName::SEAL;
        request.key_policy = policy;
        request.isv_svn = 1;
        return request;
    }

    std::uint64_t page_ = 0;
};

TEST_F(EmulatorLeaves, a_report_says_what_the_enclave_is)
{
    ReportData data{};
    data.fill(0x5a);
    const auto made = report(target(), data);
    EXPECT_EQ(made.mrenclave, enclave_.identity().mrenclave);
    EXPECT_EQ(made.mrsigner, enclave_.identity().mrsigner);
    EXPECT_EQ(made.attributes, enclave_.identity().attributes);
    EXPECT_EQ(made.report_data, data);
    EXPECT_TRUE(same_bytes(Bytes(made.cpusvn).first(8), protocol::sgx::emulated_cpusvn_prefix));
}

TEST_F(EmulatorLeaves, its_target_verifies_a_report)
{
    EXPECT_TRUE(verifies(report(target())));
}

TEST_F(EmulatorLeaves, a_changed_report_does_not_verify)
{
    auto made = report(target());
    made.isv_svn = 7;
    EXPECT_FALSE(verifies(made));
    made = report(target());
    made.report_data[63] = 1;
    EXPECT_FALSE(verifies(made));
}

TEST_F(EmulatorLeaves, a_report_for_another_target_does_not_verify_here)
{
    auto other = target();
    other.mrenclave[0] = static_cast<std::uint8_t>(other.mrenclave[0] ^ 1U);
    EXPECT_FALSE(verifies(report(other)));
    auto debug = target();
    debug.attributes.flags |= protocol::sgx::ATTRIBUTES_DEBUG;
    EXPECT_FALSE(verifies(report(debug)));
}

TEST_F(EmulatorLeaves, a_report_of_another_machine_does_not_verify_here)
{
    const auto made = report(target());
    Emulator elsewhere;
    const auto other_keys = machine_keys(100);
    ASSERT_TRUE(load(elsewhere, built(), other_keys));
    Report there{};
    emulate_ereport(elsewhere.identity(), other_keys, target(), {}, there);
    EXPECT_FALSE(verifies(there));
    EXPECT_TRUE(verifies(made));
}

TEST_F(EmulatorLeaves, misaligned_operands_of_a_report_are_gp)
{
    for (const auto& [rbx, rcx, rdx] :
         {std::tuple{page_ + 64, page_ + 1024, page_ + 2048}, std::tuple{page_, page_ + 1024 + 64, page_ + 2048},
          std::tuple{page_, page_ + 1024, page_ + 2048 + 128}}) {
        const std::uint64_t b = rbx;
        const std::uint64_t c = rcx;
        const std::uint64_t d = rdx;
        EXPECT_FAULT(leaf(EREPORT, b, c, d).exit, vector_gp);
        answer(Command::skip, 3); // behind ENCLU, so that the thread is free again
        EXPECT_FALSE(resume().by_exception);
    }
}

TEST_F(EmulatorLeaves, operands_outside_the_enclave_are_gp)
{
    alignas(512) static Report outside;
    EXPECT_FAULT(leaf(EREPORT, page_, page_ + 1024, reinterpret_cast<std::uint64_t>(&outside)).exit, vector_gp);
    EXPECT_EQ(outside.attributes.flags, 0U);
}

TEST_F(EmulatorLeaves, a_report_into_a_read_only_page_is_pf)
{
    EXPECT_FAULT(leaf(EREPORT, page_, page_ + 1024, answer(Command::scratch, 1)).exit, vector_pf);
}

TEST_F(EmulatorLeaves, a_report_that_runs_over_the_end_of_the_range_is_gp)
{
    EXPECT_FAULT(leaf(EREPORT, enclave_.base() + enclave_.size() - 512 + 512, page_ + 1024, page_ + 2048).exit,
                 vector_gp);
}

TEST_F(EmulatorLeaves, an_operand_on_a_page_that_is_not_there_is_pf)
{
    EXPECT_FAULT(leaf(EREPORT, enclave_.base() + arena_offset, page_ + 1024, page_ + 2048).exit, vector_pf);
    EXPECT_EQ(leaf(EREPORT, enclave_.tcs(0), page_ + 1024, page_ + 2048).exit.vector, 0); // at CSSA 1: no such command
}

TEST_F(EmulatorLeaves, the_same_request_gives_the_same_key)
{
    EXPECT_EQ(key(seal_request()), key(seal_request()));
}

TEST_F(EmulatorLeaves, policy_key_id_and_svn_make_other_keys)
{
    const auto base = key(seal_request());
    EXPECT_NE(base, key(seal_request(protocol::sgx::KEYPOLICY_MRENCLAVE)));
    auto request = seal_request();
    request.key_id[0] = 1;
    EXPECT_NE(base, key(request));
    request = seal_request();
    request.isv_svn = 0;
    EXPECT_NE(base, key(request));
    request = seal_request();
    request.attribute_mask.flags = ~std::uint64_t{0};
    EXPECT_NE(base, key(request));
}

TEST_F(EmulatorLeaves, a_key_of_a_later_svn_is_refused)
{
    auto request = seal_request();
    request.isv_svn = 2;
    const auto refused = getkey(request);
    EXPECT_EQ(refused.result, protocol::sgx::SGX_INVALID_ISVSVN);
    EXPECT_TRUE(refused.refused);
    EXPECT_EQ(get<ByteArray<16>>(page_ + 1024), ByteArray<16>{});
}

TEST_F(EmulatorLeaves, a_key_of_another_cpusvn_is_refused)
{
    const auto own = enclave_.identity().cpusvn;
    for (std::size_t octet = 0; octet < own.size(); ++octet) {
        for (const int step : {1, -1}) {
            auto request = seal_request();
            request.cpusvn[octet] = static_cast<std::uint8_t>(own[octet] + step);
            const auto refused = getkey(request);
            EXPECT_EQ(refused.result, protocol::sgx::SGX_INVALID_CPUSVN) << octet;
            EXPECT_TRUE(refused.refused);
            EXPECT_EQ(get<ByteArray<16>>(page_ + 1024), ByteArray<16>{});
        }
    }
}

// EGETKEY takes the SVNs from the request for a sealing key alone.
TEST_F(EmulatorLeaves, the_report_key_is_of_this_cpusvn_and_svn_whatever_is_asked)
{
    KeyRequest request{};
    request.key_name = KeyName::REPORT;
    const auto own = key(request);
    request.cpusvn.fill(0xff);
    request.isv_svn = 0xffff;
    EXPECT_EQ(key(request), own);
}

TEST_F(EmulatorLeaves, a_key_for_image_and_signer_is_neither_ones_alone)
{
    const auto both = key(seal_request(protocol::sgx::KEYPOLICY_MRENCLAVE | protocol::sgx::KEYPOLICY_MRSIGNER));
    EXPECT_NE(both, key(seal_request(protocol::sgx::KEYPOLICY_MRENCLAVE)));
    EXPECT_NE(both, key(seal_request(protocol::sgx::KEYPOLICY_MRSIGNER)));
}

TEST_F(EmulatorLeaves, an_unknown_key_is_refused)
{
    auto request = seal_request();
    request.key_name = static_cast<KeyName>(77);
    EXPECT_EQ(getkey(request).result, protocol::sgx::SGX_INVALID_KEYNAME);
    EXPECT_EQ(getkey(seal_request(0)).result, protocol::sgx::SGX_INVALID_KEYNAME);
}

TEST_F(EmulatorLeaves, the_keys_of_intels_enclaves_are_refused)
{
    for (const auto name : {KeyName::EINITTOKEN, KeyName::PROVISION, KeyName::PROVISION_SEAL}) {
        auto request = seal_request();
        request.key_name = name;
        EXPECT_EQ(getkey(request).result, protocol::sgx::SGX_INVALID_ATTRIBUTE);
    }
}

TEST_F(EmulatorLeaves, reserved_bits_of_a_request_are_gp)
{
    const auto refused = [this](const KeyRequest& request) {
        EXPECT_FAULT(getkey(request).exit, vector_gp);
        EXPECT_EQ(get<ByteArray<16>>(page_ + 1024), ByteArray<16>{});
        answer(Command::skip, 3); // behind ENCLU, so that the thread is free again
        EXPECT_FALSE(resume().by_exception);
    };
    for (const std::size_t octet : {0, 100, 433}) {
        auto request = seal_request();
        request.reserved2[octet] = 1;
        refused(request);
    }
    auto request = seal_request();
    request.reserved1 = 1;
    refused(request);
    for (unsigned bit = 2; bit < 16; ++bit) { // 2 to 5 are KSS's, for enclaves that have that attribute
        refused(seal_request(static_cast<std::uint16_t>(protocol::sgx::KEYPOLICY_MRSIGNER | 1U << bit)));
    }
}

TEST_F(EmulatorLeaves, a_config_svn_without_kss_and_a_cet_mask_without_cet_are_gp)
{
    auto request = seal_request();
    request.config_svn = 1;
    EXPECT_FAULT(getkey(request).exit, vector_gp);
    answer(Command::skip, 3);
    EXPECT_FALSE(resume().by_exception);
    request = seal_request();
    request.cet_attributes_mask = 1;
    EXPECT_FAULT(getkey(request).exit, vector_gp);
}

TEST_F(EmulatorLeaves, a_key_to_the_outside_is_gp)
{
    alignas(16) static ByteArray<16> outside{};
    put(page_, seal_request());
    EXPECT_FAULT(leaf(EGETKEY, page_, reinterpret_cast<std::uint64_t>(outside.data())).exit, vector_gp);
    EXPECT_EQ(outside, ByteArray<16>{});
}

TEST_F(EmulatorLeaves, another_signer_policy_machine_or_debug_flag_gives_other_keys)
{
    const auto here = key(seal_request());
    auto other = enclave_.identity();
    ByteArray<16> there{};
    ASSERT_EQ(emulate_egetkey(other, keys_, seal_request(), there), 0U);
    EXPECT_EQ(there, here);
    other.isv_prod_id = 5;
    ASSERT_EQ(emulate_egetkey(other, keys_, seal_request(), there), 0U);
    EXPECT_NE(there, here);
    other = enclave_.identity();
    other.attributes.flags |= protocol::sgx::ATTRIBUTES_DEBUG;
    ASSERT_EQ(emulate_egetkey(other, keys_, seal_request(), there), 0U);
    EXPECT_NE(there, here);
    ASSERT_EQ(emulate_egetkey(enclave_.identity(), machine_keys(50), seal_request(), there), 0U);
    EXPECT_NE(there, here);
}

} // namespace
} // namespace caisson::host::enclave::loader
