#include "protocol/evidence/sgx_collateral.hpp"

#include "protocol/evidence/json.hpp"

#include <algorithm>
#include <limits>

namespace caisson::protocol::evidence {
namespace {

constexpr std::size_t levels_max = 256;
constexpr std::size_t advisories_max = 256;

// DER with definite lengths of one or two octets behind the length's length: all a PCK extension needs.
class DerReader {
  public:
    explicit DerReader(Bytes bytes) noexcept
        : rest_(bytes)
    {
    }

    [[nodiscard]] bool done() const noexcept { return rest_.empty(); }

    // The content of the next value, which must have this tag.
    Result<Bytes> read(std::uint8_t tag) noexcept
    {
        if (rest_.size() < 2 || rest_[0] != tag) {
            return fail(Kind::malformed, "the SGX extension of a certificate is not what Intel writes");
        }
        std::size_t size = rest_[1];
        std::size_t head = 2;
        if (size > 0x80 && size <= 0x82 && rest_.size() >= 4) {
            head += size - 0x80;
            size = size == 0x81 ? rest_[2] : std::size_t{rest_[2]} << 8U | rest_[3];
            if (size < (head == 3 ? 0x80U : 0x100U)) {
                return fail(Kind::malformed, "a DER length is longer than it needs to be");
            }
        } else if (size >= 0x80) {
            return fail(Kind::malformed, "a DER length that no PCK certificate has");
        }
        if (rest_.size() - head < size) {
            return fail(Kind::truncated, "a DER value ends too early");
        }
        const auto content = rest_.subspan(head, size);
        rest_ = rest_.subspan(head + size);
        return content;
    }

    Result<std::uint64_t> read_number() noexcept
    {
        const auto content = TRY(read(0x02));
        if (content.empty() || content.size() > 3 || (content[0] & 0x80U) != 0) {
            return fail(Kind::malformed, "an SVN that is no small number");
        }
        std::uint64_t value = 0;
        for (const auto octet : content) {
            value = value << 8U | octet;
        }
        return value;
    }

    // The last arc of an OID below 1.2.840.113741.1.13.1.
    Result<std::uint8_t> read_arc(std::size_t depth) noexcept
    {
        constexpr ByteArray<10> prefix{0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0};
        const auto oid = TRY(read(0x06));
        if (oid.size() != prefix.size() - 1 + depth || !same_bytes(oid.first(9), Bytes(prefix).first(9))) {
            return fail(Kind::malformed, "an unknown part of the SGX extension");
        }
        return oid.back();
    }

