#include "host/text.hpp"

#include "core/text.hpp"

#include <chrono>

namespace caisson::host {

std::string hex(Bytes bytes)
{
    std::string text(2 * bytes.size(), '\0');
    write_hex(text, bytes);
    return text;
}

std::string z85(Bytes bytes)
{
    std::string text(bytes.size() / 4 * 5, '\0');
    write_z85(text, bytes);
    return text;
}

std::uint64_t unix_ms()
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

} // namespace caisson::host
