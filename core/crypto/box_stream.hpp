// A box made or opened piece by piece, in one pass and constant memory: for messages that no buffer holds whole.
// The bytes are those of core/crypto/box.hpp, however the text is cut. Pieces of 64 KiB go at the speed of one call.
#pragma once

#include "core/crypto/box.hpp"
#include "core/crypto/kernels/box.hpp"

namespace caisson::crypto {

using BoxTag = ByteArray<box_tag_bytes>;

// What sealing and opening share.
class BoxStream {
  public:
    BoxStream(BoxKernel kernel, const BoxPosition& at) noexcept;
    ~BoxStream();
    BoxStream(const BoxStream&) = delete;
    BoxStream& operator=(const BoxStream&) = delete;

  protected:
    void feed(Bytes from, std::uint8_t* to, bool opening) noexcept;
    [[nodiscard]] BoxTag end() noexcept;

  private:
    using Block = ByteArray<kernels::salsa20_block_bytes>;

    // Out of line, so that what they leave on the stack can be overwritten behind them.
    [[gnu::noinline]] void feed_all(Bytes from, std::uint8_t* to, bool opening) noexcept;
    [[gnu::noinline]] [[nodiscard]] BoxTag make_tag() noexcept;
    // Within one block.
    void feed_some(Bytes from, std::uint8_t* to, bool opening) noexcept;
    [[nodiscard]] BoxPosition at() const noexcept { return {key_, counter_}; }

    BoxKernel kernel_;
    BoxSubkey key_;
    std::uint64_t counter_;
    std::uint64_t next_block_ = 1;
    // The block in use: its key stream, and its ciphertext from `begin_` to `used_`.
    Block key_stream_;
    Block ciphertext_{};
    std::size_t begin_ = kernels::box_key_bytes;
    std::size_t used_ = kernels::box_key_bytes;
    kernels::Poly1305 poly_;
    kernels::PolyPowers powers_;
    bool ended_ = false;
};

class BoxSealer : private BoxStream {
  public:
    using BoxStream::BoxStream;

    // Encrypts the next piece, of any size: text.size() bytes to `ciphertext`, which may overlap this very piece.
    void update(Bytes text, std::uint8_t* ciphertext) noexcept { feed(text, ciphertext, false); }

    // The tag, which stands before the ciphertext. Ends the box.
    [[nodiscard]] BoxTag finish() noexcept { return end(); }
};

// What `update` writes is unauthentic until `finish` has said yes: nobody may see it, and the caller wipes it on no.
class BoxOpener : private BoxStream {
  public:
    using BoxStream::BoxStream;

    // Decrypts the next piece of what follows the tag: ciphertext.size() bytes to `text`, which may overlap this piece.
    void update(Bytes ciphertext, std::uint8_t* text) noexcept { feed(ciphertext, text, true); }

    // Whether `tag` is that of all that was fed. Ends the box.
    [[nodiscard]] bool finish(const BoxTag& tag) noexcept;
};

} // namespace caisson::crypto
