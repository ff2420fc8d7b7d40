#include "cli/verb.hpp"

#include <cstdio>

namespace caisson::cli {

int exit_code(Kind kind) noexcept
{
    switch (kind) {
    case Kind::truncated:
    case Kind::malformed:
    case Kind::unauthentic:
    case Kind::unacceptable: return exit_data;
    case Kind::missing: return exit_no_input;
    case Kind::forbidden: return exit_no_permission;
    case Kind::conflict: return exit_cannot_create;
    case Kind::unavailable: return exit_unavailable;
    case Kind::expired:
    case Kind::exhausted: return exit_try_later;
    }
    return exit_software;
}

int report(const host::Fault& fault)
{
    std::string line = "caisson: ";
    for (const char letter : fault.what) {
        const bool is_control = static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f;
        line += is_control ? '?' : letter;
    }
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
    return exit_code(fault.kind);
}

int print_text(std::string_view text)
{
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    return written && std::fflush(stdout) == 0 ? exit_ok : exit_io;
}

int print_json(std::string_view text)
{
    return print_text(std::string(text) + '\n');
}

} // namespace caisson::cli
