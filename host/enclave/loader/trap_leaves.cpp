// The ENCLU leaves that an enclave executes (SDM vol. 3D, chapter 40). Operands are checked against the page entries
// before they are touched: a trap must not fault itself.
#include "host/enclave/loader/trap.hpp"

#include <algorithm>

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using protocol::sgx::SecInfo;
using protocol::sgx::vector_gp;
using protocol::sgx::vector_pf;

constexpr std::uint64_t readable = protocol::sgx::SECINFO_R;
constexpr std::uint64_t writable = protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W;
constexpr std::uint64_t permission_bits = 7;
constexpr std::uint64_t restricted_bit = 32; // SECINFO.PR
constexpr std::uint64_t zero_flag = 0x40;
constexpr std::uint64_t error_flags = 0x8d5; // CF, PF, AF, ZF, SF, OF

std::uint64_t value_of(const greg_t* registers, int index) noexcept
{
    return static_cast<std::uint64_t>(registers[index]);
}

// RAX and ZF, as leaves that may refuse leave them.
void give_result(greg_t* registers, std::uint32_t result) noexcept
{
    registers[REG_RAX] = result;
    const auto flags = value_of(registers, REG_EFL) & ~error_flags;
    registers[REG_EFL] = static_cast<greg_t>(result == 0 ? flags : flags | zero_flag);
}

std::uint64_t flags_of(const PageEntry& page) noexcept
{
    auto flags = protocol::sgx::secinfo_flags(page.type, page.permissions);
    flags |= page.pending ? protocol::sgx::SECINFO_PENDING : 0;
    flags |= page.modified ? protocol::sgx::SECINFO_MODIFIED : 0;
    return flags | (page.restricted ? restricted_bit : 0);
}

// The format and the combinations that EACCEPT permits.
bool may_be_accepted(const SecInfo& info) noexcept
{
    const auto type = static_cast<PageType>(info.flags >> 8U);
    const bool pending = (info.flags & protocol::sgx::SECINFO_PENDING) != 0;
    const bool modified = (info.flags & protocol::sgx::SECINFO_MODIFIED) != 0;
    const bool zeros =
        std::all_of(info.reserved.begin(), info.reserved.end(), [](std::uint8_t byte) { return byte == 0; });
    constexpr std::uint64_t unknown_bits = 0xc0;
    return zeros && (info.flags >> 16U) == 0 && (info.flags & unknown_bits) == 0 &&
           ((type == PageType::PT_REG && !modified) ||
            ((type == PageType::PT_TCS || type == PageType::PT_TRIM) && !pending && modified));
}

} // namespace

Fault Trap::check_operand(Emulator& enclave, std::uint64_t address, std::uint64_t size, std::uint64_t alignment,
                          std::uint64_t permissions) noexcept
{
    const auto offset = address - enclave.base_;
    if (address % alignment != 0 || offset > enclave.size() - size) {
        return {vector_gp, 0, 0};
    }
    for (auto at = offset & ~(page_bytes - 1); at < offset + size; at += page_bytes) {
        const auto& page = enclave.page_at(at);
        if (!page.valid || page.type != PageType::PT_REG || page.pending || page.modified ||
            (page.permissions & permissions) != permissions) {
            return {vector_pf, 0, enclave.base_ + at};
        }
    }
    return {};
}

Fault Trap::do_ereport(Emulator& enclave, const greg_t* registers) noexcept
{
    const auto target = value_of(registers, REG_RBX);
    const auto data = value_of(registers, REG_RCX);
    const auto report = value_of(registers, REG_RDX);
    for (const auto& fault : {check_operand(enclave, target, sizeof(protocol::sgx::TargetInfo), 512, readable),
                              check_operand(enclave, data, sizeof(protocol::sgx::ReportData), 128, readable),
                              check_operand(enclave, report, sizeof(protocol::sgx::Report), 512, writable)}) {
        if (fault.raised()) {
            return fault;
        }
    }
    emulate_ereport(enclave.identity_, *enclave.keys_, *reinterpret_cast<const protocol::sgx::TargetInfo*>(target),
                    *reinterpret_cast<const protocol::sgx::ReportData*>(data),
                    *reinterpret_cast<protocol::sgx::Report*>(report));
    return {};
}

