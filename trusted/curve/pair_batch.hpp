// Key pairs that a group of requests asks for: their secrets are drawn together, and their public keys made together.
#pragma once

#include "airlock/table.hpp"
#include "trusted/curve/shim_keys.hpp"
#include "trusted/runtime/chamber.hpp"

namespace caisson::trusted::curve {

class PairBatch {
  public:
    // Requires: at most group_requests_max of them before the next `run`, each with room for a public key and a handle.
    void add(airlock::Exchange& exchange, bool lasting) noexcept;
    void run(ShimKeys& keys) noexcept;

  private:
    std::array<airlock::Exchange*, group_requests_max> exchanges_{};
    std::array<NewPair, group_requests_max> pairs_;
    std::size_t count_ = 0;
};

} // namespace caisson::trusted::curve
