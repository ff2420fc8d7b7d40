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

} // namespace caisson::trusted::curve::test
