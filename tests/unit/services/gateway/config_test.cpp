// A gateway's file is good as a whole or refused with file, line and what was expected.
#include "services/gateway/config.hpp"

#include <gtest/gtest.h>

namespace caisson::services::gateway {
namespace {

const std::string good = "[[listener]]\n"
                         "name = \"ticks\"\n"
                         "listen = \"tcp://127.0.0.1:0\"\n"
                         "backend = \"ipc:///run/app.ipc\"\n"
                         "key = \"gateway\"\n";

std::string key_text(char letter)
{
    return std::string(40, letter);
}

std::string with(const std::string& line, const std::string& instead)
{
    auto text = good;
    return text.replace(text.find(line), line.size(), instead);
}

std::string named(const std::string& name)
{
    return with("name = \"ticks\"\n", "name = \"" + name + "\"\n");
}

const std::string connector = "[[connector]]\n"
                              "name = \"out\"\n"
                              "listen = \"ipc:///run/local.ipc\"\n"
                              "connect = \"tcp://10.0.0.1:5555\"\n"
                              "key = \"gateway\"\n";
const std::string server_key = "server_key = \"" + std::string(40, '1') + "\"\n";

// What is said of a file that is refused; empty when it is accepted.
std::string said_of(const std::string& text)
{
    const auto config = parse_config(text, "gateway.toml");
    if (config) {
        return {};
    }
    EXPECT_EQ(config.error().kind, Kind::malformed);
    return config.error().what;
}

void expect_said(const std::string& text, const std::string& where, const std::string& what)
{
    const auto said = said_of(text);
    EXPECT_TRUE(said.starts_with(where)) << said;
    EXPECT_NE(said.find(what), std::string::npos) << said;
}

TEST(GatewayConfigTest, a_good_file_says_what_it_says)
{
    const auto config = parse_config(
        good + "allow = [\"" + key_text('1') + "\"]\nbackend_uid = 1000\n" + named("second"), "gateway.toml");
    ASSERT_TRUE(config) << config.error().what;
    ASSERT_EQ(config->routes.size(), 2U);
    const auto& first = config->routes[0];
    EXPECT_EQ(first.side, Side::server);
    EXPECT_EQ(first.name, "ticks");
    EXPECT_EQ(first.keys, std::vector<std::string>{"gateway"});
    EXPECT_EQ(first.listen.text(), "tcp://127.0.0.1:0");
    EXPECT_EQ(first.plain().text(), "ipc:///run/app.ipc");
    EXPECT_EQ(first.plain_uid, 1000U);
    ASSERT_TRUE(first.allow);
    EXPECT_EQ(first.allow->size(), 1U);
    EXPECT_FALSE(config->routes[1].allow);
}

TEST(GatewayConfigTest, an_empty_allow_list_admits_nobody_and_a_missing_one_all)
{
    const auto config = parse_config(good + "allow = []\n", "gateway.toml");
    ASSERT_TRUE(config);
    ASSERT_TRUE(config->routes[0].allow);
    EXPECT_TRUE(config->routes[0].allow->empty());
}

TEST(GatewayConfigTest, each_key_that_is_missing_empty_or_no_text_is_named_with_its_line)
{
    const std::vector<std::pair<std::string, std::string>> lines = {{"name", "name = \"ticks\"\n"},
                                                                    {"listen", "listen = \"tcp://127.0.0.1:0\"\n"},
                                                                    {"backend", "backend = \"ipc:///run/app.ipc\"\n"},
                                                                    {"key", "key = \"gateway\"\n"}};
    for (const auto& [key, line] : lines) {
        expect_said(with(line, ""), "gateway.toml:1: ", key + " = \"...\" is expected");
        for (const auto* value : {"\"\"", "7", "true", "[\"a\"]", "{ a = 1 }", "1.5"}) {
            expect_said(with(line, key + " = " + value + "\n"), "gateway.toml:", key + " = \"...\" is expected");
        }
    }
    expect_said(with("key = \"gateway\"\n", "key = 7\n"), "gateway.toml:5: ", "key");
}

TEST(GatewayConfigTest, a_letter_beyond_ascii_outside_strings_is_named_with_its_place)
{
    expect_said("\u00e9 = 1\n" + good, "gateway.toml:1:1: ", "saw '\u00e9'");
    expect_said("# \u00e9\na = \"\\\u00e9\"\n" + good, "gateway.toml:2:7: ", "escape sequence '\\\u00e9'");
    expect_said("a = 1\u0499\n" + good, "gateway.toml:1:6: ", "expected digit, saw '\u0499'");
    expect_said("a = \u00a1\n" + good, "gateway.toml:1:5: ", "value");
    expect_said("a = +\"\u00e9\"\n" + good, "gateway.toml:1:", "value");
    expect_said("a = \"\xff\"\n" + good, "gateway.toml:1:5: ", "utf-8");
    EXPECT_TRUE(parse_config("# \u00e9\n" + good, "gateway.toml"));
}

TEST(GatewayConfigTest, brackets_that_the_parser_does_not_expect_are_malformed)
{
    for (const std::string text : {"[+[listener]]\n", "[$x]\n", "[[+]]\n", "a = [+"}) {
        const auto config = parse_config(text, "gateway.toml");
        ASSERT_FALSE(config) << text;
        EXPECT_EQ(config.error().kind, Kind::malformed) << text;
    }
}

TEST(GatewayConfigTest, unknown_keys_are_named)
{
    expect_said(good + "alow = []\n", "gateway.toml:6: ", "\"alow\" is not known here");
    expect_said("speed = 1\n" + good, "gateway.toml:1: ", "\"speed\" is not known here");
}

TEST(GatewayConfigTest, there_are_1_to_64_listeners)
{
    for (const auto* text :
         {"", "listener = 1\n", "listener = []\n", "listener = [1]\n", "[listener]\nname = \"a\"\n"}) {
        expect_said(text, "gateway.toml", "1 to 64 [[listener]] are expected");
    }
    std::string many;
    for (int count = 0; count < 64; ++count) {
        many += named(std::to_string(count));
    }
    EXPECT_EQ(said_of(many), "");
    expect_said(many + good, "gateway.toml:1: ", "1 to 64 [[listener]] are expected");
}

TEST(GatewayConfigTest, an_endpoint_is_tcp_with_host_and_port_or_an_absolute_ipc_path)
{
    for (const auto* text :
         {"tcp://", "tcp://:1", "tcp://host", "tcp://host:", "tcp://host:x", "tcp://host:*", "udp://h:1", "ipc://",
          "ipc://relative", "127.0.0.1:5555", "tcp://[]:1", "tcp://h:65536", "tcp://h:99999999999999999999"}) {
        EXPECT_FALSE(parse_endpoint(text)) << text;
    }
    EXPECT_TRUE(parse_endpoint("ipc:///" + std::string(106, 'a')));
    EXPECT_FALSE(parse_endpoint("ipc:///" + std::string(107, 'a')));
    EXPECT_EQ(parse_endpoint("tcp://[::1]:65535")->host, "::1");
    EXPECT_EQ(parse_endpoint("tcp://[::1]:5555")->text(), "tcp://[::1]:5555");
    expect_said(with("listen = \"tcp://127.0.0.1:0\"\n", "listen = \"udp://h:1\"\n"),
                "gateway.toml:3: ", "is expected");
}

TEST(GatewayConfigTest, an_ipc_path_with_a_zero_byte_is_refused)
{
    EXPECT_FALSE(parse_endpoint(std::string("ipc:///a\0b", 10)));
}

TEST(GatewayConfigTest, a_plain_back_end_beyond_this_machine_is_refused)
{
    const std::string line = "backend = \"ipc:///run/app.ipc\"\n";
    for (const auto* host : {"10.0.0.1", "example.org", "0.0.0.0", "127.evil.example", "127.0.0.1.evil.example"}) {
        expect_said(with(line, "backend = \"tcp://" + std::string(host) + ":1\"\n"), "gateway.toml:4: ", "loopback");
    }
    for (const auto* host : {"127.0.0.1", "127.1.2.3", "localhost", "[::1]"}) {
        EXPECT_EQ(said_of(with(line, "backend = \"tcp://" + std::string(host) + ":1\"\n")), "");
    }
}

TEST(GatewayConfigTest, an_allow_list_that_is_none_is_refused_with_its_line)
{
    expect_said(good + "allow = \"" + key_text('1') + "\"\n", "gateway.toml:6: ", "list of public keys");
    for (const auto& key : {key_text('1').substr(1), key_text('1') + "1", key_text('"').substr(39), key_text(' ')}) {
        expect_said(good + "allow = ['" + key + "']\n", "gateway.toml:6: ", "40 letters of Z85");
    }
    expect_said(good + "allow = [1]\n", "gateway.toml:6: ", "40 letters of Z85");
}

TEST(GatewayConfigTest, a_back_end_user_is_a_users_number)
{
    for (const auto* value : {"-1", "\"root\"", "2147483648", "1.0", "[]"}) {
        expect_said(good + "backend_uid = " + value + "\n", "gateway.toml:6: ", "a user's number");
    }
    EXPECT_EQ(said_of(good + "backend_uid = 0\n"), "");
}

TEST(GatewayConfigTest, a_connector_has_a_plain_side_here_and_a_server_with_its_key)
{
    const auto config = parse_config(connector + server_key + "reconnect_ms = 7\n", "gateway.toml");
    ASSERT_TRUE(config) << config.error().what;
    const auto& route = config->routes.at(0);
    EXPECT_EQ(route.side, Side::client);
    EXPECT_EQ(route.plain().text(), "ipc:///run/local.ipc");
    EXPECT_EQ(route.outer().text(), "tcp://10.0.0.1:5555");
    EXPECT_TRUE(route.server_key);
    EXPECT_EQ(route.reconnect.count(), 7);
    expect_said(connector, "gateway.toml:1: ", "server_key = \"...\" is expected");
    expect_said(connector + "server_key = \"short\"\n", "gateway.toml:6: ", "40 letters of Z85");
    expect_said(connector + server_key + "allow = []\n", "gateway.toml:7: ", "\"allow\" is not known here");
}

TEST(GatewayConfigTest, a_connectors_plain_side_beyond_this_machine_is_refused_unless_forced)
{
    auto text = connector + server_key;
    text.replace(text.find("ipc:///run/local.ipc"), 20, "tcp://0.0.0.0:5555");
    expect_said(text, "gateway.toml:3: ", "loopback");
    EXPECT_EQ(said_of(text + "plain_leaves_machine = true\n"), "");
}

TEST(GatewayConfigTest, one_listener_has_one_mechanism_and_an_unprotected_one_has_to_be_meant) // [ZMTP-6]
{
    const auto plain = with("key = \"gateway\"\n", "mechanism = \"null\"\n");
    expect_said(plain, "gateway.toml:5: ", "protects nothing");
    EXPECT_EQ(said_of(plain + "unprotected = true\n"), "");
    expect_said(good + "mechanism = \"null\"\nunprotected = true\n",
                "gateway.toml:5: ", "for the mechanism \"curve\" alone");
    for (const auto* value : {"\"CURVE\"", "\"gssapi\"", "\"curve,null\""}) {
        expect_said(good + "mechanism = " + value + "\n", "gateway.toml:6: ", "a second one needs a [[listener]]");
    }
    expect_said(good + "mechanism = [\"curve\", \"null\"]\n", "gateway.toml:6: ", "mechanism = \"...\" is expected");
    expect_said(plain + "unprotected = true\nallow = []\n", "gateway.toml:7: ", "proves no key");
}

TEST(GatewayConfigTest, a_password_needs_somebody_who_judges_it)
{
    const auto plain = with("key = \"gateway\"\n", "mechanism = \"plain\"\nunprotected = true\n");
    expect_said(plain, "gateway.toml:1: ", "nobody else judges a password");
    EXPECT_EQ(said_of(plain + "zap = \"ipc:///run/zap\"\n"), "");
    expect_said(plain + "zap = \"tcp://10.0.0.1:1\"\n", "gateway.toml:7: ", "loopback");
}

TEST(GatewayConfigTest, several_keys_stand_in_a_list_and_never_beside_one)
{
    const auto config = parse_config(with("key = \"gateway\"\n", "keys = [\"new\", \"old\"]\n"), "gateway.toml");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->routes[0].keys, (std::vector<std::string>{"new", "old"}));
    expect_said(good + "keys = [\"a\"]\n", "gateway.toml:6: ", "either key");
    expect_said(with("key = \"gateway\"\n", "keys = []\n"), "gateway.toml:5: ", "1 to 8 names");
}

TEST(GatewayConfigTest, a_name_is_given_once)
{
    expect_said(good + good, "gateway.toml:7: ", "is taken");
}

TEST(GatewayConfigTest, metrics_stay_on_this_machine)
{
    EXPECT_EQ(said_of("metrics = \"tcp://127.0.0.1:9\"\n" + good), "");
    expect_said("metrics = \"tcp://0.0.0.0:9\"\n" + good, "gateway.toml:1: ", "loopback");
}

TEST(GatewayConfigTest, vsock_has_a_contexts_number_and_a_port)
{
    EXPECT_EQ(parse_endpoint("vsock://2:1024")->text(), "vsock://2:1024");
    EXPECT_TRUE(parse_endpoint("vsock://*:1"));
    for (const auto* text : {"vsock://", "vsock://a:1", "vsock://2", "vsock://2:x", "vsock://4294967296:1"}) {
        EXPECT_FALSE(parse_endpoint(text)) << text;
    }
    EXPECT_FALSE(parse_endpoint("vsock://1:1")->stays_on_machine());
}

TEST(GatewayConfigTest, any_context_is_for_listening_alone) // [GATE-17]
{
    const auto listening = [](const std::string& text) {
        auto out = good;
        out.replace(out.find("tcp://127.0.0.1:0"), 17, text);
        return out;
    };
    EXPECT_EQ(said_of(listening("vsock://*:1024")), "");
    for (const auto* text : {"vsock://*:1", "vsock://4294967295:1"}) {
        auto backend = good;
        backend.replace(backend.find("ipc:///run/app.ipc"), 18, text);
        expect_said(backend + "plain_leaves_machine = true\n", "gateway.toml:4: ", "is every context");
    }
}

TEST(KeyListTest, a_key_a_line_and_comments)
{
    const auto keys =
        parse_key_list("# who may come\n\n" + key_text('1') + "\n  " + key_text('2') + " # the second\n", "list");
    ASSERT_TRUE(keys) << keys.error().what;
    EXPECT_EQ(keys->size(), 2U);
    EXPECT_EQ(parse_key_list("", "list")->size(), 0U);
    // '#' is a letter of Z85, though no key begins with it.
    EXPECT_EQ(parse_key_list("1#" + key_text('1').substr(2) + "\n", "list")->size(), 1U);
}

TEST(KeyListTest, what_is_no_key_is_refused_with_its_line)
{
    for (const auto& line :
         {key_text('1') + "1", key_text('1') + " " + key_text('2'), std::string("alice"), key_text('1').substr(1)}) {
        const auto keys = parse_key_list(key_text('1') + "\n" + line + "\n", "list");
        ASSERT_FALSE(keys) << line;
        EXPECT_TRUE(keys.error().what.starts_with("list:2: ")) << keys.error().what;
    }
}

TEST(GatewayConfigTest, every_truncation_is_read_or_refused_with_its_place)
{
    for (std::size_t size = 0; size < good.size(); ++size) {
        const auto said = said_of(good.substr(0, size));
        EXPECT_TRUE(said.empty() || said.starts_with("gateway.toml")) << size << ": " << said;
    }
}

} // namespace
} // namespace caisson::services::gateway
