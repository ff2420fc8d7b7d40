#include "tests/unit/trusted/curve/curve_world.hpp"
#include "trusted/curve/key_table.hpp"

namespace caisson::trusted::curve::test {
namespace {

struct Keys : ::testing::Test, World {
    static Buffer sealed_part(const Said& made) { return {made.bytes.begin() + 32, made.bytes.end()}; }
    Said load(const Buffer& sealed) { return ask(Request::import_sealed_private_key, sealed); }
    Said import_raw(const ByteArray<32>& secret, std::uint32_t flags, const ByteArray<32>& verifier_key)
    {
        return ask(Request::import_private_key, join(u32(flags), verifier_key, secret));
    }
};

constexpr ByteArray<32> none{};

TEST_F(Keys, a_full_table_refuses_one_more_and_a_forgotten_place_is_used_again) // [CURVE-26]
{
    std::vector<Key> keys;
    for (std::size_t count = 0; count < airlock::curve::keys_max; ++count) {
        keys.push_back(new_key(false));
    }
    const auto one_more = sealed_part(ask(Request::create_key_pair, join(u32(0), none)));
    EXPECT_TRUE(load(one_more).is(Kind::exhausted));
    ASSERT_TRUE(ask(Request::forget_key, join(keys[7].id)).ok());
    const auto loaded = load(one_more);
    ASSERT_TRUE(loaded.ok());
    for (const auto& key : keys) {
        EXPECT_NE(Buffer(loaded.bytes.begin(), loaded.bytes.begin() + 4), join(key.id)); // its number is new
    }
}
TEST_F(Keys, a_forgotten_key_answers_nothing) // [CURVE-26]
{
    const auto key = new_key(false);
    ASSERT_TRUE(ask(Request::forget_key, join(key.id)).ok());
    EXPECT_TRUE(ask(Request::forget_key, join(key.id)).is(Kind::missing));
    EXPECT_TRUE(ask(Request::export_sealed_private_key, join(key.id)).is(Kind::missing));
    EXPECT_TRUE(ask(Request::open_client, join(key.id, none)).is(Kind::missing));
    EXPECT_TRUE(ask(Request::scalarmult_base, join(key.handle.bytes)).is(Kind::missing));
}
TEST_F(Keys, the_same_key_is_loaded_once) // [CURVE-3]
{
    const auto sealed = sealed_part(ask(Request::create_key_pair, join(u32(0), none)));
    EXPECT_EQ(load(sealed).bytes, load(sealed).bytes);
}
TEST_F(Keys, no_changed_blob_is_a_key) // [CURVE-3]
{
    const auto sealed = sealed_part(ask(Request::create_key_pair, join(u32(1), verifier.key.bytes)));
    protocol::test::expect_every_change_refused(
        sealed, [this](Bytes blob) { return load(Buffer(blob.begin(), blob.end())).ok(); });
}
TEST_F(Keys, a_loaded_key_does_not_change_its_verifier_nor_lose_it) // [CURVE-3]
{
    ByteArray<32> secret, other;
    secret.fill(6);
    other.fill(7);
    ASSERT_TRUE(load(sealed_part(import_raw(secret, 1, verifier.key.bytes))).ok());
    EXPECT_TRUE(load(sealed_part(import_raw(secret, 1, other))).is(Kind::conflict));
    EXPECT_TRUE(load(sealed_part(import_raw(secret, 0, none))).is(Kind::conflict));
}
TEST_F(Keys, a_gated_key_has_a_verifier_and_an_ungated_one_none) // [CURVE-3]
{
    EXPECT_TRUE(import_raw({6}, 1, none).is(Kind::malformed));
    EXPECT_TRUE(import_raw({6}, 0, verifier.key.bytes).is(Kind::malformed));
    EXPECT_TRUE(import_raw({6}, 2, verifier.key.bytes).is(Kind::malformed));
    EXPECT_TRUE(ask(Request::create_key_pair, join(u32(1), none)).is(Kind::malformed));
}
TEST_F(Keys, a_raw_key_keeps_its_public_key_and_comes_out_sealed) // [CURVE-3]
{
    ByteArray<32> public_key, secret;
    crypto_box_keypair(public_key.data(), secret.data());
    const auto made = import_raw(secret, 0, none);
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(Buffer(made.bytes.begin(), made.bytes.begin() + 32), join(public_key));
    EXPECT_EQ(std::search(made.bytes.begin(), made.bytes.end(), secret.begin(), secret.end()), made.bytes.end());
    const auto loaded = load(sealed_part(made));
    const auto exported =
        ask(Request::export_sealed_private_key, Buffer(loaded.bytes.begin(), loaded.bytes.begin() + 4));
    EXPECT_EQ(load(exported.bytes).bytes, loaded.bytes);
}
TEST_F(Keys, another_machines_blob_does_not_open) // [CURVE-3]
{
    CurveRuntime elsewhere(9);
    tests::TestArena its_arena;
    auto other = std::make_unique<Chamber>(elsewhere, its_arena.arena());
    const auto sealed = sealed_part(ask(Request::create_key_pair, join(u32(0), none)));
    chamber.swap(other);
    EXPECT_TRUE(load(sealed).is(Kind::unauthentic));
}
TEST_F(Keys, a_report_names_the_public_key_under_its_domain) // [CURVE-4]
{
    const auto key = new_key(false);
    const auto said = ask(Request::report_key, join(key.id, ByteArray<512>{}));
    ASSERT_TRUE(said.ok());
    protocol::sgx::Report report;
    ASSERT_EQ(said.bytes.size(), sizeof report);
    std::memcpy(&report, said.bytes.data(), sizeof report);
    const auto text = join(bytes_of("caisson curve key v1"), key.public_key.bytes);
    protocol::sgx::ReportData expected{};
    crypto_hash_sha256(expected.data(), text.data(), text.size());
    EXPECT_EQ(report.report_data, expected);
}
TEST_F(Keys, a_fifth_verifier_is_one_too_many) // [CURVE-3]
{
    for (std::uint8_t number = 1; number <= gates_max + 1; ++number) {
        ByteArray<32> verifier_key;
        verifier_key.fill(number);
        const auto loaded = load(sealed_part(import_raw({0, number}, 1, verifier_key)));
        EXPECT_EQ(loaded.ok(), number <= gates_max) << int{number};
    }
}

} // namespace
} // namespace caisson::trusted::curve::test
