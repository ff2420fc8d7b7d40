#include "trusted/curve/transients.hpp"

#include "tests/unit/trusted/curve/curve_world.hpp"

#include <set>

namespace caisson::trusted::curve::test {
namespace {

constexpr auto made = Transients::made_at_once;

TEST(Transients, a_pair_is_a_secret_and_its_own_public_key) // [CURVE-45]
{
    CurveRuntime runtime;
    Transients transients;
    for (std::size_t count = 0; count < made + 1; ++count) {
        const auto pair = transients.take(runtime);
        EXPECT_EQ(pair.public_key, public_key_of(transient_of(pair.seed)));
    }
}
TEST(Transients, nobody_gets_a_pair_twice) // [CURVE-45]
{
    CurveRuntime runtime;
    Transients transients;
    std::set<CurveKey> seen;
    for (std::size_t count = 0; count < 5 * made; ++count) {
        EXPECT_TRUE(seen.insert(transients.take(runtime).public_key).second) << count;
    }
}
TEST(Transients, what_is_forgotten_comes_to_nobody) // [CURVE-45] [CURVE-50]
{
    CurveRuntime runtime;
    CurveRuntime of_the_twin;
    Transients transients;
    Transients twin;
    EXPECT_EQ(transients.take(runtime).public_key, twin.take(of_the_twin).public_key); // a copy of the machine
    transients.forget();
    std::set<CurveKey> left;
    for (std::size_t count = 1; count < made; ++count) {
        left.insert(twin.take(of_the_twin).public_key);
    }
    for (std::size_t count = 0; count < 2 * made; ++count) {
        EXPECT_FALSE(left.contains(transients.take(runtime).public_key));
    }
}

} // namespace
} // namespace caisson::trusted::curve::test
