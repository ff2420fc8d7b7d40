#include "cli/enclave_text.hpp"

#include "cli/json.hpp"
#include "core/text.hpp"
#include "host/enclave/platform_text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>

namespace caisson::cli {
namespace {

using host::enclave::hardening_text;
using host::enclave::image::all_chunks;
using host::enclave::image::Examined;
using host::enclave::image::ImageFormat;
using host::enclave::image::PageDigest;
using host::enclave::image::PageRun;
using host::enclave::image::SignatureFacts;
using host::enclave::image::ThreadEntry;
using protocol::ImageHardening;
using protocol::sgx::PageType;
using protocol::sgx::Sigstruct;

std::string hex_of(Bytes bytes)
{
    std::string text(2 * bytes.size(), '\0');
    write_hex(text, bytes);
    return text;
}

std::string hex_number(std::uint64_t number)
{
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
    return text.data();
}

const char* format_name(ImageFormat format)
{
    switch (format) {
    case ImageFormat::sgxs: return "sgxs";
    case ImageFormat::sdk_elf: return "sdk-elf";
    case ImageFormat::sigstruct: return "sigstruct";
    }
    return "unknown";
}

const char* page_type_name(std::uint64_t secinfo)
{
    switch (static_cast<PageType>(secinfo >> 8U)) {
    case PageType::PT_SECS: return "SECS";
    case PageType::PT_TCS: return "TCS";
    case PageType::PT_REG: return "REG";
    case PageType::PT_VA: return "VA";
    case PageType::PT_TRIM: return "TRIM";
    }
    return "?";
}

std::string permissions_text(std::uint64_t secinfo)
{
    std::string text = "---";
    text[0] = (secinfo & protocol::sgx::SECINFO_R) != 0 ? 'r' : '-';
    text[1] = (secinfo & protocol::sgx::SECINFO_W) != 0 ? 'w' : '-';
    text[2] = (secinfo & protocol::sgx::SECINFO_X) != 0 ? 'x' : '-';
    return text;
}

std::string measured_text(std::uint16_t chunks)
{
    if (chunks == all_chunks) {
        return "measured";
    }
    return chunks == 0 ? "NOT MEASURED" : std::to_string(std::popcount(chunks)) + " of 16 chunks measured";
}

struct NamedBit {
    std::uint64_t bit;
    const char* name;
};
constexpr std::array flag_names{NamedBit{1, "INIT"},
                                NamedBit{2, "DEBUG"},
                                NamedBit{4, "MODE64BIT"},
                                NamedBit{0x10, "PROVISIONKEY"},
                                NamedBit{0x20, "EINITTOKENKEY"},
                                NamedBit{0x40, "CET"},
                                NamedBit{0x80, "KSS"},
                                NamedBit{0x400, "AEXNOTIFY"}};
constexpr std::array xfrm_names{NamedBit{1, "x87"},       NamedBit{2, "SSE"},           NamedBit{4, "AVX"},
                                NamedBit{0x20, "opmask"}, NamedBit{0x40, "ZMM_Hi256"},  NamedBit{0x80, "Hi16_ZMM"},
                                NamedBit{0x200, "PKRU"},  NamedBit{0x20000, "TILECFG"}, NamedBit{0x40000, "TILEDATA"}};

std::string bit_names(std::uint64_t bits, std::span<const NamedBit> names)
{
    std::string text = hex_number(bits);
    for (const auto& [bit, name] : names) {
        text += (bits & bit) != 0 ? std::string(" ") + name : "";
    }
    return text;
}

// Names come from strangers' files.
std::string date_text(std::uint32_t date)
{
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%04x-%02x-%02x", date >> 16U, (date >> 8U) & 0xffU, date & 0xffU);
    return text.data();
}

std::string signature_verdict(const Examined& examined)
{
    const auto& signature = *examined.signature;
    if (signature.flaw) {
        return std::string("BAD: ") + signature.flaw->what;
    }
    if (examined.format == ImageFormat::sigstruct) {
        return "good, over MRENCLAVE " + hex_of(signature.sigstruct.enclave_hash);
    }
    return signature.names_image ? "good, over this image"
                                 : "FOR ANOTHER IMAGE: MRENCLAVE " + hex_of(signature.sigstruct.enclave_hash);
}

std::string identity_text(const Examined& examined)
{
    std::string text = std::string("format      ") + format_name(examined.format);
    for (const auto& version : examined.metadata_versions) {
        text += (version == examined.metadata_versions.front() ? ", metadata " : ", ") + version;
    }
    text += '\n';
    if (examined.format != ImageFormat::sigstruct) {
        text += "MRENCLAVE   " + hex_of(examined.mrenclave) + "\n";
        text += "pages       " + std::to_string(examined.page_count) + ", " +
                (examined.unmeasured_pages == 0 ? "all of them measured whole"
                                                : std::to_string(examined.unmeasured_pages) + " NOT MEASURED WHOLE") +
                "\n";
    }
    if (!examined.signature) {
        return text + "signature   none\n";
    }
    const auto& [sigstruct, mrsigner, flaw, names_image] = *examined.signature;
    text += "signature   " + signature_verdict(examined) + "\n";
    text += "MRSIGNER    " + hex_of(mrsigner) + "\n";
    text += "product     " + std::to_string(sigstruct.isv_prod_id) + "\nSVN         " +
            std::to_string(sigstruct.isv_svn) + "\n";
    const bool debug = (sigstruct.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0;
    return text + "debug       " + (debug ? "YES: the host may read and change it\n" : "no\n");
}

std::string sigstruct_text(const Sigstruct& sigstruct)
{
    std::string text = "\nSIGSTRUCT\n";
    text += "  date            " + date_text(sigstruct.date) + "\n";
    text += "  vendor          " + hex_number(sigstruct.vendor) + "\n";
    text += "  software        " + hex_number(sigstruct.swdefined) + "\n";
    text += "  exponent        " + std::to_string(sigstruct.exponent) + "\n";
    text += "  attributes      " + bit_names(sigstruct.attributes.flags, flag_names) + "\n";
    text += "  attributes mask " + hex_number(sigstruct.attribute_mask.flags) + "\n";
    text += "  XFRM            " + bit_names(sigstruct.attributes.xfrm, xfrm_names) + "\n";
    text += "  XFRM mask       " + bit_names(sigstruct.attribute_mask.xfrm, xfrm_names) +
            " (state outside the mask is the machine's choice)\n";
    text += "  MISCSELECT      " + hex_number(sigstruct.miscselect) + ", mask " + hex_number(sigstruct.miscmask) + "\n";
    text += "  family id       " + hex_of(sigstruct.isv_family_id) + "\n";
    return text + "  extended id     " + hex_of(sigstruct.isv_ext_prod_id) + "\n";
}

std::string layout_text(const Examined& examined)
{
    std::string text = "\nrange       " + hex_number(examined.header.size) + " bytes, SSA frames of " +
                       std::to_string(examined.header.ssa_frame_pages) + " pages\n";
    if (examined.note) {
        text += "chamber     of caisson; hardening: " + hardening_text(*examined.note) + "\n";
    }
    text += "\npages       from            count  type  rights\n";
    std::array<char, 160> line{};
    for (const auto& run : examined.runs) {
        std::snprintf(line.data(), line.size(), "  %18s %12llu  %-4s  %s  %s\n", hex_number(run.offset).c_str(),
                      static_cast<unsigned long long>(run.page_count), page_type_name(run.secinfo),
                      permissions_text(run.secinfo).c_str(), measured_text(run.measured_chunks).c_str());
        text += line.data();
    }
    for (const auto& [offset, tcs] : examined.threads) {
        text += "\nTCS at " + hex_number(offset) + "\n  entry " + hex_number(tcs.oentry) + ", SSA " +
                hex_number(tcs.ossa) + " (" + std::to_string(tcs.nssa) + " frames), FS " + hex_number(tcs.ofsbase) +
                ", GS " + hex_number(tcs.ogsbase) + ", flags " + hex_number(tcs.flags) + "\n";
    }
    for (const auto& page : examined.pages) {
        text += page.offset == examined.pages.front().offset ? "\neach page: SHA-256 of its content\n" : "";
        text += hex_of(page.content) + "  " + hex_number(page.offset) + " " + page_type_name(page.secinfo) + " " +
                permissions_text(page.secinfo) + " " + measured_text(page.measured_chunks) + "\n";
    }
    return text;
}

template <typename PageOrRun>
void add_page_facts(JsonWriter& json, const PageOrRun& page)
{
    json.name("offset").number(page.offset).name("type").text(page_type_name(page.secinfo));
    json.name("permissions").text(permissions_text(page.secinfo)).name("secinfo").number(page.secinfo);
    json.name("chunks_measured").number(static_cast<std::uint64_t>(std::popcount(page.measured_chunks)));
}

void add_signature(JsonWriter& json, const SignatureFacts& facts)
{
    const auto& sigstruct = facts.sigstruct;
    json.begin_object().name("valid").boolean(!facts.flaw);
    json.name("flaw");
    facts.flaw ? json.text(facts.flaw->what) : json.null();
    json.name("names_image").boolean(facts.names_image).name("mrenclave").text(hex_of(sigstruct.enclave_hash));
    json.name("mrsigner").text(hex_of(facts.mrsigner)).name("product").number(sigstruct.isv_prod_id);
    json.name("svn").number(sigstruct.isv_svn);
    json.name("debug").boolean((sigstruct.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0);
    json.name("date").text(date_text(sigstruct.date)).name("vendor").number(sigstruct.vendor);
    json.name("exponent").number(sigstruct.exponent).name("attributes").number(sigstruct.attributes.flags);
    json.name("attributes_mask").text(hex_number(sigstruct.attribute_mask.flags));
    json.name("xfrm").number(sigstruct.attributes.xfrm);
    json.name("xfrm_mask").text(hex_number(sigstruct.attribute_mask.xfrm));
    json.name("miscselect").number(sigstruct.miscselect).name("miscselect_mask").number(sigstruct.miscmask);
    json.end_object();
}

void add_threads(JsonWriter& json, const std::vector<ThreadEntry>& threads)
{
    json.name("threads").begin_array();
    for (const auto& [offset, tcs] : threads) {
        json.begin_object().name("offset").number(offset).name("entry").number(tcs.oentry);
        json.name("ssa").number(tcs.ossa).name("ssa_frames").number(tcs.nssa);
        json.name("fs").number(tcs.ofsbase).name("gs").number(tcs.ogsbase).end_object();
    }
    json.end_array();
}

void add_layout(JsonWriter& json, const Examined& examined)
{
    json.name("range_bytes").number(examined.header.size);
    json.name("ssa_frame_pages").number(examined.header.ssa_frame_pages).name("runs").begin_array();
    for (const auto& run : examined.runs) {
        json.begin_object();
        add_page_facts(json, run);
        json.name("pages").number(run.page_count).end_object();
    }
    json.end_array();
    add_threads(json, examined.threads);
    if (!examined.pages.empty()) {
        json.name("pages").begin_array();
        for (const auto& page : examined.pages) {
            json.begin_object();
            add_page_facts(json, page);
            json.name("sha256").text(hex_of(page.content)).end_object();
        }
        json.end_array();
    }
    json.name("chamber");
    if (!examined.note) {
        json.null();
        return;
    }
    json.begin_object().name("lfence").boolean(examined.note->has(ImageHardening::lfence));
    json.name("verw").boolean(examined.note->has(ImageHardening::verw)).end_object();
}

} // namespace

std::string enclave_text(const Examined& examined, EnclaveDetail detail)
{
    auto text = identity_text(examined);
    if (detail == EnclaveDetail::identity) {
        return text;
    }
    text += examined.format != ImageFormat::sigstruct ? layout_text(examined) : "";
    return text + (examined.signature ? sigstruct_text(examined.signature->sigstruct) : "");
}

std::string enclave_json(const Examined& examined, EnclaveDetail detail)
{
    JsonWriter json;
    json.begin_object().name("format").text(format_name(examined.format)).name("metadata").begin_array();
    for (const auto& version : examined.metadata_versions) {
        json.text(version);
    }
    json.end_array();
    if (examined.format != ImageFormat::sigstruct) {
        json.name("mrenclave").text(hex_of(examined.mrenclave)).name("page_count").number(examined.page_count);
        json.name("pages_not_measured_whole").number(examined.unmeasured_pages);
        if (detail == EnclaveDetail::layout) {
            add_layout(json, examined);
        }
    }
    json.name("signature");
    if (examined.signature) {
        add_signature(json, *examined.signature);
    } else {
        json.null();
    }
    json.end_object();
    return json.str();
}

} // namespace caisson::cli
