#include "core/crypto/kernels/x25519_comb.hpp"

#include "core/check.hpp"

namespace caisson::crypto::kernels {
namespace {

constexpr std::uint64_t mask51 = (std::uint64_t{1} << 51U) - 1;

// An integer mod 2^255 - 19. No secret is ever in one.
struct Number {
    std::array<std::uint64_t, 5> limb{};
};

Number carried(Number a) noexcept
{
    std::uint64_t over = 0;
    for (auto& limb : a.limb) {
        limb += over;
        over = limb >> 51U;
        limb &= mask51;
    }
    a.limb[0] += 19 * over;
    return a;
}

Number operator*(const Number& a, const Number& b) noexcept
{
    Number out;
    std::array<Wide, 5> column{};
    for (std::size_t i = 0; i < 5; ++i) {
        for (std::size_t j = 0; j < 5; ++j) {
            const auto factor = b.limb[j] * (i + j < 5 ? 1 : 19);
            column[(i + j) % 5] += static_cast<Wide>(a.limb[i]) * factor;
        }
    }
    std::uint64_t over = 0;
    for (std::size_t k = 0; k < 5; ++k) {
        column[k] += over;
        out.limb[k] = static_cast<std::uint64_t>(column[k]) & mask51;
        over = static_cast<std::uint64_t>(column[k] >> 51U);
    }
    out.limb[0] += 19 * over;
    return carried(out);
}

Number operator+(const Number& a, const Number& b) noexcept
{
    Number out;
    for (std::size_t i = 0; i < 5; ++i) {
        out.limb[i] = a.limb[i] + b.limb[i];
    }
    return carried(out);
}

Number operator-(const Number& a, const Number& b) noexcept
{
    Number out;
    for (std::size_t i = 0; i < 5; ++i) {
        out.limb[i] = a.limb[i] + (i == 0 ? 4 * (mask51 - 18) : 4 * mask51) - b.limb[i];
    }
    return carried(out);
}

constexpr Number one{{1, 0, 0, 0, 0}};
constexpr Number zero{};

// a^e, where bit i of e is what `has_bit` says.
template <typename HasBit>
Number power(const Number& a, HasBit has_bit) noexcept
{
    Number out = one;
    for (int bit = 254; bit >= 0; --bit) {
        out = out * out;
        if (has_bit(bit)) {
            out = out * a;
        }
    }
    return out;
}

Number inverse(const Number& a) noexcept
{
    return power(a, [](int bit) { return bit != 2 && bit != 4; }); // p - 2 = 2^255 - 21
}

Number frozen(Number a) noexcept
{
    a = carried(carried(carried(a)));
    Number less = a;
    less.limb[0] += 19;
    std::uint64_t over = 0;
    for (auto& limb : less.limb) {
        limb += over;
        over = limb >> 51U;
        limb &= mask51;
    }
    return over != 0 ? less : a;
}

bool equal_numbers(const Number& a, const Number& b) noexcept
{
    return frozen(a).limb == frozen(b).limb;
}

// A point of -x^2 + y^2 = 1 + d x^2 y^2 in extended coordinates (Hisil, Wong, Carter, Dawson 2008).
struct Point {
    Number x, y, z, t;
};

Point doubled(const Point& p) noexcept
{
    const auto a = p.x * p.x;
    const auto b = p.y * p.y;
    const auto zz = p.z * p.z;
    const auto h = a + b;
    const auto xy = p.x + p.y;
    const auto e = h - xy * xy;
    const auto g = a - b;
    const auto f = zz + zz + g;
    return {e * f, g * h, f * g, e * h};
}

Point sum(const Point& p, const Point& q, const Number& two_d) noexcept
{
    const auto a = (p.y - p.x) * (q.y - q.x);
    const auto b = (p.y + p.x) * (q.y + q.x);
    const auto c = p.t * two_d * q.t;
    const auto zz = p.z * q.z;
    const auto d = zz + zz;
    const auto e = b - a;
    const auto f = d - c;
    const auto g = d + c;
    const auto h = b + a;
    return {e * f, g * h, f * g, e * h};
}

// y = 4/5 and the even x, which is X25519's u = 9.
Point base_point(const Number& d) noexcept
{
    const auto y = Number{{4, 0, 0, 0, 0}} * inverse({{5, 0, 0, 0, 0}});
    const auto yy = y * y;
    const auto xx = (yy - one) * inverse(d * yy + one);
    auto x = power(xx, [](int bit) { return bit >= 1 && bit <= 251; }); // (p + 3) / 8 = 2^252 - 2
    if (!equal_numbers(x * x, xx)) {
        x = x * power({{2, 0, 0, 0, 0}}, [](int bit) { return bit <= 252 && bit != 2; }); // sqrt(-1) = 2^((p - 1) / 4)
    }
    CHECK(equal_numbers(x * x, xx));
    x = frozen(x);
    if ((x.limb[0] & 1U) != 0) {
        x = zero - x;
    }
    return {x, y, one, x * y};
}

void write_window(Comb& comb, std::size_t window, const std::array<Point, comb_points>& points,
                  const Number& two_d) noexcept
{
    // One inversion for all: before[i] is the product of the z's before point i.
    std::array<Number, comb_points> before;
    auto product_of_z = one;
    for (std::size_t index = 0; index < points.size(); ++index) {
        before[index] = product_of_z;
        product_of_z = product_of_z * points[index].z;
    }
    auto inverse_of_rest = inverse(product_of_z);
    for (auto index = points.size(); index-- > 0;) {
        const auto& point = points[index];
        const auto inverse_z = inverse_of_rest * before[index];
        inverse_of_rest = inverse_of_rest * point.z;
        const auto x = point.x * inverse_z;
        const auto y = point.y * inverse_z;
        const std::array<Number, 3> entry{frozen(y + x), frozen(y - x), frozen(x * y * two_d)};
        for (std::size_t part = 0; part < entry.size(); ++part) {
            for (std::size_t limb = 0; limb < 5; ++limb) {
                comb.limb[window][part][limb][index] = entry[part].limb[limb];
            }
        }
    }
}

} // namespace

void make_comb(Comb& comb) noexcept
{
    const auto d = zero - Number{{121665, 0, 0, 0, 0}} * inverse({{121666, 0, 0, 0, 0}});
    const auto two_d = d + d;
    auto point = base_point(d);
    for (int round = 0; round < 3; ++round) { // a clamped secret is a multiple of 8
        point = doubled(point);
    }
    std::array<Point, comb_points> points;
    for (std::size_t window = 0; window < comb_windows; ++window) {
        const auto twice = doubled(point);
        auto multiple = point;
        for (auto& one_of : points) {
            one_of = multiple;
            multiple = sum(multiple, twice, two_d);
        }
        write_window(comb, window, points, two_d);
        for (int round = 0; round < 6; ++round) {
            point = doubled(point);
        }
    }
}

} // namespace caisson::crypto::kernels
