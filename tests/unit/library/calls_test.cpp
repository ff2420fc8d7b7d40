// The C interface where it is used wrongly: a code and a text, and never more.
#include "library/include/caisson/caisson.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

namespace {

std::array<std::uint8_t, 64> room{};
std::size_t room_size = room.size();

TEST(CallsTest, null_pointers_are_malformed_everywhere)
{
    std::uint32_t number = 0;
    caisson_event event{};
    for (const int code : {caisson_open(nullptr, nullptr),
                           caisson_describe(nullptr, nullptr, nullptr),
                           caisson_load_key(nullptr, "a", &number, room.data()),
                           caisson_create_key_pair(nullptr, nullptr, room.data(), room.data(), &room_size),
                           caisson_import_sealed_private_key(nullptr, room.data(), 1, &number, room.data()),
                           caisson_export_sealed_private_key(nullptr, 1, room.data(), &room_size),
                           caisson_forget_key(nullptr, 1),
                           caisson_open_client(nullptr, 1, room.data(), &number),
                           caisson_produce_hello(nullptr, 1, room.data(), &room_size),
                           caisson_close_session(nullptr, 1),
                           caisson_produce_messages(nullptr, nullptr, 1),
                           caisson_e2e_read_packet(nullptr, 0, nullptr, nullptr),
                           caisson_e2e_open_client(nullptr, 1, 0, room.data(), &number),
                           caisson_e2e_rekey(nullptr, 1),
                           caisson_socket_open(nullptr, CAISSON_PAIR, nullptr),
                           caisson_socket_bind(nullptr, "", nullptr, nullptr),
                           caisson_socket_poll(nullptr, 0),
                           caisson_socket_peer_count(nullptr),
                           caisson_endpoint_open(nullptr, 1, nullptr),
                           caisson_endpoint_next(nullptr, &event),
                           caisson_endpoint_send(nullptr, room.data(), nullptr, 0),
                           caisson_endpoint_pump(nullptr, nullptr, 0)}) {
        EXPECT_EQ(code, CAISSON_MALFORMED);
        EXPECT_STRNE(caisson_error_text(), "");
    }
    caisson_close(nullptr);
    caisson_socket_close(nullptr);
    caisson_endpoint_close(nullptr);
    caisson_parts_free(nullptr);
    EXPECT_EQ(caisson_parts_count(nullptr), 0U);
    EXPECT_EQ(caisson_parts_at(nullptr, 0).bytes, nullptr);
}
TEST(CallsTest, codes_have_names)
{
    EXPECT_STREQ(caisson_code_name(CAISSON_OK), "ok");
    EXPECT_STREQ(caisson_code_name(CAISSON_UNAUTHENTIC), "unauthentic");
    EXPECT_STREQ(caisson_code_name(-11), "unknown");
    EXPECT_STREQ(caisson_code_name(1), "unknown");
    EXPECT_STREQ(caisson_version(), "0.1.0");
}
TEST(CallsTest, z85_goes_both_ways_and_refuses_the_rest)
{
    std::array<char, 41> text{};
    std::size_t size = text.size();
    const std::array<std::uint8_t, 32> key{1, 2, 3};
    ASSERT_EQ(caisson_z85_encode(key.data(), key.size(), text.data(), &size), CAISSON_OK);
    ASSERT_EQ(size, 40U);
    std::array<std::uint8_t, 32> back{};
    std::size_t back_size = back.size();
    ASSERT_EQ(caisson_z85_decode(text.data(), back.data(), &back_size), CAISSON_OK);
    EXPECT_EQ(back, key);
    size = 40;
    EXPECT_EQ(caisson_z85_encode(key.data(), key.size(), text.data(), &size), CAISSON_MALFORMED);
    EXPECT_EQ(caisson_z85_decode("abc", back.data(), &back_size), CAISSON_MALFORMED);
}
TEST(CallsTest, options_and_addresses_are_checked)
{
    caisson_socket* socket = nullptr;
    ASSERT_EQ(caisson_socket_open(nullptr, CAISSON_PUSH, &socket), CAISSON_OK);
    EXPECT_EQ(caisson_socket_set(socket, 99, 1), CAISSON_MALFORMED);
    EXPECT_EQ(caisson_socket_set(socket, CAISSON_LINGER_MS, -1), CAISSON_MALFORMED);
    EXPECT_EQ(caisson_socket_set_key(socket, 1), CAISSON_FORBIDDEN); // it has no chamber
    EXPECT_EQ(caisson_socket_set_identity(socket, room.data(), 0), CAISSON_MALFORMED);
    EXPECT_EQ(caisson_socket_connect(socket, "nowhere"), CAISSON_MALFORMED);
    EXPECT_NE(std::strstr(caisson_error_text(), "tcp://HOST:PORT"), nullptr);
    std::array<char, 4> small{};
    std::size_t small_size = small.size();
    EXPECT_EQ(caisson_socket_bind(socket, "tcp://127.0.0.1:0", small.data(), &small_size), CAISSON_EXHAUSTED);
    const caisson_part part{room.data(), room.size()};
    EXPECT_EQ(caisson_socket_send(socket, &part, 1, 0), CAISSON_UNAVAILABLE);
    EXPECT_EQ(caisson_socket_send(socket, &part, 0, 0), CAISSON_MALFORMED);
    caisson_socket_close(socket);
}
TEST(CallsTest, a_reason_is_bounded)
{
    std::size_t size = room.size();
    ASSERT_EQ(caisson_produce_error("400", room.data(), &size), CAISSON_OK);
    EXPECT_EQ(size, 10U);
    size = 9;
    EXPECT_EQ(caisson_produce_error("400", room.data(), &size), CAISSON_EXHAUSTED);
    EXPECT_EQ(caisson_produce_error(std::string(256, 'x').c_str(), room.data(), &size), CAISSON_MALFORMED);
}

} // namespace
