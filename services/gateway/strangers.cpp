#include "services/gateway/strangers.hpp"

#include "services/gateway/link.hpp"

#include <algorithm>

namespace caisson::services::gateway {

Strangers::Strangers(const Loop& main, const Loop& own)
    : main_(main)
    , own_(own)
{
    main_.watch(own_.descriptor(), *this, wish_, true, false);
}

// Once is enough: `main` shall sleep for its own while strangers wait for their turn.
void Strangers::on_ready(bool /*readable*/, bool /*writable*/)
{
    knocks_ = true;
    main_.watch(own_.descriptor(), *this, wish_, false, false);
}

std::vector<Link*> Strangers::take(Clock::time_point now)
{
    const bool beside = beside_sessions(now);
    if (beside && now < next_) {
        return {};
    }
    const auto share = beside ? steps_beside_sessions : steps_alone;
    began_ = now;
    room_ = share;
    if (knocks_ && awake_.size() < share) {
        const auto most = share - awake_.size();
        if (own_.wait(std::chrono::microseconds(0), most) < most) {
            knocks_ = false;
            main_.watch(own_.descriptor(), *this, wish_, true, false);
        }
    }
    room_ = 0;
    const auto end = awake_.begin() + static_cast<std::ptrdiff_t>(std::min(share, awake_.size()));
    std::vector<Link*> taken(awake_.begin(), end);
    awake_.erase(awake_.begin(), end);
    return taken;
}

std::chrono::microseconds Strangers::due(Clock::time_point now, std::chrono::microseconds longest) const
{
    if (!knocks_ && awake_.empty()) {
        return longest;
    }
    const bool rests = beside_sessions(now) && now < next_;
    return rests ? std::chrono::ceil<std::chrono::microseconds>(next_ - now) : std::chrono::microseconds(0);
}

void Strangers::rest(Clock::time_point now) noexcept
{
    next_ = now + std::min<Clock::duration>((now - began_) * rest_times, rest_max);
}

bool Strangers::take_in() noexcept
{
    if (room_ == 0) {
        return false;
    }
    --room_;
    return true;
}

void Strangers::forget_ended()
{
    std::erase_if(awake_, [](const Link* link) { return link->ended(); });
}

} // namespace caisson::services::gateway
