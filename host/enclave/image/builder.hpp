// From a linked chamber (ELF) to an enclave image: its pages as an SGXS stream, and the SIGSTRUCT that signs it.
#pragma once

#include "airlock/limits.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/fault.hpp"

#include <filesystem>
#include <memory>

namespace caisson::host::enclave::image {

struct Layout {
    std::uint64_t range_bytes = airlock::image_range_bytes; // SECS.SIZE
    std::uint32_t threads = 1;                              // each with its own stack, thread page, TCS and SSA frames
    std::uint32_t stack_pages = 64;
    std::uint32_t ssa_frames = 2;
    std::uint32_t ssa_frame_pages = 4; // room for an AVX-512 XSAVE area
};

struct Identity {
    std::uint16_t product = 0;
    std::uint16_t svn = 1;
    bool debug = false;
};

// Fails: malformed (not such an ELF, or it does not fit the range).
[[nodiscard]] Outcome<std::vector<std::uint8_t>> build_image(Bytes elf, const Layout& layout);

// An RSA-3072 key with exponent 3, as PEM.
class Signer {
  public:
    // Loads the key at `path`. Fails: missing, malformed (another kind of key).
    static Outcome<Signer> open(const std::filesystem::path& path);
    // Makes a key and stores it with mode 0600. Fails: conflict (a file is there).
    static Outcome<Signer> create(const std::filesystem::path& path);

    [[nodiscard]] Outcome<protocol::sgx::Sigstruct> sign(const Digest& mrenclave, const Identity& identity) const;

  private:
    struct Key;
    explicit Signer(std::shared_ptr<Key> key)
        : key_(std::move(key))
    {
    }
    std::shared_ptr<Key> key_;
};

} // namespace caisson::host::enclave::image
