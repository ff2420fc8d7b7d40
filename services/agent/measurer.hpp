// Measurer: reads for the witness what it asks for, until the round is over. It decides nothing.
#pragma once

#include "host/enclave/witness_chamber.hpp"

#include <atomic>
#include <vector>

namespace caisson::services::agent {

struct MeasuredRound {
    std::vector<std::uint8_t> sealed_result;
    std::uint32_t measured = 0; // things looked at
    std::uint32_t failed = 0;   // of them unreadable
};

class Measurer {
  public:
    // `proc` is where facts are read; another folder in tests. Requires: `witness` and `stop` outlive it.
    Measurer(host::enclave::WitnessChamber& witness, const std::atomic<bool>& stop, std::string proc = "/proc")
        : witness_(witness)
        , stop_(stop)
        , proc_(std::move(proc))
        , buffer_(airlock::witness::chunk_bytes_max)
    {
    }

    // One whole round. Fails: what the chamber says of the policy; unavailable (told to stop, the chamber ended).
    host::Outcome<MeasuredRound> measure(Bytes sealed_policy, const protocol::Exporter& exporter);

  private:
    host::Done serve(const host::enclave::WantedMeasurement& wanted);
    host::Done list(const std::string& tree);
    host::Done content(const std::string& path);
    host::Done fact(const std::string& name);
    host::Done link(const std::string& path);
    host::Done feed(int file, std::uint32_t mode, std::uint64_t bytes_max);
    host::Done refuse(int error);
    [[nodiscard]] std::string tree_of(const std::string& path) const;

    host::enclave::WitnessChamber& witness_;
    const std::atomic<bool>& stop_;
    std::string proc_;
    std::vector<std::uint8_t> buffer_;
    std::vector<std::string> trees_; // of this round
    std::uint32_t failed_ = 0;
};

} // namespace caisson::services::agent
