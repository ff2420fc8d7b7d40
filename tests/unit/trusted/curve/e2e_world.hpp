// What the tests of end-to-end sessions and letters share: two keys, a handshake in packets, and one-line messages.
#pragma once

#include "protocol/e2e.hpp"
#include "protocol/zmtp.hpp"
#include "tests/unit/trusted/curve/curve_world.hpp"

namespace caisson::trusted::curve::test {

namespace e2e = protocol::e2e;

inline ByteArray<8> u64(std::uint64_t value)
{
    ByteArray<8> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

inline Buffer own_property(Order order, std::uint8_t version = e2e::property_version)
{
    Buffer bytes(64);
    Writer writer(bytes);
    protocol::zmtp::write_property(writer, e2e::property_name, ByteArray<2>{version, static_cast<std::uint8_t>(order)});
    bytes.resize(writer.written().size());
    return bytes;
}

struct E2eWorld : World {
    Key server = new_key(false);
    Key client = new_key(false);
    ByteArray<4> client_session{};
    ByteArray<4> server_session{};

    Said open_client(Order order)
    {
        return ask(Request::e2e_open_client,
                   join(client.id, u32(static_cast<std::uint32_t>(order)), server.public_key.bytes));
    }
    // HELLO, WELCOME, and then INITIATE.
    Buffer initiate(Order order)
    {
        copy_bytes(client_session, open_client(order).bytes);
        const auto hello = ask(Request::e2e_produce_hello, join(client_session));
        const auto welcome = ask(Request::e2e_process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::e2e_process_welcome, join(client_session, welcome.bytes)).ok());
        return ask(Request::e2e_produce_initiate, join(client_session, own_property(order))).bytes;
    }
    Buffer ready(const Buffer& initiate_packet)
    {
        const auto accepted = ask(Request::e2e_process_initiate, join(server.id, initiate_packet));
        EXPECT_TRUE(accepted.ok());
        copy_bytes(server_session, Bytes(accepted.bytes).first(4));
        return ask(Request::e2e_produce_ready, join(server_session)).bytes;
    }
    void complete(Order order)
    {
        const auto ready_packet = ready(initiate(order));
        EXPECT_TRUE(ask(Request::e2e_process_ready, join(client_session, ready_packet)).ok());
    }
    Buffer packet(std::string_view text, std::uint8_t flags = e2e::flag_first | e2e::flag_last)
    {
        return ask(Request::e2e_produce_message, join(client_session, u32(flags), bytes_of(text))).bytes;
    }
    Said open(const Buffer& packet_bytes)
    {
        return ask(Request::e2e_process_message, join(server_session, packet_bytes));
    }
    bool opens(const Buffer& packet_bytes, std::string_view text)
    {
        const auto said = open(packet_bytes);
        return said.ok() && text_of(Bytes(said.bytes).subspan(12)) == text;
    }
};

// The server's key is gated, and the client trusted.
struct GatedE2eWorld : E2eWorld {
    GatedE2eWorld()
    {
        server = new_key(true);
        trust(client.public_key);
    }
    void give_time()
    {
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, ask(Request::time_nonce, {}).bytes);
        Buffer token(protocol::time_token_bytes_max);
        token.resize(*protocol::write_time_token(token, verifier.secret, {nonce, now_ms, 30'000, 1000}));
        EXPECT_TRUE(ask(Request::accept_time_token, token).ok());
    }
    void trust(const CurveKey& key, protocol::TrustTier tier = protocol::TrustTier::affirming)
    {
        // A gate stands once its key is used.
        ask(Request::e2e_open_client, join(server.id, u32(0), client.public_key.bytes));
        now_ms += 1000;
        give_time();
        protocol::AttestationResult result;
        result.issued_ms = now_ms;
        result.expires_ms = now_ms + 60'000;
        result.status = tier;
        result.key_count = 1;
        result.keys[0].key = key;
        result.keys[0].platform = protocol::sgx::Platform::process;
        Buffer document(protocol::attestation_result_bytes_max);
        document.resize(*protocol::write_attestation_result(document, verifier.secret, result));
        EXPECT_TRUE(ask(Request::accept_result, document).ok());
    }
    std::uint64_t now_ms = 10'000;
};

} // namespace caisson::trusted::curve::test
