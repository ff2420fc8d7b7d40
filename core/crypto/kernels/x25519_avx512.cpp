// X25519 in eight lanes: shared secrets by the Montgomery ladder, public keys by a comb of which whole rows are read
// (no address depends on a secret), inversions shared by all groups of a call (Montgomery's trick).
#include "core/crypto/kernels/field25519_avx512.hpp"
#include "core/crypto/kernels/forget_call.hpp"
#include "core/crypto/kernels/x25519_comb.hpp"
#include "core/crypto/x25519.hpp"

#include <algorithm>

// Compiled with the flags of its instructions; called only where the CPU has them.
namespace caisson::crypto {
namespace {

using namespace kernels::field25519;
using kernels::comb;
using kernels::comb_windows;
using kernels::Wide;

constexpr std::size_t words = 4;
constexpr std::size_t groups_max = x25519_best_count / lanes;
constexpr std::size_t public_stack_bytes_max = 26112;
constexpr std::size_t shared_stack_bytes_max = 13184;
constexpr std::uint64_t clamp_low = ~std::uint64_t{7};
constexpr std::uint64_t clamp_high = 0x7fffffffffffffffU;
constexpr std::uint64_t clamp_top = 0x4000000000000000U;

// Lanes without a job do what the first does, and their result is dropped.
struct Group {
    std::array<const X25519Job*, lanes> job;
    std::size_t count;

    Group(std::span<const X25519Job> jobs) noexcept
        : count(std::min(jobs.size(), lanes))
    {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            job[lane] = &jobs[lane < count ? lane : 0];
        }
    }
};

// 32 octets of each lane as four words.
void load_words(__m512i* out, const Group& group, const std::uint8_t* X25519Job::* from) noexcept
{
    alignas(64) std::uint64_t word[words][lanes];
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        for (std::size_t index = 0; index < words; ++index) {
            word[index][lane] = kernels::load64(group.job[lane]->*from + 8 * index);
        }
    }
    for (std::size_t index = 0; index < words; ++index) {
        out[index] = _mm512_load_si512(word[index]);
    }
}

void store(const Group& group, Field& a, __mmask8 zero) noexcept
{
    __m512i packed[words];
    freeze(a);
    pack(packed, a);
    alignas(64) std::uint64_t word[words][lanes];
    for (std::size_t index = 0; index < words; ++index) {
        _mm512_store_si512(word[index], _mm512_maskz_mov_epi64(static_cast<__mmask8>(~zero), packed[index]));
    }
    for (std::size_t lane = 0; lane < group.count; ++lane) {
        for (std::size_t index = 0; index < words; ++index) {
            __builtin_memcpy(group.job[lane]->out + 8 * index, &word[index][lane], sizeof word[index][lane]);
        }
    }
}

// Each of `all` to its inverse, with one exponentiation. None is zero.
void invert_many(Field* all, std::size_t count) noexcept
{
    std::array<Field, groups_max> before;
    before[0] = all[0];
    for (std::size_t index = 1; index < count; ++index) {
        multiply_apart(before[index], before[index - 1], all[index]);
    }
    Field inverse;
    invert(inverse, before[count - 1]);
    for (auto index = count - 1; index > 0; --index) {
        Field one;
        multiply_apart(one, inverse, before[index - 1]);
        multiply_apart(inverse, inverse, all[index]);
        all[index] = one;
    }
    all[0] = inverse;
}

// AA + 121665 E
[[gnu::always_inline]] inline void add_24th(Field& out, const Field& aa, const Field& e) noexcept
{
    const auto factor = splat(121665);
    __m512i low[limbs];
    __m512i high[limbs];
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        low[i] = _mm512_madd52lo_epu64(aa.limb[i], e.limb[i], factor);
        high[i] = _mm512_madd52hi_epu64(_mm512_setzero_si512(), e.limb[i], factor);
        high[i] = sum(high[i], high[i]);
    }
#pragma GCC unroll 5
    for (std::size_t i = 1; i < limbs; ++i) {
        out.limb[i] = sum(low[i], high[i - 1]);
    }
    out.limb[0] = sum(low[0], _mm512_mullo_epi64(high[4], splat(19)));
    carry(out);
}

