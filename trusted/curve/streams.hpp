// Boxes that go through the airlock in pieces: messages larger than a request. A chamber has a few places for them, and
// a session or session key leases one for each direction while such a message is unfinished.
// Spec: docs/spec/curve.md, large messages.
#pragma once

#include "airlock/curve/requests.hpp"
#include "core/crypto/box_stream.hpp"
#include "core/inplace_vector.hpp"
#include "trusted/curve/boxes.hpp"

#include <variant>

namespace caisson::trusted::curve {

// One unfinished box.
struct Stream {
    std::variant<std::monostate, crypto::BoxSealer, crypto::BoxOpener> box; // monostate: the place is free
    crypto::BoxTag tag{};                                                   // of a box that is opened
    std::uint64_t bytes_left = 0;
    std::uint8_t flags = 0; // of a session's message: its first octet
};

// The right to a Stream: given back when it goes, whatever ended its owner.
class StreamLease {
  public:
    StreamLease() = default;
    explicit StreamLease(Stream& stream) noexcept
        : stream_(&stream)
    {
    }
    ~StreamLease() { end(); }
    StreamLease(StreamLease&& other) noexcept
        : stream_(std::exchange(other.stream_, nullptr))
    {
    }
    StreamLease& operator=(StreamLease&& other) noexcept
    {
        if (this != &other) {
            end();
            stream_ = std::exchange(other.stream_, nullptr);
        }
        return *this;
    }

    // Whether a message is unfinished.
    [[nodiscard]] bool live() const noexcept { return stream_ != nullptr; }

    // The next piece, in order; writes piece.size() bytes. Requires: live().
    // Fails: malformed (more than was announced), exhausted (the buffer).
    [[nodiscard]] Result<std::size_t> feed(Bytes piece, MutableBytes output) noexcept;

    // Fails: malformed (less came than was announced). The lease ends in any case.
    [[nodiscard]] Result<crypto::BoxTag> finish_sealing() noexcept;
    // The flags that set_flags kept. Fails: malformed, unauthentic (forget all that was fed).
    [[nodiscard]] Result<std::uint8_t> finish_opening() noexcept;

    void set_flags(std::uint8_t flags) noexcept { stream_->flags = flags; }
    void end() noexcept;

  private:
    Stream* stream_ = nullptr;
};

// What a box in pieces begins with.
struct StreamStart {
    const SharedKey& key;
    const Nonce& nonce;
    std::uint64_t text_bytes = 0; // as announced: neither more nor less may follow
};

class Streams {
  public:
    // Fails: exhausted (no place, or larger than streamed_bytes_max).
    [[nodiscard]] Result<StreamLease> begin_sealing(const StreamStart& start) noexcept;
    [[nodiscard]] Result<StreamLease> begin_opening(const StreamStart& start, const crypto::BoxTag& tag) noexcept;

  private:
    [[nodiscard]] Result<Stream*> place_for(const StreamStart& start) noexcept;

    InplaceVector<Stream, airlock::curve::streams_max> streams_;
};

} // namespace caisson::trusted::curve
