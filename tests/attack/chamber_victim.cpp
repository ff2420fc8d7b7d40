// The null chamber on the platform `process`, with a key inside. usage: chamber_victim IMAGES HOME KEY_HEX
// [MISSING_STEP]; prints "PID ADDRESS" of the chamber and waits for the end of its input. Says "failed: REASON" when it
// does not start.
#include "host/enclave/enclave.hpp"
#include "host/enclave/root.hpp"
#include "tests/null_chamber/requests.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace caisson;
using host::enclave::Enclave;
using tests::null_chamber::Request;

std::vector<std::uint8_t> bytes_of_hex(const std::string& text)
{
    std::vector<std::uint8_t> bytes;
    for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
        bytes.push_back(static_cast<std::uint8_t>(std::strtoul(text.substr(at, 2).c_str(), nullptr, 16)));
    }
    return bytes;
}

host::Outcome<std::unique_ptr<Enclave>> open(const char* images, const std::string& home, const char* missing)
{
    const auto root = TRY(host::enclave::Root::open_file(home + "/root.key"));
    host::enclave::EnclaveOptions options;
    options.chamber = host::enclave::ChamberKind::null;
    options.images = images;
    options.missing_step = missing;
    options.missing_error = ENOSYS;
    return Enclave::open(options, root);
}

} // namespace

int main(int count, char** arguments)
{
    if (count != 4 && count != 5) {
        return 64;
    }
    const auto opened = open(arguments[1], arguments[2], count == 5 ? arguments[4] : "");
    if (!opened) {
        std::printf("failed: %s\n", opened.error().what.c_str());
        return 69;
    }
    auto& enclave = **opened;
    auto key = bytes_of_hex(arguments[3]);
    std::uint64_t address = 0;
    const bool kept = enclave.call(static_cast<std::uint32_t>(Request::keep), key, {}).has_value();
    const auto told = enclave.call(static_cast<std::uint32_t>(Request::where_kept), {},
                                   {reinterpret_cast<std::uint8_t*>(&address), sizeof address});
    wipe(key);
    if (!kept || !told) {
        return 70;
    }
    std::printf("%d %lx\n", enclave.facts().pid, static_cast<unsigned long>(address));
    std::fflush(stdout);
    char byte = 0;
    while (::read(0, &byte, 1) > 0) {
    }
    return 0;
}
