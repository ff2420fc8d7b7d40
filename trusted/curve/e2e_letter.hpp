// Letters: messages for recipients who are not there, sealed to their long-term keys, each good once.
// Spec: docs/spec/e2e.md, letters. One thread.
#pragma once

#include "core/inplace_vector.hpp"
#include "protocol/e2e.hpp"
#include "trusted/curve/e2e_session.hpp"

namespace caisson::trusted::curve {

// From whom a key of ours takes letters, and which numbers came: the highest so many, and nothing below the floor.
struct Correspondent {
    static constexpr std::size_t numbers_max = 64;

    std::uint32_t own_key = 0; // 0: the place is free
    CurveKey sender;
    std::uint64_t floor = 0; // this number and all below it are gone
    std::size_t count = 0;
    std::array<std::uint64_t, numbers_max> numbers{}; // rising

    [[nodiscard]] bool is_new(std::uint64_t number) const noexcept;
    // Requires: is_new(number).
    void take(std::uint64_t number) noexcept;
};

class Letters {
  public:
    // Fails: exhausted.
    [[nodiscard]] Result<Correspondent*> allow(std::uint32_t own_key, const CurveKey& sender) noexcept;
    // Fails: forbidden (nobody allowed this sender).
    [[nodiscard]] Result<Correspondent*> find(std::uint32_t own_key, const CurveKey& sender) noexcept;
    void forget_all_of(std::uint32_t own_key) noexcept;

    // [E2E-23] The number of the next letter of a key: the host's clock, but always above the last.
    [[nodiscard]] Result<std::uint64_t> next_number(const LongTermKey& own, std::uint64_t clock_hint) noexcept;

  private:
    struct Written {
        std::uint32_t own_key = 0;
        std::uint64_t last = 0;
    };
    InplaceVector<Correspondent, airlock::curve::e2e_correspondents_max> correspondents_;
    std::array<Written, airlock::curve::keys_max> written_;
};

// What a letter says beside its text.
struct LetterHead {
    std::uint64_t number = 0;
    std::uint8_t flags = 0;
};

// `recipients`: keys of 32 octets, one after the other. Requires: 1 to e2e::recipients_max of them.
[[nodiscard]] Result<std::size_t> write_letter(Runtime& runtime, const LongTermKey& own, const LetterHead& head,
                                               Bytes recipients, Bytes text, MutableBytes output) noexcept;

struct OpenedLetter {
    CurveKey sender;
    LetterHead head;
    SealedContent content;
};
// Who wrote it, and the key of its content. Fails: malformed, missing (for others), unauthentic.
[[nodiscard]] Result<OpenedLetter> open_letter(const LongTermKey& own, const Packet& packet) noexcept;

// [E2E-24] The state of a correspondent, for the host to keep, and back.
[[nodiscard]] Result<std::size_t> seal_correspondent(Runtime& runtime, const LongTermKey& own,
                                                     const Correspondent& from, MutableBytes output) noexcept;
// Into a correspondent of the same key and sender: what was known here stays known. Fails: malformed, unauthentic.
[[nodiscard]] Status unseal_correspondent(Runtime& runtime, const LongTermKey& own, Bytes sealed,
                                          Correspondent& into) noexcept;

} // namespace caisson::trusted::curve