// X/Z of the product of scalar `k` (clamped, words of each lane) and u. RFC 7748, section 5. The pair of products is
// used only through its sum and the square of its difference, so that two of four values need a swap.
[[gnu::noinline]] void climb(Field& x, Field& z, const __m512i* k, const Field& u) noexcept
{
    Field x2 = constant(1);
    Field z2 = constant(0);
    Field x3 = u;
    Field z3 = constant(1);
    __mmask8 swapped = 0;
    for (int bit = 254; bit >= 0; --bit) {
        const auto index = static_cast<unsigned>(bit);
        const auto set = _mm512_test_epi64_mask(k[index / 64], splat(std::uint64_t{1} << (index % 64)));
        const auto swap = static_cast<__mmask8>(set ^ swapped);
        swapped = set;
        Field a;
        Field b;
        Field c;
        Field d;
        Field da;
        Field cb;
        add(a, x2, z2);
        subtract(b, x2, z2);
        add(c, x3, z3);
        subtract(d, x3, z3);
        multiply(da, d, a);
        multiply(cb, c, b);
        select(a, swap, a, c);
        select(b, swap, b, d);
        square(a, a);
        square(b, b);
        add(c, da, cb);
        square(x3, c);
        subtract(c, da, cb);
        square(c, c);
        multiply(z3, u, c);
        multiply(x2, a, b);
        subtract(d, a, b);
        add_24th(c, a, d);
        multiply(z2, d, c);
    }
    select(x, swapped, x2, x3);
    select(z, swapped, z2, z3);
}

// A point of the Edwards curve in extended coordinates, one a lane.
struct Sum {
    Field x, y, z, t;
};

// Adds the multiple of a window's point that six bits of each lane's scalar name; all 32 of the row are read.
[[gnu::noinline]] void add_multiple(Sum& p, const std::uint64_t (&row)[3][limbs][kernels::comb_points],
                                    __m512i window) noexcept
{
    const auto positive = _mm512_test_epi64_mask(window, splat(32));
    const auto negative = static_cast<__mmask8>(~positive);
    auto index = _mm512_and_si512(window, splat(31));
    index = _mm512_mask_xor_epi64(index, negative, index, splat(31));
    const auto upper = _mm512_test_epi64_mask(index, splat(16));
    Field entry[3];
#pragma GCC unroll 3
    for (std::size_t part = 0; part < 3; ++part) {
#pragma GCC unroll 5
        for (std::size_t i = 0; i < limbs; ++i) {
            const auto* from = row[part][i];
            const auto low = _mm512_permutex2var_epi64(_mm512_load_si512(from), index, _mm512_load_si512(from + 8));
            const auto high =
                _mm512_permutex2var_epi64(_mm512_load_si512(from + 16), index, _mm512_load_si512(from + 24));
            entry[part].limb[i] = _mm512_mask_mov_epi64(low, upper, high);
        }
    }
    // The negative of a point has x turned round: y + x and y - x change places, 2dxy its sign.
    Field plus;
    Field minus;
    select(plus, positive, entry[1], entry[0]);
    select(minus, positive, entry[0], entry[1]);
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        entry[2].limb[i] = _mm512_mask_sub_epi64(entry[2].limb[i], negative, limb_of_two_p(i), entry[2].limb[i]);
    }
    Field a;
    Field b;
    Field c;
    Field d;
    Field e;
    Field f;
    subtract(c, p.y, p.x);
    multiply(a, c, minus);
    add(c, p.y, p.x);
    multiply(b, c, plus);
    multiply(c, p.t, entry[2]);
#pragma GCC unroll 5
    for (std::size_t i = 0; i < limbs; ++i) {
        d.limb[i] = sum(p.z.limb[i], p.z.limb[i]);
    }
    subtract(e, b, a);
    add(b, b, a);
    subtract(f, d, c);
    add(d, d, c);
    multiply(p.x, e, f);
    multiply(p.y, d, b);
    multiply(p.t, e, b);
    multiply(p.z, f, d);
}

// The bits that choose windows: with k the clamped secret over 8, made odd by adding the group's order, (k - 1) / 2.
// A bit that is not set then stands for -1, and every window is an odd multiple.
struct Windows {
    alignas(64) std::uint64_t word[words + 1][lanes];