Fault Trap::do_egetkey(Emulator& enclave, greg_t* registers) noexcept
{
    const auto request_address = value_of(registers, REG_RBX);
    const auto output = value_of(registers, REG_RCX);
    for (const auto& fault : {check_operand(enclave, request_address, sizeof(protocol::sgx::KeyRequest), 512, readable),
                              check_operand(enclave, output, sizeof(ByteArray<16>), 16, writable)}) {
        if (fault.raised()) {
            return fault;
        }
    }
    const auto request = *reinterpret_cast<const protocol::sgx::KeyRequest*>(request_address); // once
    if (!is_key_request(request)) {
        return {vector_gp, 0, 0};
    }
    give_result(registers,
                emulate_egetkey(enclave.identity_, *enclave.keys_, request, *reinterpret_cast<ByteArray<16>*>(output)));
    return {};
}

// A page of the arena that is not there yet is added first: the kernel's driver does so (EAUG) when EACCEPT faults.
Fault Trap::do_eaccept(Emulator& enclave, greg_t* registers) noexcept
{
    const auto info_address = value_of(registers, REG_RBX);
    const auto address = value_of(registers, REG_RCX);
    const auto fault = check_operand(enclave, info_address, sizeof(SecInfo), 64, readable);
    if (fault.raised()) {
        return fault;
    }
    const auto offset = address - enclave.base_;
    const auto& info = *reinterpret_cast<const SecInfo*>(info_address);
    if (address % page_bytes != 0 || offset >= enclave.size() || !may_be_accepted(info)) {
        return {vector_gp, 0, 0};
    }
    auto& page = enclave.page_at(offset);
    if (!page.valid && !enclave.add_pending(offset)) {
        return {vector_pf, 0, address};
    }
    if (page.type != PageType::PT_REG && page.type != PageType::PT_TRIM) {
        return {vector_pf, 0, address};
    }
    if (flags_of(page) != info.flags) {
        give_result(registers, protocol::sgx::SGX_PAGE_ATTRIBUTES_MISMATCH);
        return {};
    }
    page.pending = false;
    page.modified = false;
    page.restricted = false;
    if (!enclave.protect(offset)) {
        return {vector_pf, 0, address};
    }
    give_result(registers, 0);
    return {};
}

// The enclave gives itself permissions on a page.
Fault Trap::do_emodpe(Emulator& enclave, greg_t* registers) noexcept
{
    const auto info_address = value_of(registers, REG_RBX);
    const auto address = value_of(registers, REG_RCX);
    const auto fault = check_operand(enclave, info_address, sizeof(SecInfo), 64, readable);
    if (fault.raised()) {
        return fault;
    }
    const auto offset = address - enclave.base_;
    const auto wanted = reinterpret_cast<const SecInfo*>(info_address)->flags & permission_bits;
    if (address % page_bytes != 0 || offset >= enclave.size() || (wanted & readable) == 0) {
        return {vector_gp, 0, 0};
    }
    auto& page = enclave.page_at(offset);
    if (!page.valid || page.type != PageType::PT_REG || page.pending || page.modified) {
        return {vector_pf, 0, address};
    }
    page.permissions = static_cast<std::uint8_t>(page.permissions | wanted);
    if (!enclave.protect(offset)) {
        return {vector_pf, 0, address};
    }
    return {};
}

Fault Trap::carry_out_leaf(Emulator& enclave, greg_t* registers) noexcept
{
    const PagesGuard guard(enclave.pages_lock_);
    switch (static_cast<std::uint32_t>(value_of(registers, REG_RAX))) {
    case protocol::sgx::EREPORT: return do_ereport(enclave, registers);
    case protocol::sgx::EGETKEY: return do_egetkey(enclave, registers);
    case protocol::sgx::EACCEPT: return do_eaccept(enclave, registers);
    case protocol::sgx::EMODPE: return do_emodpe(enclave, registers);
    default: return {vector_gp, 0, 0};
    }
}

} // namespace caisson::host::enclave::loader
