#include "bench/crypto_handshake.hpp"

#include <sodium.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace caisson::bench {
namespace {

using crypto::BoxJob;

constexpr std::uint64_t counter = 1;

// The nonce of each box: a prefix of CurveZMQ, and a counter. Fixed here; a fresh one costs the same.
ByteArray<24> nonce_of(std::string_view prefix)
{
    ByteArray<24> nonce{};
    std::memcpy(nonce.data(), prefix.data(), 16);
    nonce[23] = counter;
    return nonce;
}

const auto hello_nonce = nonce_of("CurveZMQHELLO---");
const auto cookie_nonce = nonce_of("COOKIE--12345678");
const auto welcome_nonce = nonce_of("WELCOME-12345678");
const auto initiate_nonce = nonce_of("CurveZMQINITIATE");
const auto vouch_nonce = nonce_of("VOUCH---12345678");
const auto ready_nonce = nonce_of("CurveZMQREADY---");

void require(bool condition)
{
    if (!condition) {
        std::fputs("crypto: a handshake did not open\n", stderr);
        std::exit(70);
    }
}

std::span<const std::uint8_t, 16> prefix_of(const ByteArray<24>& nonce)
{
    return std::span(nonce).first<16>();
}

// A batch of boxes, each with its own key and nonce prefix.
class Boxes {
  public:
    Boxes(crypto::BoxKernel kernel, std::size_t count)
        : kernel_(kernel)
    {
        keys_.reserve(count);
    }
    // `shared` is a raw X25519 result or, for cookies, the key itself.
    void add(const ByteArray<32>& key, const ByteArray<24>& nonce, Bytes from, std::uint8_t* to, std::size_t size)
    {
        keys_.push_back(crypto::derive_box_subkey(key, prefix_of(nonce)));
        jobs_.push_back({&keys_.back(), counter, from.data(), to, size});
    }
    void seal() { crypto::seal_boxes(kernel_, jobs_); }
    void open()
    {
        std::array<bool, 64> opened{};
        crypto::open_boxes(kernel_, jobs_, std::span(opened).first(jobs_.size()));
        for (std::size_t index = 0; index < jobs_.size(); ++index) {
            require(opened[index]);
        }
    }

  private:
    crypto::BoxKernel kernel_;
    std::vector<crypto::BoxSubkey> keys_;
    std::vector<BoxJob> jobs_;
};

// What crypto_box_beforenm makes of an X25519 result.
ByteArray<32> box_key_of(const ByteArray<32>& shared)
{
    const auto key = crypto::derive_box_subkey(shared, ByteArray<16>{});
    ByteArray<32> out;
    std::memcpy(out.data(), key.expose().data(), out.size());
    return out;
}

} // namespace

Handshakes::Handshakes(crypto::BoxKernel kernel)
    : kernel_(kernel)
    , clients_(count)
    , ours_(count)
    , theirs_(count)
{
    crypto_box_keypair(server_key_.data(), server_secret_.data());
    randombytes_buf(cookie_key_.data(), cookie_key_.size());
    for (auto& client : clients_) {
        make_client(client);
    }
}

void Handshakes::make_client(Client& client)
{
    crypto_box_keypair(client.key.data(), client.secret.data());
    crypto_box_keypair(client.transient.data(), client.transient_secret.data());
    crypto_box_keypair(client.server_transient.data(), client.server_transient_secret.data());
    const ByteArray<hello_bytes> zeros{};
    ByteArray<vouch_bytes> vouch;
    std::memcpy(vouch.data(), client.transient.data(), 32);
    std::memcpy(vouch.data() + 32, server_key_.data(), 32);
    ByteArray<initiate_bytes> initiate{};
    int failed = crypto_box_easy(client.hello.data(), zeros.data(), zeros.size(), hello_nonce.data(),
                                 server_key_.data(), client.transient_secret.data());
    failed |= crypto_box_easy(client.vouch.data(), vouch.data(), vouch.size(), vouch_nonce.data(),
                              client.server_transient.data(), client.secret.data());
    std::memcpy(initiate.data(), client.key.data(), 32);
    std::memcpy(initiate.data() + 48, client.vouch.data(), client.vouch.size());
    failed |= crypto_box_easy(client.initiate.data(), initiate.data(), initiate.size(), initiate_nonce.data(),
                              client.server_transient.data(), client.transient_secret.data());
    require(failed == 0);
}

