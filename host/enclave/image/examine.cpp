#include "host/enclave/image/examine.hpp"

#include "host/enclave/image/sdk_elf.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/store/durable_file.hpp"

#include <sodium.h>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::PageType;
using protocol::sgx::Sigstruct;

Outcome<std::vector<std::uint8_t>> load(const std::filesystem::path& path)
{
    return store::load_file(path, image_file_bytes_max, store::Writers::anyone);
}

std::unexpected<Fault> in_file(const std::filesystem::path& path, const Fault& fault_there)
{
    return fault(fault_there.kind, path.string() + ": " + fault_there.what);
}

SignatureFacts signature_facts(const Sigstruct& sigstruct, const Digest* mrenclave)
{
    SignatureFacts facts{sigstruct, mrsigner_of(sigstruct), {}, false};
    if (const auto verified = verify_sigstruct(sigstruct); !verified) {
        facts.flaw = verified.error();
    }
    facts.names_image = mrenclave != nullptr && sigstruct.enclave_hash == *mrenclave;
    return facts;
}

// Takes the pages of a walk into an Examined.
class Collector {
  public:
    Collector(Examined& into, bool each_page)
        : into_(into)
        , each_page_(each_page)
    {
    }

    void operator()(const Page& page)
    {
        ++into_.page_count;
        into_.unmeasured_pages += page.measured_chunks != all_chunks ? 1 : 0;
        add_to_runs(page);
        if (each_page_) {
            auto& digest = into_.pages.emplace_back(PageDigest{page.offset, page.secinfo, page.measured_chunks, {}});
            ::crypto_hash_sha256(digest.content.data(), page.content.data(), page.content.size());
        }
        if (static_cast<PageType>(page.secinfo >> 8U) == PageType::PT_TCS) {
            auto& thread = into_.threads.emplace_back(ThreadEntry{page.offset, {}});
            std::memcpy(&thread.tcs, page.content.data(), sizeof thread.tcs);
        }
        if (page.offset == 0) {
            into_.note = protocol::read_image_note(page.content);
        }
    }

  private:
    void add_to_runs(const Page& page)
    {
        auto& runs = into_.runs;
        if (!runs.empty()) {
            auto& last = runs.back();
            if (last.secinfo == page.secinfo && last.measured_chunks == page.measured_chunks &&
                last.offset + last.page_count * protocol::sgx::page_bytes == page.offset) {
                ++last.page_count;
                return;
            }
        }
        runs.push_back({page.offset, 1, page.secinfo, page.measured_chunks});
    }

    Examined& into_;
    bool each_page_;
};

Outcome<Examined> examine_sgxs(Bytes bytes, const std::filesystem::path& signature, const ExamineOptions& options)
{
    Examined examined;
    const auto walked = TRY(walk_sgxs(bytes, Collector(examined, options.each_page)));
    examined.header = walked.header;
    examined.mrenclave = walked.mrenclave;
    if (signature.empty()) {
        return examined;
    }
    const auto sigstruct_bytes = TRY(load(signature));
    const auto sigstruct = read_sigstruct(sigstruct_bytes);
    if (!sigstruct) {
        return in_file(signature, sigstruct.error());
    }
    examined.signature = signature_facts(*sigstruct, &examined.mrenclave);
    return examined;
}

// [IMAGE-4] A file has up to three forms of metadata, for loaders of different age. All must come to one MRENCLAVE: a
// file whose forms differ would be one enclave here and another one there.
Outcome<Examined> examine_sdk_elf(Bytes bytes, const ExamineOptions& options)
{
    const auto file = TRY(SdkElf::open(bytes));
    Examined examined;
    examined.format = ImageFormat::sdk_elf;
    for (const auto& metadata : file.metadata()) {
        const bool first = examined.metadata_versions.empty();
        const auto walked =
            TRY(file.walk(metadata, first ? VisitPage(Collector(examined, options.each_page)) : VisitPage()));
        examined.metadata_versions.push_back(std::to_string(metadata.major) + "." + std::to_string(metadata.minor));
        if (first) {
            examined.header = walked.header;
            examined.mrenclave = walked.mrenclave;
            examined.signature = signature_facts(metadata.sigstruct, &examined.mrenclave);
        } else if (walked.mrenclave != examined.mrenclave) {
            return fault(Kind::unacceptable, "metadata " + examined.metadata_versions.front() + " and " +
                                                 examined.metadata_versions.back() +
                                                 " of this file are not the same enclave");
        }
    }
    return examined;
}

std::filesystem::path signature_of(const std::filesystem::path& image, const ExamineOptions& options)
{
    auto beside = image;
    beside.replace_extension(".sig");
    std::error_code error;
    if (!options.signature.empty()) {
        return options.signature;
    }
    return beside != image && std::filesystem::exists(beside, error) ? beside : std::filesystem::path();
}

} // namespace

Outcome<Examined> examine(const std::filesystem::path& image, const ExamineOptions& options)
{
    constexpr ByteArray<4> elf_magic{0x7f, 'E', 'L', 'F'};
    const auto bytes = TRY(load(image));
    const auto begins_with = [&bytes](Bytes magic) {
        return bytes.size() >= magic.size() && same_bytes(Bytes(bytes).first(magic.size()), magic);
    };
    if (bytes.size() == sizeof(Sigstruct)) {
        Examined examined;
        examined.format = ImageFormat::sigstruct;
        examined.signature = signature_facts(TRY(read_sigstruct(bytes)), nullptr);
        return examined;
    }
    if (!begins_with(elf_magic) && !begins_with(ecreate_tag)) {
        return fault(Kind::malformed, image.string() + ": no enclave: expected an SGXS stream, an ELF file signed with "
                                                       "Intel's SDK, or a SIGSTRUCT of 1808 bytes");
    }
    auto examined = begins_with(elf_magic) ? examine_sdk_elf(bytes, options)
                                           : examine_sgxs(bytes, signature_of(image, options), options);
    if (!examined && !examined.error().what.starts_with(image.string())) {
        return in_file(image, examined.error());
    }
    return examined;
}

} // namespace caisson::host::enclave::image
