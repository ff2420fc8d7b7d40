#include "host/enclave/loader/emulator.hpp"

#include "host/enclave/loader/trap.hpp"
#include "host/enclave/loader/xsave.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>

namespace caisson::host::enclave::loader {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;

constexpr const char* memory_used_up =
    "locked memory is used up (RLIMIT_MEMLOCK): raise it to 8 MiB a chamber, with `ulimit -l` or LimitMEMLOCK=";

constexpr std::uint64_t window_bytes = std::uint64_t{2} << 20U; // the CPU's large page

int protection_of(const PageEntry& page) noexcept
{
    // A TCS is the CPU's own; a page that waits for EACCEPT is nobody's yet.
    if (!page.valid || page.type != PageType::PT_REG || page.pending || page.modified) {
        return PROT_NONE;
    }
    int protection = 0;
    protection |= (page.permissions & protocol::sgx::SECINFO_R) != 0 ? PROT_READ : 0;
    protection |= (page.permissions & protocol::sgx::SECINFO_W) != 0 ? PROT_WRITE : 0;
    protection |= (page.permissions & protocol::sgx::SECINFO_X) != 0 ? PROT_EXEC : 0;
    return protection;
}

// Not the C library's: a thread that is given to its enclave has no errno.
bool change_protection(std::uint64_t address, std::uint64_t bytes, int protection) noexcept
{
    long result = SYS_mprotect;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(address), "S"(bytes), "d"(static_cast<long>(protection))
                     : "rcx", "r11", "memory");
    return result == 0;
}

// New memory is zeros already, and what nobody writes to costs nothing: a page of secret memory is taken out of the
// kernel's own map when it is first touched, on every CPU.
bool all_zeros(const std::uint8_t* chunk) noexcept
{
    std::uint64_t any = 0;
    for (std::size_t at = 0; at < protocol::sgx::eextend_bytes; at += sizeof any) {
        std::uint64_t word = 0;
        std::memcpy(&word, chunk + at, sizeof word);
        any |= word;
    }
    return any == 0;
}

} // namespace

Emulator::~Emulator()
{
    if (initialised_) {
        Trap::forget(*this);
    }
    if (mapping_ != nullptr) {
        ::munmap(mapping_, 2 * header_.size);
    }
}

Status Emulator::create(const image::SgxsHeader& header, const protocol::sgx::Attributes& attributes,
                        int secret_descriptor) noexcept
{
    if (xsave_bytes(attributes.xfrm) + sizeof(protocol::sgx::SsaGpr) >
        std::uint64_t{header.ssa_frame_pages} * page_bytes) {
        return fail(Kind::malformed, "the SSA frames of the enclave image have no room for this CPU's XSAVE area");
    }
    // Twice the size holds one naturally aligned range, as SECS.BASEADDR must be.
    void* reserved = ::mmap(nullptr, 2 * header.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        return fail(Kind::exhausted, "there is no address space for the enclave's range (RLIMIT_AS)");
    }
    header_ = header;
    mapping_ = reserved;
    secret_descriptor_ = secret_descriptor;
    identity_.attributes = attributes;
    base_ = (reinterpret_cast<std::uint64_t>(reserved) + header.size - 1) & ~(header.size - 1);
    pages_.resize(header.size / page_bytes);
    return {};
}

PageEntry& Emulator::page_at(std::uint64_t offset) noexcept
{
    return pages_[offset / page_bytes];
}

bool Emulator::in_reserve(std::uint64_t offset) const noexcept
{
    return offset % page_bytes == 0 && offset - reserved_offset_ < reserved_bytes_;
}

Thread* Emulator::thread_at(std::uint64_t address) noexcept
{
    const auto found = std::find_if(threads_.begin(), threads_.end(), [&](const std::unique_ptr<Thread>& thread) {
        return base_ + thread->offset == address;
    });
    return found == threads_.end() ? nullptr : found->get();
}

bool Emulator::protect(std::uint64_t offset) noexcept
{
    return change_protection(base_ + offset, page_bytes, protection_of(page_at(offset)));
}

