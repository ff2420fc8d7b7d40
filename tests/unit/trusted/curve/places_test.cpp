// The order of use of places in a table, against a list that is kept the simple way.
#include "trusted/curve/shim_keys.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace caisson::trusted::curve {
namespace {

// All places, from the one not used for longest on.
template <std::size_t N>
struct Simple {
    std::vector<std::size_t> order = std::vector<std::size_t>(N);

    Simple() { std::iota(order.begin(), order.end(), std::size_t{0}); }
    void touch(std::size_t index)
    {
        std::erase(order, index);
        order.push_back(index);
    }
    void free(std::size_t index)
    {
        std::erase(order, index);
        order.insert(order.begin(), index);
    }
};

template <std::size_t N>
void compare(unsigned seed)
{
    std::minstd_rand random(seed);
    Simple<N> simple;
    Places<N> places;
    std::vector<bool> taken(N);
    for (int step = 0; step < 1000; ++step) {
        ASSERT_EQ(places.oldest(), simple.order.front()) << "seed " << seed << ", step " << step;
        const auto what = random() % 3;
        const auto index = what == 0 ? places.oldest() : random() % N;
        if (what == 0 || taken[index]) {
            taken[index] = true;
            what == 1 ? simple.free(index) : simple.touch(index);
            what == 1 ? places.free(index) : places.touch(index);
        }
    }
}

TEST(Places, the_order_is_that_of_use_with_free_places_first)
{
    for (unsigned seed = 1; seed <= 20; ++seed) {
        compare<1>(seed);
        compare<2>(seed);
        compare<5>(seed);
        compare<40>(seed);
    }
}

} // namespace
} // namespace caisson::trusted::curve
