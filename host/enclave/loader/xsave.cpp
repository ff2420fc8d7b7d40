#include "host/enclave/loader/xsave.hpp"

#include <cpuid.h>

#include <algorithm>

namespace caisson::host::enclave::loader {
namespace {

constexpr std::size_t component_count = 63;
constexpr std::size_t legacy_bytes = 512;
constexpr std::size_t software_offset = 464; // of the legacy area's last bytes, which the kernel uses in its frames
constexpr std::size_t mxcsr_offset = 24;
constexpr std::size_t mxcsr_mask_offset = 28;
constexpr std::size_t header_bytes = 64;
constexpr std::uint32_t mxcsr_initial = 0x1f80;
constexpr std::uint32_t mxcsr_mask_default = 0xffbf;
constexpr std::uint64_t component_pkru = std::uint64_t{1} << 9U; // the host's, not the enclave's

// What the kernel writes there (struct _fpx_sw_bytes), as far as it matters here.
struct FrameFacts {
    std::uint32_t magic = 0;
    std::uint32_t extended_size = 0;
    std::uint64_t components = 0;
    std::uint32_t xsave_size = 0;
};
constexpr std::uint32_t frame_magic = 0x46505853; // FP_XSTATE_MAGIC1

struct Component {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
};
std::array<Component, component_count> layout{};

std::uint8_t* area_of(_libc_fpstate& frame) noexcept
{
    return reinterpret_cast<std::uint8_t*>(&frame);
}

template <typename T>
T load(const std::uint8_t* at) noexcept
{
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

template <typename T>
void store(std::uint8_t* at, T value) noexcept
{
    std::memcpy(at, &value, sizeof value);
}

// How far the kernel's frame goes; the legacy area alone when it says nothing.
std::size_t frame_bytes(const std::uint8_t* area) noexcept
{
    const auto facts = load<FrameFacts>(area + software_offset);
    return facts.magic == frame_magic ? facts.xsave_size : legacy_bytes;
}

void copy_components(std::uint8_t* to, const std::uint8_t* from, std::uint64_t components, std::size_t end) noexcept
{
    for (std::size_t index = 2; index < component_count; ++index) {
        const auto& component = layout[index];
        if (((components >> index) & 1U) != 0 && component.offset + component.size <= end) {
            std::memcpy(to + component.offset, from + component.offset, component.size);
        }
    }
}

} // namespace

void learn_xsave_layout() noexcept
{
    constexpr unsigned xsave_leaf = 13;
    for (unsigned index = 2; index < component_count; ++index) {
        unsigned size = 0;
        unsigned offset = 0;
        unsigned ecx = 0;
        unsigned edx = 0;
        __cpuid_count(xsave_leaf, index, size, offset, ecx, edx);
        layout[index] = {offset, size};
    }
}

std::uint64_t xsave_bytes(std::uint64_t xfrm) noexcept
{
    std::uint64_t bytes = legacy_bytes + header_bytes;
    for (std::size_t index = 2; index < component_count; ++index) {
        if (((xfrm >> index) & 1U) != 0) {
            bytes = std::max<std::uint64_t>(bytes, std::uint64_t{layout[index].offset} + layout[index].size);
        }
    }
    return bytes;
}

void save_xsave_state(const _libc_fpstate& frame, std::uint64_t xfrm, std::uint8_t* area) noexcept
{
    const auto* from = reinterpret_cast<const std::uint8_t*>(&frame);
    const auto end = frame_bytes(from);
    std::memset(area, 0, xsave_bytes(xfrm));
    std::memcpy(area, from, software_offset);
    if (end < legacy_bytes + header_bytes) {
        store<std::uint64_t>(area + legacy_bytes, 3);
        return;
    }
    const auto present = load<std::uint64_t>(from + legacy_bytes) & xfrm;
    store(area + legacy_bytes, present);
    copy_components(area, from, present, end);
}

void scrub_xsave_state(_libc_fpstate& frame) noexcept
{
    auto* area = area_of(frame);
    const auto end = frame_bytes(area);
    if (end < legacy_bytes + header_bytes) {
        std::memset(area, 0, software_offset);
        store<std::uint16_t>(area, 0x37f);
    } else {
        // What is not marked as present is set to its initial value.
        store(area + legacy_bytes, load<std::uint64_t>(area + legacy_bytes) & component_pkru);
    }
    store(area + mxcsr_offset, mxcsr_initial);
}

bool restore_xsave_state(_libc_fpstate& frame, std::uint64_t xfrm, const std::uint8_t* area) noexcept
{
    auto* to = area_of(frame);
    const auto end = frame_bytes(to);
    const auto mask = load<std::uint32_t>(to + mxcsr_mask_offset);
    const auto present = load<std::uint64_t>(area + legacy_bytes);
    const auto* reserved = area + legacy_bytes + sizeof present; // XCOMP_BV and what must be zero
    const bool compacted_or_unknown =
        std::any_of(reserved, reserved + header_bytes - sizeof present, [](std::uint8_t byte) { return byte != 0; });
    if ((load<std::uint32_t>(area + mxcsr_offset) & ~(mask == 0 ? mxcsr_mask_default : mask)) != 0 ||
        (present & ~xfrm) != 0 || compacted_or_unknown) {
        return false;
    }
    std::memcpy(to, area, mxcsr_mask_offset);
    std::memcpy(to + mxcsr_mask_offset + 4, area + mxcsr_mask_offset + 4, software_offset - mxcsr_mask_offset - 4);
    if (end >= legacy_bytes + header_bytes) {
        store(to + legacy_bytes, (load<std::uint64_t>(to + legacy_bytes) & component_pkru) | present);
        copy_components(to, area, present, end);
    }
    return true;
}

} // namespace caisson::host::enclave::loader
