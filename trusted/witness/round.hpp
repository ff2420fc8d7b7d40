// Round: one round of measuring under one policy. It says what to read next, hashes what it is given, and keeps one
// entry for each thing found, in fixed tables. Spec: docs/spec/measurement.md, section 3.
#pragma once

#include "airlock/witness/requests.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/measurement.hpp"
#include "trusted/witness/module_names.hpp"

#include <sodium/crypto_hash_sha256.h>

#include <array>

namespace caisson::trusted::witness {

inline constexpr std::size_t path_pool_bytes = std::size_t{128} << 10U;

class Round {
  public:
    // Forgets everything of the round before, paths included: they are part of a secret policy.
    void clear() noexcept;

    // Fails: exhausted.
    [[nodiscard]] Status add(const protocol::PolicyItem& item) noexcept;

    struct Want {
        std::uint32_t index;
        airlock::witness::Wanted what;
        std::string_view path;
    };
    [[nodiscard]] bool finished() const noexcept { return current_ == count_; }
    // Requires: !finished().
    [[nodiscard]] Want wanted() const noexcept;

    struct Chunk {
        bool last = false;
        std::uint32_t error = 0;   // the host's errno; 0: none
        std::uint32_t st_mode = 0; // with the first chunk of a file or listing; 0: not given
        Bytes bytes;
    };
    // One chunk of what is wanted. When it fails, the failure is part of the result and the next thing is wanted.
    // Requires: !finished(). Fails: malformed, exhausted.
    [[nodiscard]] Status absorb(const Chunk& chunk) noexcept;

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    // Requires: index < count().
    [[nodiscard]] protocol::Measurement measurement(std::size_t index) const noexcept;

  private:
    struct Entry {
        std::uint64_t size;
        std::uint32_t path_offset;
        std::uint32_t mode;
        std::uint32_t failure;
        std::uint16_t path_size;
        protocol::MeasuredType type;
        bool wanted; // something is still to be read for it
        Digest digest;
    };

    [[nodiscard]] std::string_view path_of(const Entry& entry) const noexcept;
    [[nodiscard]] bool is_modules(const Entry& entry) const noexcept;
    [[nodiscard]] airlock::witness::Wanted what_of(const Entry& entry) const noexcept;
    Status append(std::string_view folder, std::string_view name, protocol::MeasuredType type, std::uint32_t mode,
                  bool wanted) noexcept;
    Status start(Entry& entry, const Chunk& chunk) noexcept;
    Status absorb_listing(Bytes chunk) noexcept;
    Status list_entry(std::string_view folder, std::string_view relative, std::uint32_t st_mode) noexcept;
    Status absorb_content(Entry& entry, const Chunk& chunk) noexcept;
    Status end(Entry& entry) noexcept;
    void abandon(Entry& entry, std::uint32_t failure) noexcept;
    void go_on() noexcept;

    std::array<Entry, protocol::measurements_max> entries_{};
    std::array<char, path_pool_bytes> paths_{};
    std::size_t count_ = 0;
    std::size_t paths_used_ = 0;
    std::size_t current_ = 0;
    // Of the current measurement.
    bool started_ = false;
    std::size_t listing_first_ = 0;      // the entries of the tree that is being listed
    std::size_t listing_paths_used_ = 0; // ... and where their paths began
    crypto_hash_sha256_state hash_{};
    ModuleNames modules_;
};

} // namespace caisson::trusted::witness
