#include "tests/unit/trusted/curve/curve_world.hpp"
#include "trusted/curve/cookies.hpp"

namespace caisson::trusted::curve::test {
namespace {

constexpr std::uint64_t generation_ticks = std::uint64_t{1} << 36U;

struct CookieJar : ::testing::Test {
    CurveRuntime runtime;
    Cookies cookies;

    Cookie bake()
    {
        TransientSeed seed;
        runtime.random(seed.expose());
        CurveKey client;
        runtime.random(client.bytes);
        return cookies.make(runtime, client, 1, seed);
    }
    Result<Cookies::Opened> take(const Cookie& cookie) { return cookies.take(runtime, cookie); }
};

TEST_F(CookieJar, a_cookie_gives_back_what_was_put_in) // [CURVE-9]
{
    TransientSeed seed;
    runtime.random(seed.expose());
    CurveKey client;
    client.bytes.fill(5);
    const auto opened = take(cookies.make(runtime, client, 0x0102030405060708, seed));
    ASSERT_TRUE(opened);
    EXPECT_EQ(opened->client_transient, client);
    EXPECT_EQ(opened->hello_counter, 0x0102030405060708U);
    EXPECT_EQ(public_key_of(opened->own_transient), public_key_of(transient_of(seed)));
}
TEST_F(CookieJar, a_used_cookie_is_refused_also_after_the_key_was_renewed) // [CURVE-10]
{
    const auto cookie = bake();
    ASSERT_TRUE(take(cookie));
    EXPECT_EQ(take(cookie).error().kind, Kind::expired);
    runtime.now += generation_ticks;
    EXPECT_EQ(take(cookie).error().kind, Kind::expired);
}
TEST_F(CookieJar, the_key_before_the_current_one_still_opens_and_older_ones_do_not) // [CURVE-9]
{
    const auto first = bake();
    const auto second = bake();
    runtime.now += generation_ticks;
    EXPECT_TRUE(take(first));
    runtime.now += generation_ticks;
    EXPECT_EQ(take(second).error().kind, Kind::unauthentic);
}
TEST_F(CookieJar, a_key_is_renewed_when_its_marks_are_full) // [CURVE-9]
{
    const auto early = bake();
    for (std::size_t count = 0; count < cookies_per_generation; ++count) {
        ASSERT_TRUE(take(bake())) << count;
    }
    EXPECT_EQ(take(early).error().kind, Kind::expired); // there is no room to remember that it was used
    EXPECT_TRUE(take(bake()));
}
TEST_F(CookieJar, no_changed_cookie_opens) // [CURVE-10]
{
    const auto cookie = bake();
    for (std::size_t bit = 0; bit < cookie.size() * 8; ++bit) {
        auto changed = cookie;
        changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
        EXPECT_EQ(take(changed).error().kind, Kind::unauthentic) << bit;
    }
    EXPECT_TRUE(take(cookie));
}
TEST_F(CookieJar, another_chambers_cookie_is_refused) // [CURVE-10]
{
    Cookies others;
    static_cast<void>(bake());
    EXPECT_EQ(others.take(runtime, bake()).error().kind, Kind::unauthentic);
}

} // namespace
} // namespace caisson::trusted::curve::test
