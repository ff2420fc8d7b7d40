#include "trusted/runtime/enclu.hpp"

#include "core/secret.hpp"

namespace caisson::trusted {
namespace {

using protocol::sgx::KeyRequest;
using protocol::sgx::Report;
using protocol::sgx::ReportData;
using protocol::sgx::TargetInfo;

// The alignments are the architecture's: a misaligned operand is a #GP.
struct alignas(512) AlignedReport {
    Report report;
};
struct alignas(128) AlignedReportData {
    ReportData data;
};
struct alignas(16) AlignedKey {
    ByteArray<16> key;
};

std::uint32_t enclu(std::uint32_t leaf, const void* rbx, const void* rcx, const void* rdx) noexcept
{
    std::uint64_t rax = leaf;
    __asm__ volatile(".byte 0x0f, 0x01, 0xd7" : "+a"(rax) : "b"(rbx), "c"(rcx), "d"(rdx) : "memory", "cc");
    return static_cast<std::uint32_t>(rax);
}

void ereport(void* /*context*/, const TargetInfo& target, const ReportData& data, Report& report) noexcept
{
    static TargetInfo target_operand;
    static AlignedReportData data_operand;
    static AlignedReport report_operand;
    target_operand = target;
    data_operand.data = data;
    static_cast<void>(enclu(protocol::sgx::EREPORT, &target_operand, &data_operand, &report_operand));
    report = report_operand.report;
}

bool egetkey(void* /*context*/, const KeyRequest& request, ByteArray<16>& key) noexcept
{
    static KeyRequest request_operand;
    static AlignedKey key_operand;
    request_operand = request;
    const bool given = enclu(protocol::sgx::EGETKEY, &request_operand, &key_operand, nullptr) == 0;
    key = key_operand.key;
    wipe(key_operand.key);
    return given;
}

} // namespace

bool accept_page(void* context, std::uint8_t* page) noexcept
{
    static protocol::sgx::SecInfo operand;
    if (page >= static_cast<const ArenaEnd*>(context)->granted) {
        return false;
    }
    operand = {};
    operand.flags = protocol::sgx::secinfo_flags(protocol::sgx::PageType::PT_REG,
                                                 protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W) |
                    protocol::sgx::SECINFO_PENDING;
    return enclu(protocol::sgx::EACCEPT, &operand, page, nullptr) == 0;
}

Leaves enclu_leaves() noexcept
{
    return {nullptr, ereport, egetkey};
}

bool read_hardware_random(std::uint64_t& word) noexcept
{
    bool ready = false;
    __asm__ volatile("rdrand %0" : "=r"(word), "=@ccc"(ready));
    return ready;
}

bool read_hardware_seed(std::uint64_t& word) noexcept
{
    bool ready = false;
    __asm__ volatile("rdseed %0" : "=r"(word), "=@ccc"(ready));
    return ready;
}

} // namespace caisson::trusted
