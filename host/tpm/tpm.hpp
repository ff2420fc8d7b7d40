// Tpm: one connection to a TPM 2.0 and the words this folder shares for it: objects that flush themselves, sessions,
// errors with remedies. For the files of this folder; others see tpm_root.hpp. Not safe for concurrent use.
#pragma once

#include "core/bytes.hpp"
#include "host/tpm/channel.hpp"
#include "host/tpm/tpm_facts.hpp"

#include <tss2/tss2_esys.h>

#include <vector>

namespace caisson::host::tpm {

// What ESYS allocates.
struct EsysFree {
    void operator()(void* memory) const noexcept { Esys_Free(memory); }
};
template <typename T>
using Owned = std::unique_ptr<T, EsysFree>;

// Out parameters of ESYS: `Esys_X(..., out(owned))`.
template <typename T>
class Out {
  public:
    explicit Out(Owned<T>& owner) noexcept
        : owner_(owner)
    {
    }
    ~Out() { owner_.reset(raw_); }
    Out(const Out&) = delete;
    Out& operator=(const Out&) = delete;
    operator T**() noexcept { return &raw_; } // NOLINT(google-explicit-constructor)

  private:
    Owned<T>& owner_;
    T* raw_ = nullptr;
};
template <typename T>
Out<T> out(Owned<T>& owner) noexcept
{
    return Out<T>(owner);
}

// A transient object or session: flushed when it goes. A TPM without a resource manager has room for three.
class Loaded {
  public:
    Loaded(ESYS_CONTEXT* esys, ESYS_TR handle) noexcept
        : esys_(esys)
        , handle_(handle)
    {
    }
    Loaded(Loaded&& other) noexcept
        : esys_(other.esys_)
        , handle_(std::exchange(other.handle_, ESYS_TR_NONE))
    {
    }
    Loaded& operator=(Loaded&&) = delete;
    Loaded(const Loaded&) = delete;
    Loaded& operator=(const Loaded&) = delete;
    ~Loaded()
    {
        if (handle_ != ESYS_TR_NONE) {
            Esys_FlushContext(esys_, handle_);
        }
    }
    [[nodiscard]] ESYS_TR get() const noexcept { return handle_; }

  private:
    ESYS_CONTEXT* esys_;
    ESYS_TR handle_;
};

// The error number without the bits that say which handle or parameter it is about.
[[nodiscard]] TSS2_RC plain_code(TSS2_RC code) noexcept;

// "DOING: WHAT; REMEDY" for the code of a TPM or of the library.
[[nodiscard]] std::unexpected<Fault> tpm_fault(const std::string& doing, TSS2_RC code);

class Tpm {
  public:
    // Fails: missing (there is none), forbidden, unavailable (it does not answer, is not started).
    static Outcome<Tpm> open(const TpmAddress& address);
    Tpm(Tpm&&) noexcept = default;
    Tpm& operator=(Tpm&&) = delete;
    Tpm(const Tpm&) = delete;
    Tpm& operator=(const Tpm&) = delete;
    ~Tpm();

    [[nodiscard]] ESYS_CONTEXT* esys() const noexcept { return esys_; }
    [[nodiscard]] const std::string& address() const noexcept { return channel_->address(); }

    // What `code` means here: as tpm_fault, but knows whether the TPM timed out.
    [[nodiscard]] std::unexpected<Fault> refused(const std::string& doing, TSS2_RC code) const;

    [[nodiscard]] Outcome<TpmFacts> facts() const;
    [[nodiscard]] Outcome<std::uint32_t> property(std::uint32_t name) const;

    // A persistent object or NV index. Fails: missing.
    [[nodiscard]] Outcome<ESYS_TR> object(TPM2_HANDLE handle, const std::string& doing) const;

    // A session salted to `salt` (or not, when ESYS_TR_NONE), that encrypts what it carries both ways.
    [[nodiscard]] Outcome<Loaded> session(TPM2_SE type, ESYS_TR salt) const;

    // The Name of a loaded object.
    [[nodiscard]] Outcome<std::vector<std::uint8_t>> name_of(ESYS_TR object) const;

  private:
    Tpm() = default;
    std::unique_ptr<Channel> channel_;
    struct Finalize {
        void operator()(ESYS_CONTEXT* esys) const noexcept { Esys_Finalize(&esys); }
    };
    ESYS_CONTEXT* esys_ = nullptr;
    std::unique_ptr<ESYS_CONTEXT, Finalize> owner_;
};

// Structures to octets and back, as the TPM writes them.
[[nodiscard]] std::vector<std::uint8_t> marshalled(const TPM2B_PUBLIC& area);
[[nodiscard]] std::vector<std::uint8_t> marshalled(const TPM2B_PRIVATE& area);
[[nodiscard]] std::vector<std::uint8_t> marshalled(const TPMT_PUBLIC& area);
[[nodiscard]] std::vector<std::uint8_t> marshalled(const TPMT_SIGNATURE& signature);
[[nodiscard]] Outcome<TPM2B_PUBLIC> read_public(Bytes bytes);
[[nodiscard]] Outcome<TPM2B_PRIVATE> read_private(Bytes bytes);

template <typename Sized>
Sized sized(Bytes bytes)
{
    Sized out{};
    out.size = static_cast<std::uint16_t>(std::min(bytes.size(), sizeof out.buffer));
    copy_bytes(out.buffer, bytes.first(out.size));
    return out;
}

} // namespace caisson::host::tpm
