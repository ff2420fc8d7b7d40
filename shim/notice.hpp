// What the shim tells the people who run the program: one line on stderr, each kind once in a process.
#pragma once

#include <cstdint>

namespace caisson::shim {

enum class Notice : std::uint8_t { no_chamber, unknown_secret, too_large, refused };

void notice_once(Notice notice) noexcept;

} // namespace caisson::shim
