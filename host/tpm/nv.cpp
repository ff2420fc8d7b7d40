#include "host/tpm/nv.hpp"

#include "core/secret.hpp"
#include "core/wire.hpp"
#include "host/tpm/tpm_keys.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::host::tpm {
namespace {

constexpr std::size_t read_bytes_max = 512; // every TPM reads so much at once
constexpr std::uint16_t counter_bytes = 8;

constexpr TPMA_NV counter_attributes =
    (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT) | TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA;
constexpr TPMA_NV state_bits = TPMA_NV_WRITTEN | TPMA_NV_READLOCKED | TPMA_NV_WRITELOCKED;

Outcome<TPMS_NV_PUBLIC> public_of(const Tpm& tpm, ESYS_TR index, const std::string& doing)
{
    Owned<TPM2B_NV_PUBLIC> area;
    Owned<TPM2B_NAME> name;
    const auto code =
        Esys_NV_ReadPublic(tpm.esys(), index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, out(area), out(name));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return area->nvPublic;
}

Outcome<ESYS_TR> define(const Tpm& tpm, TPM2_HANDLE index, TPMA_NV attributes, std::uint16_t size, Bytes secret,
                        ESYS_TR session)
{
    TPM2B_NV_PUBLIC wish{};
    wish.nvPublic.nvIndex = index;
    wish.nvPublic.nameAlg = TPM2_ALG_SHA256;
    wish.nvPublic.attributes = attributes;
    wish.nvPublic.dataSize = size;
    auto auth = sized<TPM2B_AUTH>(secret);
    ESYS_TR made = ESYS_TR_NONE;
    const auto code =
        Esys_NV_DefineSpace(tpm.esys(), ESYS_TR_RH_OWNER, session, ESYS_TR_NONE, ESYS_TR_NONE, &auth, &wish, &made);
    wipe(auth.buffer);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("making an index in the TPM", code);
    }
    return made;
}

// A counter, opened with its secret.
class Counter {
  public:
    static Outcome<Counter> open(const Tpm& tpm, TPM2_HANDLE index, Bytes secret)
    {
        const auto handle = TRY(tpm.object(index, "finding the rollback counter in the TPM"));
        Counter counter(tpm, handle);
        const auto area = TRY(public_of(tpm, handle, "finding the rollback counter in the TPM"));
        if ((area.attributes & ~state_bits) != counter_attributes || area.dataSize != counter_bytes) {
            return fault(Kind::unauthentic, "the rollback counter: the TPM holds another index in its place; it was "
                                            "removed and remade, which only the owner can");
        }
        auto auth = sized<TPM2B_AUTH>(secret);
        Esys_TR_SetAuth(tpm.esys(), handle, &auth);
        wipe(auth.buffer);
        return counter;
    }
    Counter(Counter&& other) noexcept
        : tpm_(other.tpm_)
        , handle_(std::exchange(other.handle_, ESYS_TR_NONE))
    {
    }
    Counter& operator=(Counter&&) = delete;
    Counter(const Counter&) = delete;
    Counter& operator=(const Counter&) = delete;
    ~Counter()
    {
        if (handle_ != ESYS_TR_NONE) {
            Esys_TR_Close(tpm_.esys(), &handle_);
        }
    }
    [[nodiscard]] ESYS_TR get() const noexcept { return handle_; }

  private:
    Counter(const Tpm& tpm, ESYS_TR handle) noexcept
        : tpm_(tpm)
        , handle_(handle)
    {
    }
    const Tpm& tpm_;
    ESYS_TR handle_;
};

} // namespace

Outcome<std::vector<std::uint8_t>> nv_content(const Tpm& tpm, TPM2_HANDLE index, std::size_t bytes_max)
{
    const std::string doing = "reading an index of the TPM";
    auto handle = TRY(tpm.object(index, doing));
    const auto area = TRY(public_of(tpm, handle, doing));
    if (area.dataSize > bytes_max) {
        return fault(Kind::exhausted, doing + ": it holds more than is expected there");
    }
    std::vector<std::uint8_t> content;
    while (content.size() < area.dataSize) {
        const auto part = std::min(read_bytes_max, area.dataSize - content.size());
        Owned<TPM2B_MAX_NV_BUFFER> buffer;
        const auto code =
            Esys_NV_Read(tpm.esys(), handle, handle, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE,
                         static_cast<std::uint16_t>(part), static_cast<std::uint16_t>(content.size()), out(buffer));
        if (code != TSS2_RC_SUCCESS) {
            Esys_TR_Close(tpm.esys(), &handle);
            return tpm.refused(doing, code);
        }
        if (buffer->size != part) {
            Esys_TR_Close(tpm.esys(), &handle);
            return fault(Kind::truncated, doing + ": it gave less than it says it holds");
        }
        content.insert(content.end(), buffer->buffer, buffer->buffer + buffer->size);
    }
    Esys_TR_Close(tpm.esys(), &handle);
    return content;
}

