// The NV indices of a TPM root: the register of images, which is only ever extended and is empty again when the TPM
// restarts, and counters, which only ever rise.
#pragma once

#include "host/tpm/tpm.hpp"

namespace caisson::host::tpm {

// Each home on a machine has a slot of its own: a register and a counter for each chamber that keeps things on disk.
struct Slot {
    TPM2_HANDLE first = 0;

    [[nodiscard]] TPM2_HANDLE image_register() const noexcept { return first; }
    [[nodiscard]] TPM2_HANDLE counter(std::size_t number) const noexcept
    {
        return first + 1 + static_cast<TPM2_HANDLE>(number);
    }
};
inline constexpr TPM2_HANDLE slot_first = 0x0180ca20;
inline constexpr TPM2_HANDLE slot_indices = 4;
inline constexpr TPM2_HANDLE slots_count = 64;
[[nodiscard]] constexpr bool is_slot(TPM2_HANDLE first) noexcept
{
    return first >= slot_first && first < slot_first + slots_count * slot_indices &&
           (first - slot_first) % slot_indices == 0;
}

// [TPM-7] Anybody may extend and read the register, as with a PCR; only the owner can remove and remake it.
inline constexpr TPMA_NV register_attributes = (TPM2_NT_EXTEND << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_AUTHREAD |
                                               TPMA_NV_AUTHWRITE | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA | TPMA_NV_ORDERLY |
                                               TPMA_NV_CLEAR_STCLEAR;

// The content of a readable index, without authorisation. Fails: missing, exhausted (longer than bytes_max).
[[nodiscard]] Outcome<std::vector<std::uint8_t>> nv_content(const Tpm& tpm, TPM2_HANDLE index, std::size_t bytes_max);

// The first slot nobody has. Fails: exhausted.
[[nodiscard]] Outcome<Slot> free_slot(const Tpm& tpm);

// Requires: an Owner.
[[nodiscard]] Done make_register(const Tpm& tpm, Slot slot);

// Zeros while nothing was extended since the TPM started. Fails: missing, unauthentic (an index of another kind).
[[nodiscard]] Outcome<Digest> register_value(const Tpm& tpm, Slot slot);
[[nodiscard]] Done extend_register(const Tpm& tpm, Slot slot, const Digest& measurement);

// What the register holds after these, in this order.
[[nodiscard]] Digest register_after(std::span<const Digest> measurements) noexcept;

// [TPM-13] Requires: an Owner. Defines and starts a counter that only `secret` reads and increments.
[[nodiscard]] Done make_counter(const Tpm& tpm, TPM2_HANDLE index, Bytes secret, ESYS_TR salt);

// Fails: missing (it was removed), forbidden (another home's).
[[nodiscard]] Outcome<std::uint64_t> counter_value(const Tpm& tpm, TPM2_HANDLE index, Bytes secret, ESYS_TR salt);
[[nodiscard]] Done increment_counter(const Tpm& tpm, TPM2_HANDLE index, Bytes secret, ESYS_TR salt);

} // namespace caisson::host::tpm
