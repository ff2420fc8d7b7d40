// What a CURVE server computes for eight handshakes in flight: as our kernels do it by batches, and as libzmq does it
// with libsodium, one after the other.
#pragma once

#include "core/crypto/box_batch.hpp"
#include "core/crypto/x25519.hpp"

#include <vector>

namespace caisson::bench {

class Handshakes {
  public:
    static constexpr std::size_t count = 8;

    explicit Handshakes(crypto::BoxKernel kernel);

    // A pooled transient key each, three scalar multiplications, and the boxes: HELLO, cookie and WELCOME, cookie and
    // INITIATE, vouch, READY.
    void serve();
    // libzmq 4.3.4's server: one key pair and five scalar multiplications, because it opens and makes every box with
    // crypto_box and so derives the same keys anew.
    void serve_as_libzmq();
    // Both sides opened what the clients sent, and the clients can open what both sides sent.
    [[nodiscard]] bool sides_agree();

  private:
    using Key = ByteArray<32>;
    using Nonce = ByteArray<24>;

    static constexpr std::size_t hello_bytes = 64;
    static constexpr std::size_t cookie_bytes = 64;         // C', s'
    static constexpr std::size_t welcome_bytes = 128;       // S', the cookie's nonce and box
    static constexpr std::size_t vouch_bytes = 64;          // C', S
    static constexpr std::size_t initiate_bytes = 128 + 30; // C, the vouch's nonce and box, metadata
    static constexpr std::size_t ready_bytes = 30;
    static constexpr std::size_t tag = crypto::box_tag_bytes;

    struct Client {
        Key key, secret, transient, transient_secret; // C, c, C', c'
        ByteArray<hello_bytes + tag> hello{};
        // For the server's side of each handshake, s' is given, so that INITIATE can be made before.
        Key server_transient, server_transient_secret;
        ByteArray<vouch_bytes + tag> vouch{};
        ByteArray<initiate_bytes + tag> initiate{};
    };
    // What the server makes of it.
    struct Served {
        ByteArray<hello_bytes> hello{};
        ByteArray<cookie_bytes + tag> cookie{};
        ByteArray<welcome_bytes + tag> welcome{};
        ByteArray<cookie_bytes> opened_cookie{};
        ByteArray<initiate_bytes> initiate{};
        ByteArray<vouch_bytes> vouch{};
        ByteArray<ready_bytes + tag> ready{};
        Key transient{}; // made for the next handshake
        Key transient_secret{};
        friend bool operator==(const Served&, const Served&) = default;
    };

    void make_client(Client& client);

    crypto::BoxKernel kernel_;
    Key server_key_{}, server_secret_{}, cookie_key_{};
    std::vector<Client> clients_;
    std::vector<Served> ours_, theirs_;
};

} // namespace caisson::bench