// Neighbours alike in one call.
bool Emulator::protect_all() noexcept
{
    for (std::uint64_t offset = 0; offset < header_.size;) {
        auto end = offset + page_bytes;
        if (page_at(offset).valid) {
            const auto protection = protection_of(page_at(offset));
            while (end < header_.size && page_at(end).valid && protection_of(page_at(end)) == protection) {
                end += page_bytes;
            }
            if (!change_protection(base_ + offset, end - offset, protection)) {
                return false;
            }
        }
        offset = end;
    }
    return true;
}

Status Emulator::add_thread(std::uint64_t offset, const protocol::sgx::Tcs& tcs) noexcept
{
    constexpr std::uint64_t low_bits = page_bytes - 1;
    const auto frames_bytes = std::uint64_t{tcs.nssa} * header_.ssa_frame_pages * page_bytes;
    if (tcs.flags != 0 || tcs.ossa % page_bytes != 0 || tcs.ofsbase % page_bytes != 0 ||
        tcs.ogsbase % page_bytes != 0 || (tcs.fslimit & low_bits) != low_bits || (tcs.gslimit & low_bits) != low_bits ||
        tcs.nssa > pages_.size() || tcs.ossa > header_.size || frames_bytes > header_.size - tcs.ossa ||
        tcs.oentry >= header_.size || tcs.ofsbase >= header_.size || tcs.ogsbase >= header_.size) {
        return fail(Kind::malformed, "a thread (TCS) of the enclave image is not what SGX permits");
    }
    auto thread = std::make_unique<Thread>();
    thread->offset = offset;
    thread->ossa = tcs.ossa;
    thread->nssa = tcs.nssa;
    thread->oentry = tcs.oentry;
    thread->ofsbase = tcs.ofsbase;
    thread->ogsbase = tcs.ogsbase;
    threads_.push_back(std::move(thread));
    return {};
}

// The page's entry; of a thread's page nothing else is left, it stays out of reach.
Status Emulator::add_entry(const image::SgxsPage& page) noexcept
{
    auto& entry = page_at(page.offset);
    if (initialised_ || entry.valid || !page.measured) {
        return fail(Kind::malformed, "every page of an enclave image must be measured");
    }
    entry.valid = true;
    entry.type = static_cast<PageType>(page.secinfo >> 8U);
    entry.permissions = static_cast<std::uint8_t>(page.secinfo & 7U);
    if (entry.type != PageType::PT_TCS) {
        return {};
    }
    protocol::sgx::Tcs tcs;
    for (std::size_t index = 0; index < page.chunks.size(); ++index) {
        std::memcpy(reinterpret_cast<std::uint8_t*>(&tcs) + index * protocol::sgx::eextend_bytes, page.chunks[index],
                    protocol::sgx::eextend_bytes);
    }
    return add_thread(page.offset, tcs);
}

// Secret memory, page by page as it is touched, whatever is asked for.
Status Emulator::map_writable(std::uint64_t offset, std::uint64_t bytes) noexcept
{
    auto* address = reinterpret_cast<void*>(base_ + offset);
    const bool secret = secret_descriptor_ >= 0;
    const int flags = secret ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void* mapped = ::mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | flags, secret ? secret_descriptor_ : -1,
                          secret ? static_cast<off_t>(offset) : 0);
    if (mapped == MAP_FAILED || (!secret && ::mlock(address, bytes) != 0)) {
        return fail(Kind::exhausted, memory_used_up);
    }
    return {};
}