    Windows() = default;
    void take(const Group& group) noexcept
    {
        constexpr std::array<std::uint64_t, words> order{0x5812631a5cf5d3edU, 0x14def9dea2f79cd6U, 0,
                                                         0x1000000000000000U};
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            std::array<std::uint64_t, words> k;
            for (std::size_t index = 0; index < words; ++index) {
                k[index] = kernels::load64(group.job[lane]->secret + 8 * index);
            }
            k[0] &= clamp_low;
            k[3] = (k[3] & clamp_high) | clamp_top;
            shift_down(k, 3);
            const std::uint64_t even = (k[0] & 1U) - 1;
            Wide carry_of = 0;
            for (std::size_t index = 0; index < words; ++index) {
                carry_of += static_cast<Wide>(k[index]) + (order[index] & even);
                k[index] = static_cast<std::uint64_t>(carry_of);
                carry_of >>= 64U;
            }
            shift_down(k, 1);
            for (std::size_t index = 0; index < words; ++index) {
                word[index][lane] = k[index];
            }
            word[words][lane] = 0;
        }
    }
    Windows(const Windows&) = delete;
    Windows& operator=(const Windows&) = delete;

    [[nodiscard]] __m512i at(std::size_t window) const noexcept
    {
        const auto bit = 6 * window;
        const auto shift = static_cast<unsigned>(bit % 64);
        auto bits = _mm512_srlv_epi64(_mm512_load_si512(word[bit / 64]), splat(shift));
        if (shift > 58) {
            bits = _mm512_or_si512(bits, _mm512_sllv_epi64(_mm512_load_si512(word[bit / 64 + 1]), splat(64 - shift)));
        }
        bits = _mm512_and_si512(bits, splat(63));
        return window == comb_windows - 1 ? _mm512_or_si512(bits, splat(32)) : bits;
    }

  private:
    static void shift_down(std::array<std::uint64_t, words>& k, unsigned count) noexcept
    {
        for (std::size_t index = 0; index < words; ++index) {
            const auto above = index + 1 < words ? k[index + 1] << (64 - count) : 0;
            k[index] = (k[index] >> count) | above;
        }
    }
};

// The public keys of up to groups_max groups: u = (Z + Y) / (Z - Y).
[[gnu::noinline]] void make_some_public_keys(std::span<const X25519Job> jobs) noexcept
{
    const auto count = (jobs.size() + lanes - 1) / lanes;
    std::array<Windows, groups_max> windows;
    std::array<Sum, groups_max> sums;
    std::array<Field, groups_max> upper;
    std::array<Field, groups_max> lower;
    for (std::size_t g = 0; g < count; ++g) {
        windows[g].take(Group(jobs.subspan(g * lanes)));
        sums[g] = {constant(0), constant(1), constant(1), constant(0)};
    }
    for (std::size_t window = 0; window < comb_windows; ++window) {
        for (std::size_t g = 0; g < count; ++g) { // the groups share a window's rows while they are near
            add_multiple(sums[g], comb.limb[window], windows[g].at(window));
        }
    }
    for (std::size_t g = 0; g < count; ++g) {
        add(upper[g], sums[g].z, sums[g].y);
        subtract(lower[g], sums[g].z, sums[g].y);
    }
    invert_many(lower.data(), count);
    for (std::size_t g = 0; g < count; ++g) {
        Field u;
        multiply_apart(u, upper[g], lower[g]);
        store(Group(jobs.subspan(g * lanes)), u, 0);
    }
}

[[gnu::noinline]] void make_some_shared_secrets(std::span<const X25519Job> jobs) noexcept
{
    const auto count = (jobs.size() + lanes - 1) / lanes;
    std::array<Field, groups_max> x;
    std::array<Field, groups_max> z;
    std::array<__mmask8, groups_max> zero;
    for (std::size_t g = 0; g < count; ++g) {
        const Group group(jobs.subspan(g * lanes));
        __m512i scalar[words];
        __m512i point[words];
        load_words(scalar, group, &X25519Job::secret);
        load_words(point, group, &X25519Job::point);
        scalar[0] = _mm512_and_si512(scalar[0], splat(clamp_low));
        scalar[3] = _mm512_or_si512(_mm512_and_si512(scalar[3], splat(clamp_high)), splat(clamp_top));
        climb(x[g], z[g], scalar, unpack(point));
        // A point of low order gives Z = 0, which in the shared inversion would make every lane zero.
        Field frozen = z[g];
        freeze(frozen);
        auto any = frozen.limb[0];
        for (std::size_t i = 1; i < limbs; ++i) {
            any = _mm512_or_si512(any, frozen.limb[i]);
        }
        zero[g] = _mm512_testn_epi64_mask(any, any);
        select(z[g], zero[g], z[g], constant(1));
    }
    invert_many(z.data(), count);
    for (std::size_t g = 0; g < count; ++g) {
        Field u;
        multiply_apart(u, x[g], z[g]);
        store(Group(jobs.subspan(g * lanes)), u, zero[g]);
    }
}

template <auto Make>
void in_portions(std::span<const X25519Job> jobs) noexcept
{
    while (!jobs.empty()) {
        const auto count = std::min(jobs.size(), x25519_best_count);
        Make(jobs.first(count));
        jobs = jobs.subspan(count);
    }
}

} // namespace

void make_public_keys(std::span<const X25519Job> jobs) noexcept
{
    in_portions<make_some_public_keys>(jobs);
    kernels::forget_call<public_stack_bytes_max>();
}

void make_shared_secrets(std::span<const X25519Job> jobs) noexcept
{
    in_portions<make_some_shared_secrets>(jobs);
    kernels::forget_call<shared_stack_bytes_max>();
}

} // namespace caisson::crypto
