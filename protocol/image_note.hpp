// ImageNote: the first bytes of a chamber's first page say how it was built. They are measured like everything else, so
// images that differ here are different enclaves. Spec: docs/spec/chamber.md, [IMAGE-5].
#pragma once

#include "core/wire.hpp"

#include <optional>

namespace caisson::protocol {

// What the compiler adds against speculation on SGX CPUs: bits of ImageNote::hardening.
enum class ImageHardening : std::uint32_t {
    lfence = 1U << 0U, // LFENCE after loads, before indirect branches and returns (LVI, CVE-2020-0551)
    verw = 1U << 1U,   // VERW when the chamber is left (MDS, stale data of MMIO)
};

struct ImageNote {
    static constexpr ByteArray<16> magic{'c', 'a', 'i', 's', 's', 'o', 'n', ' ', 'c', 'h', 'a', 'm', 'b', 'e', 'r', 0};
    static constexpr std::uint32_t current_version = 1;

    std::uint32_t hardening = 0;

    [[nodiscard]] constexpr bool has(ImageHardening what) const noexcept
    {
        return (hardening & static_cast<std::uint32_t>(what)) != 0;
    }
};

// The note at the front of a page, or nothing when the image is not a chamber of ours.
[[nodiscard]] inline std::optional<ImageNote> read_image_note(Bytes page) noexcept
{
    Reader reader(page);
    const auto magic = reader.read_array<16>();
    const auto version = reader.read_le<std::uint32_t>();
    const auto hardening = reader.read_le<std::uint32_t>();
    if (!magic || *magic != ImageNote::magic || !version || *version != ImageNote::current_version || !hardening) {
        return std::nullopt;
    }
    return ImageNote{*hardening};
}

} // namespace caisson::protocol
