#include "trusted/curve/transients.hpp"

#include <utility>

namespace caisson::trusted::curve {

void Transients::make(Runtime& runtime) noexcept
{
    std::array<CurveSecretKey, made_at_once> secrets;
    std::array<PublicKeyJob, made_at_once> jobs;
    for (std::size_t index = 0; index < made_at_once; ++index) {
        auto& pair = pairs_[index];
        runtime.random(pair.seed.expose());
        secrets[index] = transient_of(pair.seed);
        jobs[index] = {&secrets[index], &pair.public_key};
    }
    make_public_keys(jobs);
    count_ = made_at_once;
}

Transients::Pair Transients::take(Runtime& runtime) noexcept
{
    if (count_ == 0) {
        make(runtime);
    }
    return std::exchange(pairs_[--count_], {}); // its seed is wiped where it was
}

void Transients::forget() noexcept
{
    for (auto& pair : pairs_) {
        pair = {};
    }
    count_ = 0;
}

} // namespace caisson::trusted::curve
