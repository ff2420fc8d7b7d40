// The record of a TPM root on disk, HOME/root/tpm.json: what to find in which TPM, and the sealed machine root. None of
// it is secret without the TPM; all of it is believed only as far as the TPM bears it out.
#pragma once

#include "host/tpm/sealed_secret.hpp"

namespace caisson::host::tpm {

struct RootRecord {
    std::string address;
    bool software = false; // as the TPM said of itself when the root was made; for screens
    std::vector<std::uint8_t> srk_name;
    std::vector<std::uint8_t> ak_name;
    std::uint32_t pcr_mask = 0;
    std::optional<Digest> register_value;
    std::vector<std::uint8_t> signer; // TPMT_PUBLIC; empty: sealed to PCRs as they are
    Digest approved{};                // zeros: nothing is approved yet
    std::vector<std::uint8_t> approval;
    SealedSecret release;
    SealedSecret recovery;  // the same root, for the owner
    std::uint32_t slot = 0; // the first of this home's indices in the TPM
};

[[nodiscard]] std::string record_text(const RootRecord& record);
// `where` names the file in errors. Fails: malformed.
[[nodiscard]] Outcome<RootRecord> read_record(std::string_view text, const std::string& where);

[[nodiscard]] std::filesystem::path root_folder(const std::filesystem::path& home);
[[nodiscard]] std::filesystem::path record_path(const std::filesystem::path& home);
[[nodiscard]] Outcome<RootRecord> load_record(const std::filesystem::path& home);
[[nodiscard]] Done store_record(const std::filesystem::path& home, const RootRecord& record);

// HOME/root/images.log: which images the register was extended by since the TPM started; written before the TPM is.
[[nodiscard]] Outcome<std::vector<Digest>> load_image_log(const std::filesystem::path& home);
[[nodiscard]] Done store_image_log(const std::filesystem::path& home, std::span<const Digest> images);

} // namespace caisson::host::tpm
