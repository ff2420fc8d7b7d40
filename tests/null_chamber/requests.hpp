// The requests of the null chamber.
#pragma once

#include <cstdint>

namespace caisson::tests::null_chamber {

enum class Request : std::uint32_t {
    echo = 1,
    seal = 2,
    unseal = 3,
    random = 4,
    report = 5,
    verify = 6,
    target = 7,
    keep = 8,
    fail_check = 9,
    fault = 10,
    hang = 11,
    system_call = 12,
    box = 13,        // a text -> its secretbox under a key of this start, by libsodium's code
    where_kept = 14, // -> the address, eight octets, of what `keep` was given
    seal_for_image = 15,
};

} // namespace caisson::tests::null_chamber
