// What codec and endpoint share of the end-to-end requests: their answers, typed.
#pragma once

#include "library/chamber.hpp"
#include "protocol/e2e.hpp"

namespace caisson::library {

using E2eId = protocol::e2e::Id;

struct InitiatedE2e {
    std::uint32_t session = 0; // 0: not admitted now
    CurveKey client;
    E2eId id;
    Buffer metadata;
};
Outcome<InitiatedE2e> process_initiate(Chamber& chamber, std::uint32_t key, Bytes packet);
// Its answer, and how large that may be.
Outcome<InitiatedE2e> read_initiated(Bytes answer);
[[nodiscard]] std::size_t initiated_bytes_max(Bytes packet) noexcept;

struct Letter {
    CurveKey sender;
    std::uint64_t number = 0;
    std::uint32_t flags = 0;
    Buffer text;
};
Outcome<Letter> process_letter(Chamber& chamber, std::uint32_t key, Bytes packet);

// [E2E-5] What INITIATE's metadata begin with.
Buffer own_property(protocol::e2e::Order order);

// The hint for a letter's number.
std::uint64_t clock_us();

class LongNumber {
  public:
    explicit LongNumber(std::uint64_t value) noexcept { std::memcpy(bytes_.data(), &value, sizeof value); }
    operator Bytes() const noexcept { return bytes_; } // NOLINT(google-explicit-constructor)

  private:
    ByteArray<sizeof(std::uint64_t)> bytes_{};
};

} // namespace caisson::library
