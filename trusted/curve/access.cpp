#include "trusted/curve/access.hpp"

#include <algorithm>

namespace caisson::trusted::curve {
// [CURVE-61]
Status Access::accept(Bytes document) noexcept
{
    const auto list = TRY(protocol::verify_access_list(document, signer_));
    bool same = known_ && list.serial == serial_ && list.expires_ms == expires_ms_ && list.key_count() == count_;
    for (std::size_t index = 0; same && index < count_; ++index) {
        same = list.key(index) == keys_[index];
    }
    if (known_ && list.serial <= serial_ && !same) {
        return fail(Kind::conflict, "an access list that is not newer than the one in force");
    }
    known_ = true;
    serial_ = list.serial;
    expires_ms_ = list.expires_ms;
    count_ = list.key_count();
    for (std::size_t index = 0; index < count_; ++index) {
        keys_[index] = list.key(index);
    }
    return {};
}

bool Access::names(const CurveKey& peer) const noexcept
{
    return std::binary_search(keys_.begin(), keys_.begin() + static_cast<std::ptrdiff_t>(count_), peer);
}

} // namespace caisson::trusted::curve
