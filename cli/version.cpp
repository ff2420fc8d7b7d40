#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "core/text.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/store/durable_file.hpp"

#include <sodium.h>

#include <array>

namespace caisson::cli {
namespace {

using host::Outcome;
using host::enclave::ChamberKind;
using host::enclave::hardening_text;
using host::enclave::platform_meaning;
using host::enclave::platform_name;
using host::enclave::root_meaning;
using host::enclave::root_name;
using protocol::ImageHardening;
using protocol::sgx::Sigstruct;

constexpr std::size_t image_bytes_max = std::size_t{64} << 20U;
constexpr std::array chambers{ChamberKind::curve, ChamberKind::witness};

struct ImageFacts {
    std::string name;
    std::string mrenclave;
    std::string mrsigner;
    unsigned product = 0;
    unsigned svn = 0;
    bool debug = false;
    bool signature_names_image = false;
    protocol::ImageNote note;
};

std::string sha256_hex(Bytes bytes)
{
    Digest digest;
    ::crypto_hash_sha256(digest.data(), bytes.data(), bytes.size());
    std::string text(2 * digest.size(), '\0');
    write_hex(text, digest);
    return text;
}

Outcome<std::vector<std::uint8_t>> load_program_file(const std::filesystem::path& path)
{
    auto content = host::store::load_file(path, image_bytes_max, host::store::Writers::anyone);
    if (!content && content.error().kind == Kind::missing) {
        return host::fault(Kind::missing, "version: " + path.string() +
                                              ": no such file; install caisson again, or set CAISSON_IMAGES to the "
                                              "folder of its images");
    }
    return content;
}

Outcome<ImageFacts> facts_of(const std::filesystem::path& folder, ChamberKind chamber)
{
    const std::string name = host::enclave::chamber_name(chamber);
    const auto image = TRY(load_program_file(folder / (name + ".sgxs")));
    const auto signature_path = folder / (name + ".sig");
    const auto signature = TRY(load_program_file(signature_path));
    if (signature.size() != sizeof(Sigstruct)) {
        return host::fault(Kind::malformed, "version: " + signature_path.string() + ": not a SIGSTRUCT of " +
                                                std::to_string(sizeof(Sigstruct)) + " bytes; install caisson again");
    }
    Sigstruct sigstruct;
    std::memcpy(&sigstruct, signature.data(), sizeof sigstruct);
    std::string named(2 * sigstruct.enclave_hash.size(), '\0');
    write_hex(named, sigstruct.enclave_hash);
    // An SGXS file is the very stream that is measured: its SHA-256 is MRENCLAVE.
    auto mrenclave = sha256_hex(image);
    const bool same = mrenclave == named;
    return ImageFacts{name,
                      std::move(mrenclave),
                      sha256_hex(sigstruct.modulus),
                      sigstruct.isv_prod_id,
                      sigstruct.isv_svn,
                      (sigstruct.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0,
                      same,
                      host::enclave::image::note_of(image).value_or(protocol::ImageNote())};
}

// [IMAGE-5]
std::string json_of(const std::vector<ImageFacts>& images, const std::string& loader, protocol::sgx::RootKind root)
{
    using protocol::sgx::Platform;
    JsonWriter json;
    json.begin_object().name("version").text(CAISSON_VERSION);
    json.name("platform").text(platform_name(Platform::process));
    json.name("root").text(root_name(root)).name("hardware_trust").boolean(false);
    json.name("images").begin_array();
    for (const auto& image : images) {
        json.begin_object().name("name").text(image.name).name("mrenclave").text(image.mrenclave);
        json.name("mrsigner").text(image.mrsigner).name("product").number(image.product);
        json.name("svn")
            .number(image.svn)
            .name("debug")
            .boolean(image.debug)
            .name("signature_names_image")
            .boolean(image.signature_names_image);
        json.name("hardening").begin_object().name("lfence").boolean(image.note.has(ImageHardening::lfence));
        json.name("verw").boolean(image.note.has(ImageHardening::verw)).end_object();
        json.end_object();
    }
    json.end_array().name("loader_sha256").text(loader).end_object();
    return json.str();
}

std::string text_for_people(const std::vector<ImageFacts>& images, const std::string& loader,
                            protocol::sgx::RootKind root)
{
    using protocol::sgx::Platform;
    std::string text = "caisson " CAISSON_VERSION "\n";
    text += std::string("platform  ") + platform_name(Platform::process) + ": " + platform_meaning(Platform::process);
    text += std::string("\nroot      ") + root_name(root) + ": " + root_meaning(root) + "\n";
    for (const auto& image : images) {
        text += "chamber   " + image.name + ", product " + std::to_string(image.product) + ", SVN " +
                std::to_string(image.svn) + (image.debug ? ", DEBUG: the host can read it\n" : "\n");
        text += "  MRENCLAVE " + image.mrenclave + "\n  MRSIGNER  " + image.mrsigner + "\n";
        text += "  hardening " + hardening_text(image.note) + "\n";
        text += image.signature_names_image ? "" : "  its signature is for another image: it will not start\n";
    }
    return text + "loader    SHA-256 " + loader + "\n";
}

int show_version(const Globals& globals)
{
    const auto folder = host::enclave::find_images();
    std::vector<ImageFacts> images;
    for (const auto chamber : chambers) {
        auto facts = facts_of(folder, chamber);
        if (!facts) {
            return report(facts.error());
        }
        images.push_back(std::move(*facts));
    }
    const auto loader = load_program_file(folder / "caisson-loader");
    if (!loader) {
        return report(loader.error());
    }
    const auto digest = sha256_hex(*loader);
    const auto root = host::enclave::Root::kind_of(globals.home);
    if (!root) {
        return report(root.error());
    }
    return globals.json ? print_json(json_of(images, digest, *root))
                        : print_text(text_for_people(images, digest, *root));
}

} // namespace

void add_version(Command& root, const Globals& globals)
{
    auto& version = root.command("version", "shows the version, and what its chambers are");
    version.describe(
        "A chamber is known by its MRENCLAVE: the SHA-256 of its image. \"sha256sum curve.sgxs\" prints the "
        "same. MRSIGNER is that of the key that signed it.");
    version.action([&globals] { return show_version(globals); });
}

} // namespace caisson::cli
