// SGX in software, for one enclave with one thread in this process: ECREATE to EINIT as functions, the ENCLU leaves
// behind SIGILL. The host side keeps the contract of the kernel's vDSO entry, so the same caller serves hardware.
//
// Emulator and enclave share an address space: it protects the enclave from others, not itself from the enclave.
#pragma once

#include "host/enclave/emulated_leaves.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/image/sigstruct.hpp"

#include <vector>

namespace caisson::host::enclave::loader {

// What the CPU keeps about each page (EPCM).
struct PageEntry {
    bool valid = false;
    protocol::sgx::PageType type = protocol::sgx::PageType::PT_REG;
    std::uint8_t permissions = 0;
};

class Emulator {
  public:
    // ECREATE: reserves the range, naturally aligned; writable pages will come from `secret_descriptor` (memfd_secret),
    // or from locked anonymous memory when it is negative. Fails: exhausted (address space).
    [[nodiscard]] Status create(const image::SgxsHeader& header, const protocol::sgx::Attributes& attributes,
                                int secret_descriptor) noexcept;
    // EADD and EEXTEND of one measured page. Fails: exhausted (locked memory), malformed.
    [[nodiscard]] Status add(const image::SgxsPage& page) noexcept;
    // EINIT: everything the CPU checks, then the pages' final permissions. Fails: unauthentic, malformed, unavailable.
    [[nodiscard]] Status initialise(const Digest& mrenclave, const protocol::sgx::Sigstruct& sigstruct,
                                    const ByteArray<16>& cpusvn, const PlatformKeys* keys) noexcept;

    // Makes this thread able to enter: trap handlers on a stack of secret memory. Fails: unavailable.
    [[nodiscard]] Status attach_thread() noexcept;

    struct Exit {
        std::uint64_t rdi = 0;
        std::uint64_t rsi = 0;
        bool by_exception = false;
        std::uint16_t vector = 0;
        std::uint64_t address = 0;
    };
    // EENTER at the first TCS, until EEXIT or an asynchronous exit.
    [[nodiscard]] Exit enter(std::uint64_t rdi, std::uint64_t rsi, std::uint64_t rdx) noexcept;

    [[nodiscard]] std::uint64_t base() const noexcept { return base_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return header_.size; }

  private:
    friend class Trap;

    image::SgxsHeader header_{};
    std::uint64_t base_ = 0;
    std::vector<PageEntry> pages_;
    std::uint64_t first_tcs_ = 0;
    int secret_descriptor_ = -1;
    bool initialised_ = false;
    EnclaveIdentity identity_{};
    const PlatformKeys* keys_ = nullptr;
};

} // namespace caisson::host::enclave::loader
