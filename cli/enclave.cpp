#include "cli/enclave_text.hpp"
#include "cli/json.hpp"
#include "cli/verb.hpp"
#include "core/text.hpp"
#include "host/enclave/image/builder.hpp"
#include "host/enclave/image/examine.hpp"
#include "host/store/durable_file.hpp"

#include <memory>

namespace caisson::cli {
namespace {

using host::Outcome;
using host::enclave::image::Examined;
using host::enclave::image::ImageFormat;
using host::store::Existing;

constexpr std::uint64_t kib = 1024;

std::string hex_of(const Digest& digest)
{
    std::string text(2 * digest.size(), '\0');
    write_hex(text, digest);
    return text;
}

struct BuildWish {
    std::filesystem::path elf;
    std::filesystem::path output;
    std::uint64_t range_kib = host::enclave::image::Layout().range_bytes / kib;
    std::uint64_t stack_pages = host::enclave::image::Layout().stack_pages;
};

Outcome<std::vector<std::uint8_t>> built(const BuildWish& wish)
{
    const auto elf =
        TRY(host::store::load_file(wish.elf, host::enclave::image::image_file_bytes_max, host::store::Writers::anyone));
    host::enclave::image::Layout layout;
    layout.range_bytes = wish.range_kib * kib;
    layout.stack_pages = static_cast<std::uint32_t>(wish.stack_pages);
    auto image = host::enclave::image::build_image(elf, layout);
    if (!image) {
        return host::fault(image.error().kind, "enclave build: " + wish.elf.string() + ": " + image.error().what);
    }
    TRY(host::store::store_file(wish.output, *image, 0644, Existing::replace));
    return image;
}

int build(const BuildWish& wish, const Globals& globals)
{
    const auto image = built(wish);
    if (!image) {
        return report(image.error());
    }
    const auto mrenclave = hex_of(host::enclave::image::measurement_of(*image));
    if (!globals.json) {
        return print_text(mrenclave + "  " + wish.output.string() + "\n"); // as sha256sum does: it is the same number
    }
    JsonWriter json;
    json.begin_object().name("image").text(wish.output.string()).name("mrenclave").text(mrenclave);
    json.name("bytes").number(image->size()).end_object();
    return print_json(json.str());
}

struct SignWish {
    std::filesystem::path image;
    std::filesystem::path key;
    std::filesystem::path output;
    std::uint64_t product = 0;
    std::uint64_t svn = 0;
    bool debug = false;
};

Outcome<Examined> signed_by(const SignWish& wish)
{
    auto output = wish.output;
    if (output.empty()) {
        output = wish.image;
        output.replace_extension(".sig");
    }
    auto examined = TRY(host::enclave::image::examine(wish.image, {}));
    if (examined.format != ImageFormat::sgxs || output == wish.image) {
        return host::fault(Kind::malformed, "enclave sign: " + wish.image.string() +
                                                ": an SGXS stream is expected, as \"caisson enclave build\" makes");
    }
    if (examined.unmeasured_pages != 0 || // [IMAGE-6]
        examined.page_count == 0) {
        return host::fault(Kind::unacceptable, "enclave sign: " + wish.image.string() + ": " +
                                                   std::to_string(examined.unmeasured_pages) + " of " +
                                                   std::to_string(examined.page_count) +
                                                   " pages are not measured whole; whoever loads it could put anything "
                                                   "there, so it is not signed");
    }
    host::enclave::image::Identity identity;
    identity.product = static_cast<std::uint16_t>(wish.product);
    identity.svn = static_cast<std::uint16_t>(wish.svn);
    identity.debug = wish.debug;
    const auto signer = TRY(host::enclave::image::Signer::open(wish.key));
    const auto sigstruct = TRY(signer.sign(examined.mrenclave, identity));
    TRY(host::store::store_file(output, {reinterpret_cast<const std::uint8_t*>(&sigstruct), sizeof sigstruct}, 0644,
                                Existing::replace));
    host::enclave::image::ExamineOptions options;
    options.signature = output;
    return host::enclave::image::examine(wish.image, options); // what was written, read again
}

int print_examined(const Examined& examined, EnclaveDetail detail, const Globals& globals)
{
    return globals.json ? print_json(enclave_json(examined, detail)) : print_text(enclave_text(examined, detail));
}

int sign(const SignWish& wish, const Globals& globals)
{
    const auto examined = signed_by(wish);
    return examined ? print_examined(*examined, EnclaveDetail::identity, globals) : report(examined.error());
}

struct ExamineWish {
    std::filesystem::path image;
    std::filesystem::path signature;
    bool each_page = false;
};

int examine(const ExamineWish& wish, EnclaveDetail detail, const Globals& globals)
{
    host::enclave::image::ExamineOptions options;
    options.signature = wish.signature;
    options.each_page = wish.each_page;
    const auto examined = host::enclave::image::examine(wish.image, options);
    if (!examined) {
        return report(examined.error());
    }
    const int printed = print_examined(*examined, detail, globals);
    if (printed != exit_ok || detail == EnclaveDetail::layout || !examined->signature) {
        return printed;
    }
    const bool good = examined->format == ImageFormat::sigstruct ? !examined->signature->flaw : examined->is_signed();
    return good ? exit_ok : exit_data;
}

void add_build(Command& enclave, const Globals& globals)
{
    const auto wish = std::make_shared<BuildWish>();
    auto& command = enclave.command("build", "makes an enclave image of a linked chamber");
    command.describe("Takes a static, position-independent ELF file that was linked with trusted/runtime, and lays its "
                     "pages out as an SGXS stream, every page measured: \"sha256sum IMAGE\" prints its MRENCLAVE.");
    command.argument("ELF", wish->elf, "the linked chamber");
    command.option("--output", "IMAGE", wish->output, "the image to write (NAME.sgxs)", Need::required);
    command.number("--range", "KIB", wish->range_kib, 8, host::enclave::image::enclave_bytes_max / kib,
                   "address range, a power of two (default 16384, which trusted/runtime is built for)");
    command.number("--stack", "PAGES", wish->stack_pages, 1, 1024, "pages of its stack (default 64)");
    command.example("caisson enclave build mine.elf --output mine.sgxs", "prints MRENCLAVE and the file, as sha256sum");
    command.action([wish, &globals] { return build(*wish, globals); });
}

void add_sign(Command& enclave, const Globals& globals)
{
    const auto wish = std::make_shared<SignWish>();
    auto& command = enclave.command("sign", "signs an image with a key of yours");
    command.describe("The key is RSA with 3072 bits and exponent 3, as SGX wants it. One is made by\n"
                     "  openssl genrsa -3 -out signer.pem 3072\n"
                     "What a chamber seals for its signer opens in every later SVN of the same product and signer, "
                     "never in a lower one: raise the SVN when a fault was mended.");
    command.argument("IMAGE", wish->image, "the SGXS stream");
    command.option("--key", "PEM", wish->key, "the signing key", Need::required);
    command.number("--product", "N", wish->product, 0, 65535, "product id (ISVPRODID)", Need::required);
    command.number("--svn", "N", wish->svn, 0, 65535, "security version (ISVSVN)", Need::required);
    command.flag("--debug", wish->debug, "let the host read and change the enclave; never for secrets");
    command.option("--output", "FILE", wish->output, "the SIGSTRUCT to write (default: IMAGE with the ending .sig)");
    command.example("caisson enclave sign mine.sgxs --key signer.pem --product 7 --svn 1", "writes mine.sig");
    command.action([wish, &globals] { return sign(*wish, globals); });
}

void add_examine(Command& enclave, const Globals& globals, EnclaveDetail detail)
{
    const bool layout = detail == EnclaveDetail::layout;
    const auto wish = std::make_shared<ExamineWish>();
    auto& command = layout ? enclave.command("inspect", "shows an image page by page, and its signature")
                           : enclave.command("measure", "recomputes MRENCLAVE and checks the signature");
    command.describe("Reads SGXS streams, enclaves that were signed with Intel's SDK (metadata 1.x and 2.x), and "
                     "SIGSTRUCTs alone. Nothing in the file is believed: MRENCLAVE is computed anew, and the signature "
                     "is checked as the CPU does it.");
    command.argument("IMAGE", wish->image, "the file");
    command.option("--signature", "FILE", wish->signature,
                   "the SIGSTRUCT of an SGXS stream (default: the file beside it with the ending .sig)");
    if (layout) {
        command.flag("--pages", wish->each_page, "list every page with the SHA-256 of its content");
        command.example("caisson enclave inspect mine.sgxs", "shows its pages, threads, attributes and XFRM");
    } else {
        command.example("caisson enclave measure enclave.signed.so", "exit code 65 if its signature is not good");
    }
    command.action([wish, &globals, detail] { return examine(*wish, detail, globals); });
}

} // namespace

void add_enclave(Command& root, const Globals& globals)
{
    auto& enclave = root.command("enclave", "builds, signs and examines enclave images");
    enclave.describe("A chamber is an image in SGX's own format. The images that caisson came with are shown by "
                     "\"caisson version\"; here are the tools for your own, and for looking at those of others.");
    add_build(enclave, globals);
    add_sign(enclave, globals);
    add_examine(enclave, globals, EnclaveDetail::identity);
    add_examine(enclave, globals, EnclaveDetail::layout);
}

} // namespace caisson::cli