// What is only read or run lies in whole windows, so that the kernel can give one large page for all of it: touched for
// the first time, a small one costs as much as a large one. Holes are closed at the end.
Status Emulator::map_window(std::uint64_t offset, std::uint64_t bytes) noexcept
{
    const auto end = offset + bytes;
    if (end <= window_end_) {
        return {};
    }
    const auto from = std::max(mapped_end_, std::max(window_end_, offset & ~(window_bytes - 1)));
    const auto to = std::min((end + window_bytes - 1) & ~(window_bytes - 1), header_.size);
    auto* address = reinterpret_cast<void*>(base_ + from);
    if (::mmap(address, to - from, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
        MAP_FAILED) {
        return fail(Kind::exhausted, "there is no memory for the enclave's code");
    }
    ::madvise(address, to - from, MADV_HUGEPAGE); // or small pages, and a slower start
    window_end_ = to;
    return {};
}

// No memory where the image has no page.
bool Emulator::close_holes() noexcept
{
    for (std::uint64_t offset = 0; offset < window_end_; offset += page_bytes) {
        auto end = offset;
        while (end < window_end_ && !page_at(end).valid && !in_reserve(end)) {
            end += page_bytes;
        }
        if (end == offset) {
            continue;
        }
        auto* address = reinterpret_cast<void*>(base_ + offset);
        if (::mmap(address, end - offset, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) ==
            MAP_FAILED) {
            return false;
        }
        offset = end;
    }
    return true;
}

Status Emulator::add(std::span<const image::SgxsPage> run) noexcept
{
    for (const auto& page : run) {
        TRY(add_entry(page));
    }
    const auto& first = page_at(run.front().offset);
    if (first.type == PageType::PT_TCS) {
        return {};
    }
    const auto begin = run.front().offset;
    const auto bytes = run.size() * page_bytes;
    TRY((first.permissions & protocol::sgx::SECINFO_W) != 0 ? map_writable(begin, bytes) : map_window(begin, bytes));
    mapped_end_ = begin + bytes;
    for (const auto& page : run) {
        auto* address = reinterpret_cast<std::uint8_t*>(base_ + page.offset);
        for (const auto* chunk : page.chunks) {
            if (!all_zeros(chunk)) {
                std::memcpy(address, chunk, protocol::sgx::eextend_bytes);
            }
            address += protocol::sgx::eextend_bytes;
        }
    }
    return {};
}

Status Emulator::add_all(image::SgxsReader& reader) noexcept
{
    constexpr std::size_t run_pages_max = 64;
    std::vector<image::SgxsPage> run;
    run.reserve(run_pages_max);
    while (!reader.done()) {
        const auto page = TRY(reader.read_page());
        const bool goes_on = !run.empty() && run.size() < run_pages_max && page.secinfo == run.back().secinfo &&
                             page.offset == run.back().offset + page_bytes;
        if (!run.empty() && !goes_on) {
            TRY(add(run));
            run.clear();
        }
        run.push_back(page);
    }
    return run.empty() ? Status() : add(run);
}

Status Emulator::reserve(std::uint64_t offset, std::uint64_t bytes) noexcept
{
    if (initialised_ || bytes == 0 || offset % page_bytes != 0 || bytes % page_bytes != 0 || offset > header_.size ||
        bytes > header_.size - offset) {
        return fail(Kind::malformed, "an enclave's arena must be whole pages of its range");
    }
    for (auto at = offset; at < offset + bytes; at += page_bytes) {
        if (page_at(at).valid) {
            return fail(Kind::malformed, "an enclave's arena begins inside its image");
        }
    }
    // Secret memory counts as locked at once, but takes pages only when they are first touched.
    auto* address = reinterpret_cast<void*>(base_ + offset);
    const bool secret = secret_descriptor_ >= 0;
    void* mapped = ::mmap(address, bytes, PROT_NONE, MAP_FIXED | (secret ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
                          secret ? secret_descriptor_ : -1, secret ? static_cast<off_t>(offset) : 0);
    constexpr unsigned on_fault = 1; // MLOCK_ONFAULT
    if (mapped == MAP_FAILED || (!secret && ::mlock2(address, bytes, on_fault) != 0)) {
        return fail(Kind::exhausted, memory_used_up);
    }
    reserved_offset_ = offset;
    reserved_bytes_ = bytes;
    return {};
}

Status Emulator::initialise(const Digest& mrenclave, const protocol::sgx::Sigstruct& sigstruct,
                            const ByteArray<16>& cpusvn, const PlatformKeys* keys) noexcept
{
    TRY(image::verify_sigstruct(sigstruct));
    TRY(image::verify_enclave(sigstruct, mrenclave, identity_.attributes));
    if (threads_.empty()) {
        return fail(Kind::malformed, "the enclave image has no thread (TCS)");
    }
    identity_.mrenclave = mrenclave;
    identity_.mrsigner = image::mrsigner_of(sigstruct);
    identity_.isv_prod_id = sigstruct.isv_prod_id;
    identity_.isv_svn = sigstruct.isv_svn;
    identity_.attributes.flags |= protocol::sgx::ATTRIBUTES_INIT;
    identity_.cpusvn = cpusvn;
    keys_ = keys;
    if (!close_holes() || !protect_all()) {
        return fail(Kind::unavailable, "the kernel refuses the permissions of an enclave page");
    }
    TRY(Trap::remember(*this));
    initialised_ = true;
    return {};
}

Status Emulator::attach_thread() noexcept
{
    return Trap::attach();
}

Exit Emulator::enter(const Entry& entry) noexcept
{
    return enter_enclave(caisson_enter_enclave, entry);
}

Status Emulator::augment(std::uint64_t offset) noexcept
{
    const PagesGuard guard(pages_lock_);
    return add_pending(offset);
}

Status Emulator::add_pending(std::uint64_t offset) noexcept
{
    if (!initialised_ || !in_reserve(offset) || page_at(offset).valid) {
        return fail(Kind::malformed, "EAUG: this page cannot be added");
    }
    auto& page = page_at(offset);
    page = {};
    page.valid = true;
    page.pending = true;
    page.permissions = protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W;
    return {};
}

Status Emulator::restrict_permissions(std::uint64_t offset, std::uint8_t keep) noexcept
{
    const PagesGuard guard(pages_lock_);
    if (!contains(base_ + offset) || offset % page_bytes != 0) {
        return fail(Kind::malformed, "EMODPR: no page");
    }
    auto& page = page_at(offset);
    if (!initialised_ || !page.valid || page.type != PageType::PT_REG || page.pending || page.modified) {
        return fail(Kind::malformed, "EMODPR: the page is in no state for it");
    }
    page.permissions = static_cast<std::uint8_t>(page.permissions & keep);
    page.restricted = true;
    if (!protect(offset)) {
        return fail(Kind::unavailable, "EMODPR: the kernel refuses");
    }
    return {};
}

Status Emulator::trim(std::uint64_t offset) noexcept
{
    const PagesGuard guard(pages_lock_);
    if (!initialised_ || !in_reserve(offset) || !page_at(offset).valid || page_at(offset).type != PageType::PT_REG ||
        page_at(offset).pending) {
        return fail(Kind::malformed, "EMODT: the page is in no state for it");
    }
    auto& page = page_at(offset);
    page.type = PageType::PT_TRIM;
    page.modified = true;
    page.restricted = false;
    page.permissions = 0;
    if (!protect(offset)) {
        return fail(Kind::unavailable, "EMODT: the kernel refuses");
    }
    return {};
}

Status Emulator::remove(std::uint64_t offset) noexcept
{
    const PagesGuard guard(pages_lock_);
    if (!initialised_ || !in_reserve(offset) || !page_at(offset).valid || page_at(offset).type != PageType::PT_TRIM ||
        page_at(offset).modified) {
        return fail(Kind::malformed, "EREMOVE: only a trimmed page that the enclave accepted goes while it runs");
    }
    auto* address = reinterpret_cast<void*>(base_ + offset);
    if (::mprotect(address, page_bytes, PROT_READ | PROT_WRITE) != 0) {
        return fail(Kind::unavailable, "EREMOVE: the kernel refuses");
    }
    std::memset(address, 0, page_bytes); // what EAUG adds is zeros
    page_at(offset) = {};
    if (!protect(offset)) {
        return fail(Kind::unavailable, "EREMOVE: the kernel refuses");
    }
    return {};
}

} // namespace caisson::host::enclave::loader
