// caisson-enclave-build: the build's own tool. Turns a linked chamber into NAME.sgxs and NAME.sig.
//   caisson-enclave-build ELF KEY.pem OUT PRODUCT SVN       (the key is made if it is not there)
#include "airlock/limits.hpp"
#include "core/text.hpp"
#include "host/enclave/image/builder.hpp"
#include "host/enclave/image/sigstruct.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace caisson::host::enclave::image {
namespace {

Done store(const std::string& path, Bytes bytes)
{
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
        return fault(Kind::unavailable, "writing " + path);
    }
    return {};
}

Outcome<Signer> open_or_create(const std::filesystem::path& path)
{
    auto signer = Signer::open(path);
    if (!signer && signer.error().kind == Kind::missing) {
        std::fprintf(stderr, "making a development signing key: %s\n", path.c_str());
        signer = Signer::create(path);
        if (!signer && signer.error().kind == Kind::conflict) { // another image of the same build was faster
            return Signer::open(path);
        }
    }
    return signer;
}

Done build(char** arguments)
{
    std::ifstream file(arguments[1], std::ios::binary);
    const std::vector<std::uint8_t> elf{std::istreambuf_iterator<char>(file), {}};
    Layout layout;
    layout.range_bytes = airlock::image_range_bytes;
    const auto image = TRY(build_image(elf, layout));
    const auto signer = TRY(open_or_create(arguments[2]));
    Identity identity;
    identity.product = static_cast<std::uint16_t>(std::strtoul(arguments[4], nullptr, 10));
    identity.svn = static_cast<std::uint16_t>(std::strtoul(arguments[5], nullptr, 10));
    const auto mrenclave = measurement_of(image);
    const auto sigstruct = TRY(signer.sign(mrenclave, identity));
    const std::string out = arguments[3];
    TRY(store(out + ".sgxs", image));
    TRY(store(out + ".sig", {reinterpret_cast<const std::uint8_t*>(&sigstruct), sizeof sigstruct}));
    std::array<char, 2 * sizeof(Digest)> text{};
    write_hex(text, mrenclave);
    std::printf("%.*s  %s.sgxs (%zu KiB)\n", static_cast<int>(text.size()), text.data(), out.c_str(),
                image.size() / 1024);
    return {};
}

} // namespace
} // namespace caisson::host::enclave::image

int main(int count, char** arguments)
{
    if (count != 6) {
        std::fprintf(stderr, "usage: caisson-enclave-build ELF KEY.pem OUT PRODUCT SVN\n");
        return 64;
    }
    const auto done = caisson::host::enclave::image::build(arguments);
    if (!done) {
        std::fprintf(stderr, "caisson-enclave-build: %s\n", done.error().what.c_str());
        return 70;
    }
    return 0;
}
