// The two workloads of the EnclaveZMQ paper (key pairs made, 64-octet messages encrypted), through the ring of a curve
// chamber on the platform `process`, and by libsodium in this process: by turns, medians.
#pragma once

#include "host/fault.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace caisson::services::bench {

struct PaperEffort {
    int rounds = 31;
    std::chrono::milliseconds slot{40}; // of each side in a round
};
inline constexpr PaperEffort quick_effort{11, std::chrono::milliseconds(20)};
inline constexpr PaperEffort smoke_effort{2, std::chrono::milliseconds(2)};

struct PaperCase {
    std::string name;
    double ours = 0; // per second
    double peer = 0;
    double bar = 0; // what `times` should reach; 0: none

    [[nodiscard]] double times() const { return ours / peer; }
};

// Cases: `keys`, 64 requests of a pair each to a flight; `seal64`, messages of one session 64 to a request; and
// `seal64/requests`, the same with a request for each. Three flights are on the way. What the chamber gave is looked
// into afterwards: keys are used through their handles, messages are opened again. `images`: as EnclaveOptions::images.
// Fails: as Enclave::open; unavailable (the chamber ended), unauthentic (what it gave is not what was asked for).
[[nodiscard]] host::Outcome<std::vector<PaperCase>> measure_paper(const PaperEffort& effort,
                                                                  const std::filesystem::path& images = {});

[[nodiscard]] std::string paper_text(const std::vector<PaperCase>& cases);
[[nodiscard]] std::string paper_json(const std::vector<PaperCase>& cases);

} // namespace caisson::services::bench
