// The cookies of a server that keeps nothing between WELCOME and INITIATE: sealed with a key of two generations, and
// good once. A cookie used twice would make the same session key with its counters back at the start.
#pragma once

#include "core/inplace_vector.hpp"
#include "trusted/curve/boxes.hpp"

namespace caisson::trusted::curve {

inline constexpr std::size_t cookies_per_generation = 2048;

using Cookie = ByteArray<protocol::curve::cookie_bytes>;

// What s' is made of: so there is room beside it in the cookie for HELLO's counter.
struct TransientSeedTag;
using TransientSeed = Secret<24, TransientSeedTag>;
[[nodiscard]] CurveSecretKey transient_of(const TransientSeed& seed) noexcept;

class Cookies {
  public:
    // A cookie for the client's transient key, its HELLO's counter, and our own transient key.
    [[nodiscard]] Cookie make(Runtime& runtime, const CurveKey& client_transient, std::uint64_t hello_counter,
                              const TransientSeed& seed) noexcept;

    struct Opened {
        CurveKey client_transient;
        std::uint64_t hello_counter = 0;
        CurveSecretKey own_transient;
    };
    // Opens the cookie and marks it used, whatever follows. Fails: unauthentic (altered, too old), expired (used).
    [[nodiscard]] Result<Opened> take(Runtime& runtime, const Cookie& cookie) noexcept;

    // Cookies made so far open nowhere.
    void forget() noexcept;

  private:
    // The first half of a client's transient key: who copies another's only shuts himself out.
    using Mark = ByteArray<16>;

    struct Generation {
        SharedKey key;
        InplaceVector<Mark, cookies_per_generation> used;
        bool live = false;
    };

    void renew_if_due(Runtime& runtime) noexcept;

    std::array<Generation, 2> generations_;
    std::size_t current_ = 0;
    std::uint64_t current_since_ticks_ = 0;
};

} // namespace caisson::trusted::curve
