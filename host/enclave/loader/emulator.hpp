// SGX in software, for the enclaves of this process: ECREATE to EINIT and the leaves of dynamic memory as functions,
// the ENCLU leaves behind SIGILL (trap.hpp). The host side keeps the contract of the kernel's vDSO entry.
//
// Emulator and enclave share an address space: it protects the enclave from others, not itself from the enclave. Of
// what a CPU refuses it cannot refuse two things: code of the host that the enclave jumps to, and reads of the enclave
// by the very process it lives in. Policy: CPUID inside is #UD where the CPU can be made to fault (ARCH_CPUID), and
// else only kept out of images by the build; RDTSC is permitted, as on CPUs with SGX2.
#pragma once

#include "host/enclave/emulated_leaves.hpp"
#include "host/enclave/enclave_entry.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/image/sigstruct.hpp"

#include <atomic>
#include <memory>
#include <span>
#include <vector>

namespace caisson::host::enclave::loader {

// What the CPU keeps about each page (EPCM).
struct PageEntry {
    bool valid = false;
    bool pending = false;    // added by EAUG, not yet accepted
    bool modified = false;   // type changed by EMODT, not yet accepted
    bool restricted = false; // permissions taken by EMODPR, not yet accepted (PR)
    protocol::sgx::PageType type = protocol::sgx::PageType::PT_REG;
    std::uint8_t permissions = 0;
};

// What the CPU keeps about each thread: its TCS page, out of the enclave's reach.
struct Thread {
    std::uint64_t offset = 0;
    std::uint64_t ossa = 0;
    std::uint32_t cssa = 0;
    std::uint32_t nssa = 0;
    std::uint64_t oentry = 0;
    std::uint64_t ofsbase = 0;
    std::uint64_t ogsbase = 0;
    std::atomic<bool> busy = false;
};

// Held while the page entries are read or changed by a leaf.
class PagesGuard {
  public:
    explicit PagesGuard(std::atomic<bool>& lock) noexcept
        : lock_(lock)
    {
        while (lock_.exchange(true, std::memory_order_acquire)) {
            __builtin_ia32_pause();
        }
    }
    ~PagesGuard() { lock_.store(false, std::memory_order_release); }
    PagesGuard(const PagesGuard&) = delete;
    PagesGuard& operator=(const PagesGuard&) = delete;

  private:
    std::atomic<bool>& lock_;
};

class Emulator {
  public:
    Emulator() = default;
    ~Emulator();
    Emulator(const Emulator&) = delete;
    Emulator& operator=(const Emulator&) = delete;

    // ECREATE: reserves the range, naturally aligned; writable pages will come from `secret_descriptor` (memfd_secret),
    // or from locked anonymous memory when it is negative. Fails: exhausted (address space), malformed (no room for the
    // XSAVE area of these attributes in an SSA frame).
    [[nodiscard]] Status create(const image::SgxsHeader& header, const protocol::sgx::Attributes& attributes,
                                int secret_descriptor) noexcept;
    // EADD and EEXTEND of measured pages: a run of neighbours that are alike, mapped at one go. Fails: exhausted
    // (locked memory), malformed.
    [[nodiscard]] Status add(std::span<const image::SgxsPage> run) noexcept;
    // All pages that the reader has, run by run. Fails: also as SgxsReader::read_page.
    [[nodiscard]] Status add_all(image::SgxsReader& reader) noexcept;
    // Memory for pages that EAUG may add later: `bytes` from `offset` on, which no page of the image is in.
    // Fails: exhausted (locked memory), malformed.
    [[nodiscard]] Status reserve(std::uint64_t offset, std::uint64_t bytes) noexcept;
    // Before EINIT, behind the last page: exits that stand as airlock::direct_exit, and entries of an enclave that has
    // one, will be a jump and a call instead of a trap (crossing.cpp). Nothing happens where that cannot be.
    void cross_directly() noexcept;
    // EINIT: everything the CPU checks, then the pages' final permissions. Fails: unauthentic, malformed, unavailable,
    // exhausted (enclaves_max).
    [[nodiscard]] Status initialise(const Digest& mrenclave, const protocol::sgx::Sigstruct& sigstruct,
                                    const ByteArray<16>& cpusvn, const PlatformKeys* keys) noexcept;