void Handshakes::serve()
{
    std::array<Key, count> hello_key;
    std::array<Key, count> session_key;
    std::array<Key, count> vouch_key;
    std::vector<crypto::X25519Job> jobs;
    const auto share = [&](auto secret_of, auto point_of, std::array<Key, count>& out) {
        jobs.clear();
        for (std::size_t index = 0; index < count; ++index) {
            jobs.push_back({secret_of(index), point_of(index), out[index].data()});
        }
        crypto::make_shared_secrets(jobs);
        for (auto& key : out) {
            key = box_key_of(key);
        }
    };
    // Keys for the pool, as many as these handshakes take from it; random octets for all of them at once, as the
    // chamber draws them.
    std::array<Key, count> drawn;
    randombytes_buf(drawn.data(), sizeof drawn);
    for (std::size_t index = 0; index < count; ++index) {
        ours_[index].transient_secret = drawn[index];
        jobs.push_back({ours_[index].transient_secret.data(), nullptr, ours_[index].transient.data()});
    }
    crypto::make_public_keys(jobs);

    share([&](std::size_t) { return server_secret_.data(); },
          [&](std::size_t index) { return clients_[index].transient.data(); }, hello_key);
    Boxes hellos(kernel_, count);
    Boxes cookies(kernel_, count);
    Boxes welcomes(kernel_, count);
    for (std::size_t index = 0; index < count; ++index) {
        const auto& client = clients_[index];
        auto& served = ours_[index];
        hellos.add(hello_key[index], hello_nonce, client.hello, served.hello.data(), hello_bytes);
        ByteArray<cookie_bytes> content;
        std::memcpy(content.data(), client.transient.data(), 32);
        std::memcpy(content.data() + 32, client.server_transient_secret.data(), 32);
        std::memcpy(served.cookie.data() + tag, content.data(), content.size());
        cookies.add(cookie_key_, cookie_nonce, Bytes(served.cookie).subspan(tag), served.cookie.data(), cookie_bytes);
    }
    hellos.open();
    cookies.seal();
    for (std::size_t index = 0; index < count; ++index) {
        auto& served = ours_[index];
        auto* const content = served.welcome.data() + tag;
        std::memcpy(content, clients_[index].server_transient.data(), 32);
        std::memcpy(content + 48, served.cookie.data(), served.cookie.size());
        welcomes.add(hello_key[index], welcome_nonce, {content, welcome_bytes}, served.welcome.data(), welcome_bytes);
    }
    welcomes.seal();

    Boxes opened_cookies(kernel_, count);
    for (auto& served : ours_) {
        opened_cookies.add(cookie_key_, cookie_nonce, served.cookie, served.opened_cookie.data(), cookie_bytes);
    }
    opened_cookies.open();
    share([&](std::size_t index) { return ours_[index].opened_cookie.data() + 32; },
          [&](std::size_t index) { return ours_[index].opened_cookie.data(); }, session_key);
    Boxes initiates(kernel_, count);
    for (std::size_t index = 0; index < count; ++index) {
        initiates.add(session_key[index], initiate_nonce, clients_[index].initiate, ours_[index].initiate.data(),
                      initiate_bytes);
    }
    initiates.open();
    share([&](std::size_t index) { return ours_[index].opened_cookie.data() + 32; },
          [&](std::size_t index) { return ours_[index].initiate.data(); }, vouch_key);
    Boxes vouches(kernel_, count);
    Boxes readies(kernel_, count);
    for (std::size_t index = 0; index < count; ++index) {
        auto& served = ours_[index];
        vouches.add(vouch_key[index], vouch_nonce, Bytes(served.initiate).subspan(48), served.vouch.data(),
                    vouch_bytes);
        std::memset(served.ready.data() + tag, 0, ready_bytes);
        readies.add(session_key[index], ready_nonce, Bytes(served.ready).subspan(tag), served.ready.data(),
                    ready_bytes);
    }
    vouches.open();
    readies.seal();
}

void Handshakes::serve_as_libzmq()
{
    const ByteArray<ready_bytes> metadata{};
    for (std::size_t index = 0; index < count; ++index) {
        const auto& client = clients_[index];
        auto& served = theirs_[index];
        int failed = crypto_box_open_easy(served.hello.data(), client.hello.data(), client.hello.size(),
                                          hello_nonce.data(), client.transient.data(), server_secret_.data());
        failed |= crypto_box_keypair(served.transient.data(), served.transient_secret.data());
        ByteArray<cookie_bytes> content;
        std::memcpy(content.data(), client.transient.data(), 32);
        std::memcpy(content.data() + 32, client.server_transient_secret.data(), 32);
        failed |= crypto_secretbox_easy(served.cookie.data(), content.data(), content.size(), cookie_nonce.data(),
                                        cookie_key_.data());
        ByteArray<welcome_bytes> welcome{};
        std::memcpy(welcome.data(), client.server_transient.data(), 32);
        std::memcpy(welcome.data() + 48, served.cookie.data(), served.cookie.size());
        failed |= crypto_box_easy(served.welcome.data(), welcome.data(), welcome.size(), welcome_nonce.data(),
                                  client.transient.data(), server_secret_.data());

        failed |= crypto_secretbox_open_easy(served.opened_cookie.data(), served.cookie.data(), served.cookie.size(),
                                             cookie_nonce.data(), cookie_key_.data());
        const auto* const transient = served.opened_cookie.data();
        const auto* const own = served.opened_cookie.data() + 32;
        failed |= crypto_box_open_easy(served.initiate.data(), client.initiate.data(), client.initiate.size(),
                                       initiate_nonce.data(), transient, own);
        failed |= crypto_box_open_easy(served.vouch.data(), served.initiate.data() + 48, vouch_bytes + tag,
                                       vouch_nonce.data(), served.initiate.data(), own);
        Key session;
        failed |= crypto_box_beforenm(session.data(), transient, own);
        failed |= crypto_box_easy_afternm(served.ready.data(), metadata.data(), metadata.size(), ready_nonce.data(),
                                          session.data());
        require(failed == 0);
    }
}

bool Handshakes::sides_agree()
{
    serve();
    serve_as_libzmq();
    for (std::size_t index = 0; index < count; ++index) {
        ByteArray<32> key;
        crypto_scalarmult_base(key.data(), ours_[index].transient_secret.data());
        auto ours = ours_[index];
        if (key != ours.transient) {
            return false;
        }
        // Each side made a transient key of its own; all else is determined by what the clients sent.
        ours.transient = theirs_[index].transient;
        ours.transient_secret = theirs_[index].transient_secret;
        if (ours != theirs_[index]) {
            return false;
        }
    }
    return true;
}

} // namespace caisson::bench
