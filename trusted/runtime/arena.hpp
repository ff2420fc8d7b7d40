// Memory that a chamber gets while it runs: a fixed range of its addresses in which pages appear by EAUG and are taken
// by EACCEPT. MRENCLAVE tells of the range, not of how much of it is in use. Spec: docs/spec/chamber.md, the arena.
// Whoever has a table reserves addresses for all of it at the start, and takes pages as it grows; none is given back.
#pragma once

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "protocol/sgx.hpp"

namespace caisson::trusted {

class Arena {
  public:
    // EACCEPT of a page that was added (EAUG), readable and writable. False: there is none, or it is another kind.
    using Accept = bool (*)(void* context, std::uint8_t* page) noexcept;

    Arena() = default;
    // `range` begins and ends with a page.
    Arena(MutableBytes range, Accept accept, void* context) noexcept
        : range_(range)
        , accept_(accept)
        , context_(context)
    {
    }

    // Addresses of whole pages, not memory yet. Requires: so much of the range is left; what is reserved is known when
    // an image is built.
    [[nodiscard]] MutableBytes reserve(std::size_t bytes) noexcept;

    // Memory for the first `bytes` of a reservation, of which `has` are memory already; rises to the new value. All
    // zeros at first. Fails: exhausted (the host gives no page: locked memory is used up), unauthentic (the page that
    // was given is not all zeros, and the arena grows no more).
    [[nodiscard]] Status grow(MutableBytes reservation, std::size_t& has, std::size_t bytes) noexcept;

    [[nodiscard]] std::size_t pages() const noexcept { return pages_; } // in use

  private:
    MutableBytes range_;
    Accept accept_ = nullptr;
    void* context_ = nullptr;
    std::size_t reserved_ = 0;
    std::size_t pages_ = 0;
    bool broken_ = false;
};

} // namespace caisson::trusted