    // Makes this thread able to enter: trap handlers on a stack of secret memory. Fails: unavailable, exhausted.
    [[nodiscard]] Status attach_thread() noexcept;

    // EENTER or ERESUME of the thread with this TCS, until EEXIT or an asynchronous exit that is reported.
    [[nodiscard]] Exit enter(const Entry& entry) noexcept;

    // What an operating system does to pages of a running enclave; the enclave must EACCEPT each.
    // Fails: malformed (no such page in reserved memory, or not in this state), unavailable.
    [[nodiscard]] Status augment(std::uint64_t offset) noexcept;                                 // EAUG
    [[nodiscard]] Status restrict_permissions(std::uint64_t offset, std::uint8_t keep) noexcept; // EMODPR
    [[nodiscard]] Status trim(std::uint64_t offset) noexcept;                                    // EMODT to PT_TRIM
    [[nodiscard]] Status remove(std::uint64_t offset) noexcept;                                  // EREMOVE

    [[nodiscard]] std::uint64_t base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return header_.size; }
    [[nodiscard]] std::size_t thread_count() const noexcept { return threads_.size(); }
    // The address of the TCS. Requires: index < thread_count().
    [[nodiscard]] std::uint64_t tcs(std::size_t index) const noexcept { return base_ + threads_[index]->offset; }
    [[nodiscard]] std::uint64_t reserved_begin() const noexcept { return base_ + reserved_offset_; }
    [[nodiscard]] std::uint64_t reserved_bytes() const noexcept { return reserved_bytes_; }
    [[nodiscard]] const EnclaveIdentity& identity() const noexcept { return identity_; }

  private:
    friend class Trap;

    [[nodiscard]] bool contains(std::uint64_t address) const noexcept { return address - base_ < header_.size; }
    [[nodiscard]] PageEntry& page_at(std::uint64_t offset) noexcept;
    [[nodiscard]] Thread* thread_at(std::uint64_t address) noexcept;
    [[nodiscard]] bool in_reserve(std::uint64_t offset) const noexcept;
    // EAUG, with the pages' lock held.
    [[nodiscard]] Status add_pending(std::uint64_t offset) noexcept;
    [[nodiscard]] Status add_entry(const image::SgxsPage& page) noexcept;
    [[nodiscard]] Status map_writable(std::uint64_t offset, std::uint64_t bytes) noexcept;
    [[nodiscard]] Status map_window(std::uint64_t offset, std::uint64_t bytes) noexcept;
    [[nodiscard]] bool close_holes() noexcept;
    [[nodiscard]] Status add_thread(std::uint64_t offset, const protocol::sgx::Tcs& tcs) noexcept;
    // The kernel's protection of one page, as its entry says.
    [[nodiscard]] bool protect(std::uint64_t offset) noexcept;
    [[nodiscard]] bool may_cross_directly() const noexcept;
    [[nodiscard]] bool protect_all() noexcept;

    image::SgxsHeader header_{};
    std::uint64_t base_ = 0;
    void* mapping_ = nullptr;
    std::uint64_t mapped_end_ = 0; // of what has been added
    std::uint64_t window_end_ = 0; // of the memory for pages that are only read or run
    std::vector<PageEntry> pages_;
    std::vector<std::unique_ptr<Thread>> threads_;
    std::uint64_t reserved_offset_ = 0;
    std::uint64_t reserved_bytes_ = 0;
    int secret_descriptor_ = -1;
    bool initialised_ = false;
    bool crosses_directly_ = false;
    std::atomic<bool> pages_lock_ = false; // against other threads' EACCEPT
    EnclaveIdentity identity_{};
    const PlatformKeys* keys_ = nullptr;
};

} // namespace caisson::host::enclave::loader