Outcome<Slot> free_slot(const Tpm& tpm)
{
    for (TPM2_HANDLE number = 0; number < slots_count; ++number) {
        const Slot slot{slot_first + number * slot_indices};
        bool taken = false;
        for (TPM2_HANDLE index = slot.first; index < slot.first + slot_indices; ++index) {
            auto found = tpm.object(index, "finding room in the TPM");
            if (!found && found.error().kind != Kind::missing) {
                return std::unexpected(found.error());
            }
            if (found) {
                taken = true;
                Esys_TR_Close(tpm.esys(), &*found);
            }
        }
        if (!taken) {
            return slot;
        }
    }
    return fault(Kind::exhausted, "TPM root: all 64 slots of this TPM are taken by other homes; remove the indices of "
                                  "homes that are gone (tpm2_nvundefine 0x180ca20 and following)");
}

Done make_register(const Tpm& tpm, Slot slot)
{
    const auto session = TRY(owner_session(tpm));
    auto index = TRY(define(tpm, slot.image_register(), register_attributes, sizeof(Digest), {}, session.get()));
    Esys_TR_Close(tpm.esys(), &index);
    return {};
}

Outcome<Digest> register_value(const Tpm& tpm, Slot slot)
{
    const std::string doing = "reading the register of images in the TPM";
    auto index = TRY(tpm.object(slot.image_register(), doing));
    const auto area = public_of(tpm, index, doing);
    Esys_TR_Close(tpm.esys(), &index);
    const auto attributes = TRY(area).attributes;
    if ((attributes & ~state_bits) != register_attributes) {
        return fault(Kind::unauthentic, doing + ": another index stands in its place; it was removed and remade, which "
                                                "only the owner can");
    }
    Digest value{};
    if ((attributes & TPMA_NV_WRITTEN) != 0) {
        const auto content = TRY(nv_content(tpm, slot.image_register(), sizeof(Digest)));
        copy_bytes(value, content);
    }
    return value;
}

Done extend_register(const Tpm& tpm, Slot slot, const Digest& measurement)
{
    const std::string doing = "extending the register of images in the TPM";
    auto index = TRY(tpm.object(slot.image_register(), doing));
    const auto extension = sized<TPM2B_MAX_NV_BUFFER>(measurement);
    const auto code =
        Esys_NV_Extend(tpm.esys(), index, index, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &extension);
    Esys_TR_Close(tpm.esys(), &index);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused(doing, code);
    }
    return {};
}

Digest register_after(std::span<const Digest> measurements) noexcept
{
    Digest value{};
    for (const auto& measurement : measurements) {
        ByteArray<2 * sizeof(Digest)> both;
        copy_bytes(both, value);
        copy_bytes(MutableBytes(both).subspan(sizeof(Digest)), measurement);
        crypto_hash_sha256(value.data(), both.data(), both.size());
    }
    return value;
}

Done make_counter(const Tpm& tpm, TPM2_HANDLE index, Bytes secret, ESYS_TR salt)
{
    {
        auto session = TRY(owner_session(tpm));
        Esys_TRSess_SetAttributes(tpm.esys(), session.get(), TPMA_SESSION_DECRYPT, TPMA_SESSION_DECRYPT);
        auto made = TRY(define(tpm, index, counter_attributes, counter_bytes, secret, session.get()));
        Esys_TR_Close(tpm.esys(), &made);
    }
    return increment_counter(tpm, index, secret, salt); // before the first it cannot be read
}

Outcome<std::uint64_t> counter_value(const Tpm& tpm, TPM2_HANDLE index, Bytes secret, ESYS_TR salt)
{
    const auto counter = TRY(Counter::open(tpm, index, secret));
    auto session = TRY(tpm.session(TPM2_SE_HMAC, salt));
    Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_DECRYPT);
    Owned<TPM2B_MAX_NV_BUFFER> buffer;
    const auto code = Esys_NV_Read(tpm.esys(), counter.get(), counter.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE,
                                   counter_bytes, 0, out(buffer));
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("reading the rollback counter", code);
    }
    Reader reader({buffer->buffer, buffer->size});
    return TRY(reader.read_be<std::uint64_t>());
}

Done increment_counter(const Tpm& tpm, TPM2_HANDLE index, Bytes secret, ESYS_TR salt)
{
    const auto counter = TRY(Counter::open(tpm, index, secret));
    auto session = TRY(tpm.session(TPM2_SE_HMAC, salt));
    Esys_TRSess_SetAttributes(tpm.esys(), session.get(), 0, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT);
    const auto code =
        Esys_NV_Increment(tpm.esys(), counter.get(), counter.get(), session.get(), ESYS_TR_NONE, ESYS_TR_NONE);
    if (code != TSS2_RC_SUCCESS) {
        return tpm.refused("raising the rollback counter", code);
    }
    return {};
}

} // namespace caisson::host::tpm
