#include "protocol/curve.hpp"
#include "tests/unit/trusted/curve/e2e_world.hpp"

#include <algorithm>

namespace caisson::trusted::curve::test {
namespace {

constexpr std::uint32_t listed = airlock::curve::key_listed;
constexpr std::uint32_t gated_and_listed = listed | airlock::curve::key_gated;

struct ListedWorld : ::testing::Test, World {
    protocol::test::Signer operator_key{5};
    Key server = pinned_key(listed, {});
    Key client = new_key(false);
    Key other = new_key(false);

    Said make_pinned(std::uint32_t flags, Bytes verifier_key, Bytes list_key)
    {
        return ask(Request::create_key_pair,
                   join(u32(flags), verifier_key.empty() ? Bytes(ByteArray<32>{}) : verifier_key, list_key));
    }
    Key load(const Said& made)
    {
        EXPECT_TRUE(made.ok());
        const auto loaded = ask(Request::import_sealed_private_key, Buffer(made.bytes.begin() + 32, made.bytes.end()));
        EXPECT_TRUE(loaded.ok());
        Key key;
        copy_bytes(key.id, Bytes(loaded.bytes).first(4));
        copy_bytes(key.public_key.bytes, Bytes(loaded.bytes).subspan(8, 32));
        copy_bytes(key.handle.bytes, Bytes(loaded.bytes).subspan(40, 32));
        return key;
    }
    Key pinned_key(std::uint32_t flags, Bytes verifier_key)
    {
        return load(make_pinned(flags, verifier_key, operator_key.key.bytes));
    }
    static Buffer list_by(const protocol::test::Signer& signer, std::uint64_t serial, std::vector<CurveKey> names,
                          std::uint64_t expires_ms = 0)
    {
        std::sort(names.begin(), names.end());
        Buffer keys;
        for (const auto& name : names) {
            keys.insert(keys.end(), name.bytes.begin(), name.bytes.end());
        }
        Buffer document(protocol::access_list_bytes_max);
        document.resize(*protocol::write_access_list(document, signer.secret, {serial, 1, expires_ms, keys}));
        return document;
    }
    Said tell(std::uint64_t serial, const std::vector<CurveKey>& names)
    {
        return ask(Request::accept_access_list, list_by(operator_key, serial, names));
    }
    // The server's session for `from`; zeros when it is not admitted.
    Buffer initiated(const Key& from)
    {
        const auto opened = ask(Request::open_client, join(from.id, server.public_key.bytes));
        const auto hello = ask(Request::produce_hello, opened.bytes);
        const auto welcome = ask(Request::process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::process_welcome, join(opened.bytes, welcome.bytes)).ok());
        const auto initiate = ask(Request::produce_initiate, opened.bytes);
        const auto accepted = ask(Request::process_initiate, join(server.id, initiate.bytes));
        EXPECT_TRUE(accepted.ok());
        return {accepted.bytes.begin(), accepted.bytes.begin() + 4};
    }
    Buffer opened(const Key& from)
    {
        auto session = initiated(from);
        EXPECT_TRUE(ask(Request::produce_ready, session).ok());
        return session;
    }
    bool admits(const Key& from) { return initiated(from) != Buffer(4, 0); }
    Said send(const Buffer& session) { return ask(Request::produce_message, join(session, u32(0))); }
};

TEST_F(ListedWorld, a_listed_key_without_a_list_admits_nobody) // [CURVE-60]
{
    EXPECT_FALSE(admits(client));
}
TEST_F(ListedWorld, a_list_admits_whom_it_names_and_nobody_else) // [CURVE-60]
{
    const auto told = tell(1, {client.public_key});
    ASSERT_TRUE(told.ok());
    EXPECT_EQ(told.bytes, join(u64(1), u32(1)));
    EXPECT_TRUE(admits(client));
    EXPECT_FALSE(admits(other));
}
TEST_F(ListedWorld, a_list_by_another_signer_is_unauthentic_and_changes_nothing) // [CURVE-61]
{
    ASSERT_TRUE(tell(1, {client.public_key}).ok());
    const protocol::test::Signer stranger(6);
    EXPECT_TRUE(ask(Request::accept_access_list, list_by(stranger, 2, {other.public_key})).is(Kind::unauthentic));
    EXPECT_TRUE(ask(Request::accept_access_list, list_by(verifier, 2, {other.public_key})).is(Kind::unauthentic));
    EXPECT_FALSE(admits(other));
    EXPECT_TRUE(admits(client));
}
TEST_F(ListedWorld, an_older_list_and_another_of_the_same_serial_are_a_conflict) // [CURVE-61]
{
    ASSERT_TRUE(tell(5, {client.public_key}).ok());
    EXPECT_TRUE(tell(4, {other.public_key}).is(Kind::conflict));
    EXPECT_TRUE(tell(5, {other.public_key}).is(Kind::conflict));
    EXPECT_TRUE(tell(5, {client.public_key, other.public_key}).is(Kind::conflict));
    EXPECT_FALSE(admits(other));
    EXPECT_TRUE(tell(5, {client.public_key}).ok()); // the same again is no news
    EXPECT_TRUE(tell(6, {other.public_key}).ok());
    EXPECT_FALSE(admits(client));
}
TEST_F(ListedWorld, every_shortened_and_altered_list_is_refused_and_changes_nothing) // [CURVE-61]
{
    ASSERT_TRUE(tell(1, {client.public_key}).ok());
    const auto document = list_by(operator_key, 2, {other.public_key});
    for (std::size_t size = 1; size < document.size(); ++size) {
        EXPECT_FALSE(ask(Request::accept_access_list,
                         Buffer(document.begin(), document.begin() + static_cast<std::ptrdiff_t>(size)))
                         .ok());
    }
    for (std::size_t at = 0; at < document.size(); ++at) {
        auto altered = document;
        altered[at] ^= 0x10U;
        EXPECT_FALSE(ask(Request::accept_access_list, altered).ok()) << at;
    }
    EXPECT_TRUE(admits(client));
    EXPECT_FALSE(admits(other));
}
TEST_F(ListedWorld, a_key_that_is_taken_back_loses_its_sessions_with_the_next_message) // [CURVE-60]
{
    ASSERT_TRUE(tell(1, {client.public_key, other.public_key}).ok());
    const auto revoked = opened(client);
    const auto kept = opened(other);
    EXPECT_TRUE(send(revoked).ok());
    ASSERT_TRUE(tell(2, {other.public_key}).ok());
    EXPECT_TRUE(send(revoked).is(Kind::expired));
    EXPECT_TRUE(send(kept).ok());
    ASSERT_TRUE(tell(3, {client.public_key, other.public_key}).ok());
    EXPECT_TRUE(send(revoked).is(Kind::missing)); // it does not rise again
}
TEST_F(ListedWorld, a_sweep_ends_the_silent_sessions_of_a_key_that_is_taken_back) // [CURVE-27] [CURVE-60]
{
    ASSERT_TRUE(tell(1, {client.public_key, other.public_key}).ok());
    const auto revoked = opened(client);
    const auto kept = opened(other);
    EXPECT_TRUE(ask(Request::sweep_sessions, join(u32(0))).bytes.empty());
    ASSERT_TRUE(tell(2, {other.public_key}).ok());
    EXPECT_EQ(ask(Request::sweep_sessions, join(u32(0))).bytes, revoked);
    EXPECT_TRUE(send(kept).ok());
}
TEST_F(ListedWorld, no_key_that_comes_later_brings_an_older_list_back) // [CURVE-61]
{
    ASSERT_TRUE(tell(5, {client.public_key}).ok());
    ASSERT_TRUE(ask(Request::forget_key, join(server.id)).ok());
    server = pinned_key(gated_and_listed, verifier.key.bytes);
    EXPECT_TRUE(tell(4, {other.public_key}).is(Kind::conflict));
    server = pinned_key(listed, {});
    EXPECT_TRUE(admits(client));
    EXPECT_FALSE(admits(other));
}
TEST_F(ListedWorld, a_gated_and_listed_key_asks_for_both_and_a_list_that_is_over_names_nobody) // [CURVE-62]
{
    server = pinned_key(gated_and_listed, verifier.key.bytes);
    ASSERT_TRUE(ask(Request::accept_access_list, list_by(operator_key, 1, {client.public_key}, 11'000)).ok());
    EXPECT_FALSE(admits(client)); // named, and not known to be trusted
    const auto tell_time = [&](std::uint64_t time_ms) {
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, ask(Request::time_nonce, {}).bytes);
        Buffer document(protocol::time_token_bytes_max);
        document.resize(*protocol::write_time_token(document, verifier.secret, {nonce, time_ms, 60'000, 100}));
        ASSERT_TRUE(ask(Request::accept_time_token, document).ok());
    };
    tell_time(10'000);
    for (const auto* const peer : {&client, &other}) {
        protocol::AttestationResult said;
        said.node.bytes.fill(peer == &client ? 3 : 4);
        said.issued_ms = 9'000;
        said.expires_ms = 60'000;
        said.status = protocol::TrustTier::affirming;
        said.key_count = 1;
        said.keys[0].key = peer->public_key;
        said.keys[0].platform = protocol::sgx::Platform::process;
        Buffer document(protocol::attestation_result_bytes_max);
        document.resize(*protocol::write_attestation_result(document, verifier.secret, said));
        ASSERT_TRUE(ask(Request::accept_result, document).ok());
    }
    EXPECT_TRUE(admits(client));
    EXPECT_FALSE(admits(other)); // trusted, and not named
    tell_time(11'000);
    EXPECT_FALSE(admits(client));
}
TEST_F(ListedWorld, two_gates_under_one_server_get_the_same_tokens) // [CURVE-20]
{
    const auto plain = new_key(true);
    const auto both = pinned_key(gated_and_listed, verifier.key.bytes);
    for (const auto time_ms : {10'000U, 10'100U}) {
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, ask(Request::time_nonce, {}).bytes);
        Buffer document(protocol::time_token_bytes_max);
        document.resize(*protocol::write_time_token(document, verifier.secret, {nonce, time_ms, 60'000, 100}));
        ASSERT_TRUE(ask(Request::accept_time_token, document).ok());
        EXPECT_TRUE(ask(Request::accept_time_token, document).is(Kind::forbidden)); // once, for each of them
    }
    EXPECT_NE(plain.id, both.id);
}
TEST_F(ListedWorld, who_signs_the_list_is_sealed_with_the_key) // [CURVE-3] [CURVE-60]
{
    const auto made = make_pinned(listed, {}, operator_key.key.bytes);
    const auto loaded = ask(Request::import_sealed_private_key, Buffer(made.bytes.begin() + 32, made.bytes.end()));
    ASSERT_TRUE(loaded.ok());
    EXPECT_EQ(Buffer(loaded.bytes.begin() + 4, loaded.bytes.begin() + 8), join(u32(listed)));
    EXPECT_EQ(Buffer(loaded.bytes.begin() + 104, loaded.bytes.end()), join(operator_key.key.bytes));
    for (std::size_t at = 32; at < made.bytes.size(); ++at) {
        auto altered = Buffer(made.bytes.begin() + 32, made.bytes.end());
        altered[at - 32] ^= 1U;
        EXPECT_FALSE(ask(Request::import_sealed_private_key, altered).ok()) << at;
    }
}
TEST_F(ListedWorld, a_listed_key_without_a_signer_and_a_signer_without_the_flag_are_malformed) // [CURVE-1]
{
    EXPECT_TRUE(make_pinned(listed, {}, Bytes(ByteArray<32>{})).is(Kind::malformed));
    EXPECT_FALSE(make_pinned(listed, {}, {}).ok());
    EXPECT_FALSE(make_pinned(0, {}, operator_key.key.bytes).ok());
    EXPECT_TRUE(make_pinned(4, {}, operator_key.key.bytes).is(Kind::malformed));
}
TEST_F(ListedWorld, without_a_listed_key_no_list_is_taken) // [CURVE-61]
{
    World fresh;
    EXPECT_TRUE(fresh.ask(Request::accept_access_list, list_by(operator_key, 1, {})).is(Kind::missing));
}
TEST_F(ListedWorld, end_to_end_sessions_stand_behind_the_list_too) // [CURVE-60]
{
    const auto admitted = [&] {
        const auto order = u32(static_cast<std::uint32_t>(Order::strict));
        const auto session = ask(Request::e2e_open_client, join(client.id, order, server.public_key.bytes)).bytes;
        const auto hello = ask(Request::e2e_produce_hello, session);
        const auto welcome = ask(Request::e2e_process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::e2e_process_welcome, join(session, welcome.bytes)).ok());
        const auto initiate = ask(Request::e2e_produce_initiate, join(session, own_property(Order::strict)));
        const auto said = ask(Request::e2e_process_initiate, join(server.id, initiate.bytes));
        return said.ok() && Buffer(said.bytes.begin() + 36, said.bytes.begin() + 40) == join(u32(1));
    };
    EXPECT_FALSE(admitted());
    ASSERT_TRUE(tell(1, {client.public_key}).ok());
    EXPECT_TRUE(admitted());
}

} // namespace
} // namespace caisson::trusted::curve::test