  private:
    Bytes rest_;
};

constexpr std::uint8_t tag_sequence = 0x30;
constexpr std::uint8_t tag_octets = 0x04;

Status read_tcb(Bytes bytes, PckFacts& facts) noexcept
{
    DerReader entries(bytes);
    std::uint32_t seen = 0;
    while (!entries.done()) {
        const auto entry_bytes = TRY(entries.read(tag_sequence));
        DerReader entry(entry_bytes);
        const auto arc = TRY(entry.read_arc(2));
        if (arc < 1 || arc > 18 || (seen & 1U << arc) != 0) {
            return fail(Kind::malformed, "the TCB of a PCK certificate names something twice or something unknown");
        }
        seen |= 1U << arc;
        if (arc == 18) { // CPUSVN: the components again
            TRY(entry.read(tag_octets));
        } else {
            const auto value = TRY(entry.read_number());
            if (arc == 17) {
                facts.pcesvn = static_cast<std::uint16_t>(value);
            } else if (value <= 0xff) {
                facts.components[arc - 1U] = static_cast<std::uint8_t>(value);
            } else {
                return fail(Kind::malformed, "a component's SVN above 255");
            }
        }
        if (!entry.done()) {
            return fail(Kind::malformed, "the TCB of a PCK certificate has too much in an entry");
        }
    }
    constexpr std::uint32_t all = 0x7fffe; // 1 to 18
    if (seen != all) {
        return fail(Kind::malformed, "the TCB of a PCK certificate is not whole");
    }
    return {};
}

template <std::size_t N>
Status read_octets(DerReader& entry, ByteArray<N>& out) noexcept
{
    const auto content = TRY(entry.read(tag_octets));
    if (content.size() != N) {
        return fail(Kind::malformed, "FMSPC or PCEID of a PCK certificate has another size");
    }
    copy_bytes(out, content);
    return {};
}

Result<TcbStatus> read_status(std::string_view name) noexcept
{
    for (int index = 0; index <= static_cast<int>(TcbStatus::Revoked); ++index) {
        if (name == tcb_status_name(static_cast<TcbStatus>(index))) {
            return static_cast<TcbStatus>(index);
        }
    }
    return fail(Kind::malformed, "a TCB status that is not known");
}

template <typename T>
Result<T> small_number(const Json& object, std::string_view name) noexcept
{
    const auto* member = TRY(object.member(name));
    const auto value = TRY(member->number());
    if (value > std::numeric_limits<T>::max()) {
        return fail(Kind::malformed, "a number of the collateral is too large");
    }
    return static_cast<T>(value);
}

Result<std::string_view> text_member(const Json& object, std::string_view name) noexcept
{
    const auto* member = TRY(object.member(name));
    return member->string();
}

Status hex_member(const Json& object, std::string_view name, MutableBytes target) noexcept
{
    return read_hex_into(TRY(text_member(object, name)), target);
}

// [EVIDENCE-8] {"tcbInfo": {...}, "signature": "..."}: the signed object, its signature checked over its exact text, in
// force.
Result<const Json*> signed_object(const Json& document, std::string_view name, const Certificate& signer,
                                  std::int64_t now) noexcept
{
    const auto* object = TRY(document.member(name));
    ByteArray<64> signature{};
    TRY(hex_member(document, "signature", signature));
    TRY(signer.verify(bytes_of(object->text()), signature));
    const auto issued_text = TRY(text_member(*object, "issueDate"));
    const auto next_text = TRY(text_member(*object, "nextUpdate"));
    const auto issued = TRY(read_time(issued_text));
    const auto next = TRY(read_time(next_text));
    if (now < issued || now > next) {
        return fail(Kind::expired, "collateral is not in force at this time");
    }
    return object;
}

// Version 3 has an array of components, version 2 a member for each.
Status read_components(const Json& tcb, ByteArray<16>& components) noexcept
{
    if (!tcb.has("sgxtcbcomponents")) {
        for (std::size_t index = 0; index < components.size(); ++index) {
            std::array<char, 16> name{"sgxtcbcomp00svn"};
            name[10] = static_cast<char>('0' + (index + 1) / 10);
            name[11] = static_cast<char>('0' + (index + 1) % 10);
            components[index] = TRY(small_number<std::uint8_t>(tcb, name.data()));
        }
        return {};
    }
    const auto* member = TRY(tcb.member("sgxtcbcomponents"));
    const auto* list = TRY(member->array());
    if (list->size() != components.size()) {
        return fail(Kind::malformed, "a TCB level has 16 components");
    }
    for (std::size_t index = 0; index < components.size(); ++index) {
        components[index] = TRY(small_number<std::uint8_t>((*list)[index], "svn"));
    }
    return {};
}

Result<TcbLevel> read_level(const Json& json, bool of_platform)
{
    TcbLevel level;
    const auto* tcb = TRY(json.member("tcb"));
    if (of_platform) {
        TRY(read_components(*tcb, level.components));
    }
    level.svn = TRY(small_number<std::uint16_t>(*tcb, of_platform ? "pcesvn" : "isvsvn"));
    const auto status = TRY(text_member(json, "tcbStatus"));
    level.status = TRY(read_status(status));
    level.date = TRY(text_member(json, "tcbDate"));
    TRY(read_time(level.date));
    if (json.has("advisoryIDs")) {
        const auto* member = TRY(json.member("advisoryIDs"));
        const auto* advisories = TRY(member->array());
        if (advisories->size() > advisories_max) {
            return fail(Kind::exhausted, "a TCB level names more advisories than there are");
        }
        for (const auto& advisory : *advisories) {
            level.advisories.emplace_back(TRY(advisory.string()));
        }
    }
    return level;
}

Result<std::vector<TcbLevel>> read_levels(const Json& object, bool of_platform)
{
    const auto* member = TRY(object.member("tcbLevels"));
    const auto* list = TRY(member->array());
    if (list->size() > levels_max) {
        return fail(Kind::exhausted, "collateral has more TCB levels than there are");
    }
    std::vector<TcbLevel> levels;
    for (const auto& json : *list) {
        levels.push_back(TRY(read_level(json, of_platform)));
    }
    return levels;
}

sgx::Attributes attributes_of(const ByteArray<16>& bytes) noexcept
{
    sgx::Attributes attributes{};
    std::memcpy(&attributes, bytes.data(), sizeof attributes);
    return attributes;
}

// A text of four octets, which Intel writes with the low one first.
Result<std::uint32_t> word_member(const Json& object, std::string_view name) noexcept
{
    ByteArray<4> bytes{};
    TRY(hex_member(object, name, bytes));
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    return word;
}

} // namespace

const char* tcb_status_name(TcbStatus status) noexcept
{
    switch (status) {
    case TcbStatus::UpToDate: return "UpToDate";
    case TcbStatus::SWHardeningNeeded: return "SWHardeningNeeded";
    case TcbStatus::ConfigurationNeeded: return "ConfigurationNeeded";
    case TcbStatus::ConfigurationAndSWHardeningNeeded: return "ConfigurationAndSWHardeningNeeded";
    case TcbStatus::OutOfDate: return "OutOfDate";
    case TcbStatus::OutOfDateConfigurationNeeded: return "OutOfDateConfigurationNeeded";
    case TcbStatus::Revoked: return "Revoked";
    }
    return "unknown";
}

Result<PckFacts> read_pck_facts(const Certificate& pck)
{
    const auto extension = TRY(pck.extension("1.2.840.113741.1.13.1"));
    DerReader outer(extension);
    const auto entries_bytes = TRY(outer.read(tag_sequence));
    if (!outer.done()) {
        return fail(Kind::malformed, "something follows the SGX extension of a certificate");
    }
    PckFacts facts;
    DerReader entries(entries_bytes);
    std::uint32_t seen = 0;
    while (!entries.done()) {
        const auto entry_bytes = TRY(entries.read(tag_sequence));
        DerReader entry(entry_bytes);
        const auto arc = TRY(entry.read_arc(1));
        if (arc < 1 || arc > 7 || (seen & 1U << arc) != 0) {
            return fail(Kind::malformed, "the SGX extension names something twice or something unknown");
        }
        seen |= 1U << arc;
        switch (arc) {
        case 2: {
            const auto tcb = TRY(entry.read(tag_sequence));
            TRY(read_tcb(tcb, facts));
            break;
        }
        case 3: TRY(read_octets(entry, facts.pce_id)); break;
        case 4: TRY(read_octets(entry, facts.fmspc)); break;
        default: break; // PPID, type, instance, configuration: nothing is decided by them
        }
    }
    constexpr std::uint32_t needed = 1U << 2U | 1U << 3U | 1U << 4U;
    if ((seen & needed) != needed) {
        return fail(Kind::malformed, "a PCK certificate does not name TCB, PCEID and FMSPC");
    }
    return facts;
}

Result<const TcbLevel*> TcbInfo::level_of(const PckFacts& platform) const noexcept
{
    if (platform.fmspc != fmspc || platform.pce_id != pce_id) {
        return fail(Kind::unacceptable, "the TCB info is another platform's (FMSPC or PCEID)");
    }
    for (const auto& level : levels) {
        const bool reached = std::equal(level.components.begin(), level.components.end(), platform.components.begin(),
                                        [](std::uint8_t needed, std::uint8_t held) { return held >= needed; });
        if (reached && platform.pcesvn >= level.svn) {
            return &level;
        }
    }
    return fail(Kind::unacceptable, "the platform reaches no TCB level that Intel supports");
}

Result<const TcbLevel*> QeIdentity::level_of(const ReportBody& qe) const noexcept
{
    if ((qe.miscselect & miscselect_mask) != miscselect ||
        (qe.attributes.flags & attributes_mask.flags) != attributes.flags ||
        (qe.attributes.xfrm & attributes_mask.xfrm) != attributes.xfrm || qe.mrsigner != mrsigner ||
        qe.isv_prod_id != isv_prod_id) {
        return fail(Kind::unacceptable, "the quote was made by another enclave than Intel's quoting enclave");
    }
    for (const auto& level : levels) {
        if (qe.isv_svn >= level.svn) {
            return &level;
        }
    }
    return fail(Kind::unacceptable, "the quoting enclave reaches no TCB level that Intel supports");
}

Result<TcbInfo> read_tcb_info(std::string_view json, const Certificate& signer, std::int64_t now)
{
    const auto document = TRY(Json::read(json));
    const auto* object = TRY(signed_object(document, "tcbInfo", signer, now));
    const auto version = TRY(small_number<std::uint32_t>(*object, "version"));
    const bool for_sgx = version == 2 || (version == 3 && TRY(text_member(*object, "id")) == "SGX");
    if (!for_sgx || TRY(small_number<std::uint32_t>(*object, "tcbType")) != 0) {
        return fail(Kind::malformed, "the TCB info is not for SGX, or of an unknown version");
    }
    TcbInfo info;
    TRY(hex_member(*object, "fmspc", info.fmspc));
    TRY(hex_member(*object, "pceId", info.pce_id));
    info.evaluation = TRY(small_number<std::uint32_t>(*object, "tcbEvaluationDataNumber"));
    info.levels = TRY(read_levels(*object, true));
    return info;
}

Result<QeIdentity> read_qe_identity(std::string_view json, const Certificate& signer, std::int64_t now)
{
    const auto document = TRY(Json::read(json));
    const auto* object = TRY(signed_object(document, "enclaveIdentity", signer, now));
    if (TRY(text_member(*object, "id")) != "QE" || TRY(small_number<std::uint32_t>(*object, "version")) != 2) {
        return fail(Kind::malformed, "the enclave identity is not that of SGX's quoting enclave");
    }
    QeIdentity identity;
    ByteArray<16> attributes{};
    ByteArray<16> attributes_mask{};
    identity.miscselect = TRY(word_member(*object, "miscselect"));
    identity.miscselect_mask = TRY(word_member(*object, "miscselectMask"));
    TRY(hex_member(*object, "attributes", attributes));
    TRY(hex_member(*object, "attributesMask", attributes_mask));
    identity.attributes = attributes_of(attributes);
    identity.attributes_mask = attributes_of(attributes_mask);
    TRY(hex_member(*object, "mrsigner", identity.mrsigner));
    identity.isv_prod_id = TRY(small_number<std::uint16_t>(*object, "isvprodid"));
    identity.evaluation = TRY(small_number<std::uint32_t>(*object, "tcbEvaluationDataNumber"));
    identity.levels = TRY(read_levels(*object, false));
    return identity;
}

} // namespace caisson::protocol::evidence
