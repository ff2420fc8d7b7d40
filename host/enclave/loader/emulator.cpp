#include "host/enclave/loader/emulator.hpp"

#include "host/enclave/loader/trap.hpp"

#include <sys/mman.h>

#include <cerrno>

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;

int protection_of(const PageEntry& page) noexcept
{
    if (page.type == PageType::PT_TCS) {
        return PROT_READ | PROT_WRITE; // the CPU's own; an enclave that writes it only fools its emulator
    }
    int protection = 0;
    protection |= (page.permissions & protocol::sgx::SECINFO_R) != 0 ? PROT_READ : 0;
    protection |= (page.permissions & protocol::sgx::SECINFO_W) != 0 ? PROT_WRITE : 0;
    protection |= (page.permissions & protocol::sgx::SECINFO_X) != 0 ? PROT_EXEC : 0;
    return protection;
}

} // namespace

Status Emulator::create(const image::SgxsHeader& header, const protocol::sgx::Attributes& attributes,
                        int secret_descriptor) noexcept
{
    header_ = header;
    secret_descriptor_ = secret_descriptor;
    identity_.attributes = attributes;
    // Twice the size holds one naturally aligned range, as SECS.BASEADDR must be.
    void* reserved = ::mmap(nullptr, 2 * header.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        return fail(Kind::exhausted, "there is no address space for the enclave's range (RLIMIT_AS)");
    }
    base_ = (reinterpret_cast<std::uint64_t>(reserved) + header.size - 1) & ~(header.size - 1);
    pages_.resize(header.size / page_bytes);
    return {};
}

Status Emulator::add(const image::SgxsPage& page) noexcept
{
    auto& entry = pages_[page.offset / page_bytes];
    if (initialised_ || entry.valid || !page.measured) {
        return fail(Kind::malformed, "every page of an enclave image must be measured");
    }
    entry.valid = true;
    entry.type = static_cast<PageType>(page.secinfo >> 8U);
    entry.permissions = static_cast<std::uint8_t>(page.secinfo & 7U);
    const bool writable = entry.type == PageType::PT_TCS || (entry.permissions & protocol::sgx::SECINFO_W) != 0;
    auto* address = reinterpret_cast<std::uint8_t*>(base_ + page.offset);
    const bool secret = writable && secret_descriptor_ >= 0;
    void* mapped = ::mmap(address, page_bytes, PROT_READ | PROT_WRITE,
                          MAP_FIXED | (secret ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
                          secret ? secret_descriptor_ : -1, secret ? static_cast<off_t>(page.offset) : 0);
    if (mapped == MAP_FAILED || (writable && !secret && ::mlock(address, page_bytes) != 0)) {
        return fail(Kind::exhausted, "locked memory is used up (RLIMIT_MEMLOCK): raise it to 8 MiB a chamber, with "
                                     "`ulimit -l` or LimitMEMLOCK=");
    }
    for (std::size_t index = 0; index < page.chunks.size(); ++index) {
        std::memcpy(address + index * protocol::sgx::eextend_bytes, page.chunks[index], protocol::sgx::eextend_bytes);
    }
    if (entry.type == PageType::PT_TCS && first_tcs_ == 0) {
        first_tcs_ = base_ + page.offset;
    }
    return {};
}

Status Emulator::initialise(const Digest& mrenclave, const protocol::sgx::Sigstruct& sigstruct,
                            const ByteArray<16>& cpusvn, const PlatformKeys* keys) noexcept
{
    TRY(image::verify_sigstruct(sigstruct));
    TRY(image::verify_enclave(sigstruct, mrenclave, identity_.attributes));
    if (first_tcs_ == 0) {
        return fail(Kind::malformed, "the enclave image has no thread (TCS)");
    }
    identity_.mrenclave = mrenclave;
    identity_.mrsigner = image::mrsigner_of(sigstruct);
    identity_.isv_prod_id = sigstruct.isv_prod_id;
    identity_.isv_svn = sigstruct.isv_svn;
    identity_.attributes.flags |= protocol::sgx::ATTRIBUTES_INIT;
    identity_.cpusvn = cpusvn;
    keys_ = keys;
    for (std::size_t index = 0; index < pages_.size(); ++index) {
        if (pages_[index].valid && ::mprotect(reinterpret_cast<void*>(base_ + index * page_bytes), page_bytes,
                                              protection_of(pages_[index])) != 0) {
            return fail(Kind::unavailable, "the kernel refuses the permissions of an enclave page");
        }
    }
    initialised_ = true;
    return {};
}

Status Emulator::attach_thread() noexcept
{
    return Trap::attach(*this);
}

Emulator::Exit Emulator::enter(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t rdx) noexcept
{
    EnclaveRun run{};
    run.tcs = first_tcs_;
    const int left = caisson_enter_enclave(rdi, rsi, rdx, protocol::sgx::EENTER, 0, 0, &run);
    Exit exit;
    exit.by_exception = left != 0 || run.function != protocol::sgx::EEXIT;
    exit.rdi = run.user_data;
    exit.rsi = run.user_handler;
    exit.vector = run.exception_vector;
    exit.address = run.exception_address;
    return exit;
}

} // namespace caisson::host::enclave::loader
