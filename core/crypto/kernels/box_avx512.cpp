// One message: its blocks side by side in AVX-512, four in the rows of a register while it is short, else sixteen or
// thirty-two; Poly1305 of a long one over sixteen blocks at a time (IFMA).
#include "core/crypto/constant_time.hpp"
#include "core/crypto/kernels/box.hpp"
#include "core/crypto/kernels/poly1305.hpp"
#include "core/crypto/kernels/salsa20_avx512.hpp"

#include <algorithm>

// Compiled with the flags of its instructions; called only where the CPU has them.
namespace caisson::crypto::kernels {
namespace {

using avx512::lanes;
using avx512::splat32;
using avx512::splat64;
using avx512::state_words;
using avx512::Vector;

constexpr std::size_t poly_step_bytes = 16 * poly1305_block_bytes;
constexpr std::size_t long_poly_bytes_min = 2 * poly_step_bytes; // below, sixteen powers of r cost more than they save

struct Words {
    std::array<std::uint32_t, 8> key;
    std::uint32_t nonce0;
    std::uint32_t nonce1;

    explicit Words(const BoxPosition& at) noexcept
    {
        std::memcpy(key.data(), at.key.expose().data(), sizeof key);
        const auto nonce = __builtin_bswap64(at.counter);
        nonce0 = static_cast<std::uint32_t>(nonce);
        nonce1 = static_cast<std::uint32_t>(nonce >> 32U);
    }
    ~Words() { wipe({reinterpret_cast<std::uint8_t*>(key.data()), sizeof key}); }
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;
};

// Up to thirty-two blocks of key stream in order; one vector more is scratch of the rounds.
struct Blocks {
    std::array<Vector, 2 * state_words + 1> block;

    ~Blocks() { wipe({reinterpret_cast<std::uint8_t*>(block.data()), sizeof block}); }
    [[nodiscard]] const std::uint8_t* poly_key() const noexcept
    {
        return reinterpret_cast<const std::uint8_t*>(block.data());
    }
};

__m512i row(std::uint32_t word0, std::uint32_t word1, std::uint32_t word2, std::uint32_t word3) noexcept
{
    return _mm512_broadcast_i32x4(_mm_set_epi32(static_cast<int>(word3), static_cast<int>(word2),
                                                static_cast<int>(word1), static_cast<int>(word0)));
}

// The columns of four blocks as diagonals: a = words 0 5 10 15, b = 4 9 14 3, c = 8 13 2 7, d = 12 1 6 11.
struct Diagonals {
    __m512i a, b, c, d;

    [[gnu::always_inline]] void half_round() noexcept
    {
        b = _mm512_xor_si512(b, _mm512_rol_epi32(_mm512_add_epi32(a, d), 7));
        c = _mm512_xor_si512(c, _mm512_rol_epi32(_mm512_add_epi32(b, a), 9));
        d = _mm512_xor_si512(d, _mm512_rol_epi32(_mm512_add_epi32(c, b), 13));
        a = _mm512_xor_si512(a, _mm512_rol_epi32(_mm512_add_epi32(d, c), 18));
        const auto turned = _mm512_shuffle_epi32(d, _MM_PERM_ADCB);
        c = _mm512_shuffle_epi32(c, _MM_PERM_BADC);
        d = _mm512_shuffle_epi32(b, _MM_PERM_CBAD);
        b = turned;
    }
};

__m512i picked(__m512i lane0, __m512i lane1, __m512i lane2, __m512i lane3) noexcept
{
    const auto low = _mm512_mask_mov_epi32(lane0, 0x2222, lane1);
    return _mm512_mask_mov_epi32(_mm512_mask_mov_epi32(low, 0x4444, lane2), 0x8888, lane3);
}

// Blocks 0 to 3. The time is the latency of twenty rounds.
void make_four_blocks(const Words& words, Blocks& out) noexcept
{
    const auto& key = words.key;
    const auto counters = _mm512_set_epi32(0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0);
    const Diagonals initial{
        row(salsa20_sigma[0], salsa20_sigma[1], salsa20_sigma[2], salsa20_sigma[3]), row(key[3], 0, key[7], key[2]),
        _mm512_or_si512(row(0, key[6], key[1], words.nonce1), counters), row(key[5], key[0], words.nonce0, key[4])};
    auto x = initial;
    for (int round = 0; round < 20; ++round) {
        x.half_round();
    }
    x.a = _mm512_add_epi32(x.a, initial.a);
    x.b = _mm512_add_epi32(x.b, initial.b);
    x.c = _mm512_add_epi32(x.c, initial.c);
    x.d = _mm512_add_epi32(x.d, initial.d);
    const auto row0 = picked(x.a, x.d, x.c, x.b);
    const auto row1 = picked(x.b, x.a, x.d, x.c);
    const auto row2 = picked(x.c, x.b, x.a, x.d);
    const auto row3 = picked(x.d, x.c, x.b, x.a);
    const auto low01 = _mm512_shuffle_i32x4(row0, row1, 0x44);
    const auto high01 = _mm512_shuffle_i32x4(row0, row1, 0xee);
    const auto low23 = _mm512_shuffle_i32x4(row2, row3, 0x44);
    const auto high23 = _mm512_shuffle_i32x4(row2, row3, 0xee);
    out.block[0].value = _mm512_shuffle_i32x4(low01, low23, 0x88);
    out.block[1].value = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    out.block[2].value = _mm512_shuffle_i32x4(high01, high23, 0x88);
    out.block[3].value = _mm512_shuffle_i32x4(high01, high23, 0xdd);
}

// Lane l is block `first` + l.
void set_lanes(Vector* initial, const Words& words, std::uint64_t first) noexcept
{
    for (std::size_t index = 0; index < 4; ++index) {
        initial[5 * index].value = splat32(salsa20_sigma[index]);
        initial[1 + index].value = splat32(words.key[index]);
        initial[11 + index].value = splat32(words.key[4 + index]);
    }
    const auto lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    initial[6].value = splat32(words.nonce0);
    initial[7].value = splat32(words.nonce1);
    const auto low = splat32(static_cast<std::uint32_t>(first));
    const auto high = splat32(static_cast<std::uint32_t>(first >> 32U));
    initial[8].value = _mm512_add_epi32(low, lane);
    const auto carried = _mm512_cmplt_epu32_mask(initial[8].value, low);
    initial[9].value = _mm512_mask_add_epi32(high, carried, high, splat32(1));
}

// At least `wanted` blocks from block `first` on, thirty-two at most. Returns how many there are.
std::size_t make_blocks(const Words& words, std::uint64_t first, std::size_t wanted, Blocks& out) noexcept
{
    if (first == 0 && wanted <= 4) {
        make_four_blocks(words, out);
        return 4;
    }
    std::array<Vector, 2 * state_words> initial;
    const MutableBytes secret(reinterpret_cast<std::uint8_t*>(initial.data()), sizeof initial);
    set_lanes(initial.data(), words, first);
    std::size_t count = lanes;
    if (wanted <= lanes) {
        avx512::salsa20_one(out.block.data(), initial.data());
        avx512::transpose16(out.block.data());
    } else {
        set_lanes(initial.data() + state_words, words, first + lanes);
        avx512::salsa20_two(out.block.data(), initial.data(), initial.data() + state_words);
        avx512::transpose16(out.block.data());
        avx512::transpose16(out.block.data() + state_words);
        count = 2 * lanes;
    }
    wipe(secret.first(count * sizeof(Vector)));
    return count;
}

// The whole of `part`, of which only `size` bytes are wanted.
void add_part(const std::uint8_t* from, std::uint8_t* to, std::size_t size, __m512i part) noexcept
{
    const auto mask = size >= salsa20_block_bytes ? ~__mmask64{0} : (__mmask64{1} << size) - 1;
    const auto text = _mm512_maskz_loadu_epi8(mask, from);
    _mm512_mask_storeu_epi8(to, mask, _mm512_xor_si512(text, part));
}

// Adds the key stream to the text; `blocks` holds the first `count` of it and is used up.
void apply_key_stream(const Words& words, Blocks& blocks, std::size_t count, const std::uint8_t* from, std::uint8_t* to,
                      std::size_t size) noexcept
{
    constexpr std::size_t half = salsa20_block_bytes - box_key_bytes;
    add_part(from, to, std::min(size, half), _mm512_shuffle_i32x4(blocks.block[0].value, blocks.block[0].value, 0xee));
    std::uint64_t first = 0;
    std::size_t index = 1;
    for (std::size_t done = half; done < size; done += salsa20_block_bytes, ++index) {
        if (index == count) {
            first += count;
            count = make_blocks(words, first, (size - done + salsa20_block_bytes - 1) / salsa20_block_bytes, blocks);
            index = 0;
        }
        add_part(from + done, to + done, size - done, blocks.block[index].value);
    }
}

// Eight blocks of Poly1305, one a lane.
struct PolyLanes {
    __m512i limb0, limb1, limb2;
};

__m512i twenty_times(__m512i value) noexcept
{
    return _mm512_add_epi64(_mm512_slli_epi64(value, 4), _mm512_slli_epi64(value, 2));
}

[[gnu::always_inline]] inline void poly_add(PolyLanes& state, __m512i low, __m512i high) noexcept
{
    const auto m44 = splat64(mask44);
    state.limb0 = _mm512_add_epi64(state.limb0, _mm512_and_si512(low, m44));
    state.limb1 = _mm512_add_epi64(state.limb1, _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), m44));
    state.limb2 =
        _mm512_add_epi64(state.limb2, _mm512_or_si512(_mm512_srli_epi64(high, 24), splat64(std::uint64_t{1} << 40U)));
}

// state *= factor; limbs stay small enough for the 52 bits of the multiplier.
[[gnu::always_inline]] inline void poly_multiply(PolyLanes& state, const PolyLanes& factor) noexcept
{
    const auto m44 = splat64(mask44);
    const auto zero = _mm512_setzero_si512();
    const auto folded1 = twenty_times(factor.limb1);
    const auto folded2 = twenty_times(factor.limb2);
    const auto [a0, a1, a2] = state;
    const auto sum_low = [&](__m512i by2, __m512i by1, __m512i by0) {
        return _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(_mm512_madd52lo_epu64(zero, a2, by2), a1, by1), a0, by0);
    };
    const auto sum_high = [&](__m512i by2, __m512i by1, __m512i by0) {
        return _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(_mm512_madd52hi_epu64(zero, a2, by2), a1, by1), a0, by0);
    };
    const auto low0 = sum_low(folded1, folded2, factor.limb0);
    const auto high0 = sum_high(folded1, folded2, factor.limb0);
    auto low1 = sum_low(folded2, factor.limb0, factor.limb1);
    const auto high1 = sum_high(folded2, factor.limb0, factor.limb1);
    auto low2 = sum_low(factor.limb0, factor.limb1, factor.limb2);
    const auto high2 = sum_high(factor.limb0, factor.limb1, factor.limb2);
    low1 = _mm512_add_epi64(_mm512_add_epi64(low1, _mm512_slli_epi64(high0, 8)), _mm512_srli_epi64(low0, 44));
    low2 = _mm512_add_epi64(_mm512_add_epi64(low2, _mm512_slli_epi64(high1, 8)), _mm512_srli_epi64(low1, 44));
    const auto carry = _mm512_add_epi64(_mm512_slli_epi64(high2, 10), _mm512_srli_epi64(low2, 42));
    const auto limb0 =
        _mm512_add_epi64(_mm512_and_si512(low0, m44), _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2)));
    state.limb0 = _mm512_and_si512(limb0, m44);
    state.limb1 = _mm512_add_epi64(_mm512_and_si512(low1, m44), _mm512_srli_epi64(limb0, 44));
    state.limb2 = _mm512_and_si512(low2, splat64(mask42));
}

// What each lane of the last step is multiplied by: block i of its sixteen is due r^(16 - i).
PolyLanes last_factors(const PolyPowers& powers, std::size_t group) noexcept
{
    constexpr std::array<std::size_t, 8> block_of_lane{0, 4, 1, 5, 2, 6, 3, 7}; // as unpacking leaves them
    alignas(64) std::uint64_t limb[3][8];
    for (std::size_t lane = 0; lane < block_of_lane.size(); ++lane) {
        const auto& power = powers.of[16 - 8 * group - block_of_lane[lane]];
        limb[0][lane] = power.limb0;
        limb[1][lane] = power.limb1;
        limb[2][lane] = power.limb2;
    }
    const PolyLanes out{_mm512_load_si512(limb[0]), _mm512_load_si512(limb[1]), _mm512_load_si512(limb[2])};
    wipe({reinterpret_cast<std::uint8_t*>(limb), sizeof limb});
    return out;
}

// Sixteen blocks at a time: every lane goes by r^16, and at the end by what its last block is due.
class LongPoly {
  public:
    LongPoly(const PolyPowers& powers, const PolyElement& state) noexcept
        : powers_(powers)
        , common_{splat64(powers.of[16].limb0), splat64(powers.of[16].limb1), splat64(powers.of[16].limb2)}
    {
        const auto first_lane = [](std::uint64_t value) { return _mm512_maskz_mov_epi64(1, splat64(value)); };
        const auto zero = _mm512_setzero_si512();
        even_ = {first_lane(state.limb0), first_lane(state.limb1), first_lane(state.limb2)};
        odd_ = {zero, zero, zero};
    }

    void absorb(const std::uint8_t* text, std::size_t steps) noexcept
    {
        for (std::size_t step = 0; step < steps; ++step, text += poly_step_bytes) {
            if (begun_) {
                poly_multiply(even_, common_);
                poly_multiply(odd_, common_);
            }
            begun_ = true;
            add(even_, text);
            add(odd_, text + poly_step_bytes / 2);
        }
    }

    // Requires: at least one step was absorbed.
    [[nodiscard]] PolyElement finish() noexcept
    {
        poly_multiply(even_, last_factors(powers_, 0));
        poly_multiply(odd_, last_factors(powers_, 1));
        const auto sum = [](__m512i left, __m512i right) {
            return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(left, right)));
        };
        PolyElement state{sum(even_.limb0, odd_.limb0), sum(even_.limb1, odd_.limb1), sum(even_.limb2, odd_.limb2)};
        state.limb1 += state.limb0 >> 44U;
        state.limb0 &= mask44;
        state.limb2 += state.limb1 >> 44U;
        state.limb1 &= mask44;
        state.limb0 += (state.limb2 >> 42U) * 5;
        state.limb2 &= mask42;
        return state;
    }

  private:
    static void add(PolyLanes& state, const std::uint8_t* from) noexcept
    {
        const auto first = _mm512_loadu_si512(from);
        const auto second = _mm512_loadu_si512(from + sizeof(__m512i));
        poly_add(state, _mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
    }

    const PolyPowers& powers_;
    PolyLanes common_;
    PolyLanes even_;
    PolyLanes odd_;
    bool begun_ = false;
};

void write_tag(const std::uint8_t* key, Bytes ciphertext, std::uint8_t* tag) noexcept
{
    Poly1305 poly(key);
    if (ciphertext.size() >= long_poly_bytes_min) {
        PolyPowers powers;
        powers.make(poly.factor());
        LongPoly lanes_of(powers, {});
        const auto steps = ciphertext.size() / poly_step_bytes;
        lanes_of.absorb(ciphertext.data(), steps);
        poly.set_state(lanes_of.finish());
        ciphertext = ciphertext.subspan(steps * poly_step_bytes);
    }
    poly.absorb(ciphertext);
    poly.finish(tag);
}

std::size_t first_blocks(const Words& words, std::size_t text_bytes, Blocks& out) noexcept
{
    return make_blocks(words, 0, (box_key_bytes + text_bytes + salsa20_block_bytes - 1) / salsa20_block_bytes, out);
}

} // namespace

void seal_box_avx512(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    const Words words(at);
    Blocks blocks;
    const auto count = first_blocks(words, text.size(), blocks);
    ByteArray<box_key_bytes> key; // later blocks of a long text take the place of the first
    std::memcpy(key.data(), blocks.poly_key(), key.size());
    auto* ciphertext = output + box_tag_bytes;
    apply_key_stream(words, blocks, count, movable_source(text, ciphertext), ciphertext, text.size());
    write_tag(key.data(), {ciphertext, text.size()}, output);
    wipe(key);
}

bool open_box_avx512(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    const Words words(at);
    const auto ciphertext = box.subspan(box_tag_bytes);
    Blocks blocks;
    const auto count = first_blocks(words, ciphertext.size(), blocks);
    ByteArray<box_tag_bytes> tag;
    write_tag(blocks.poly_key(), ciphertext, tag.data());
    const bool good = public_verdict(equal(tag, box.first(box_tag_bytes)));
    if (good) {
        apply_key_stream(words, blocks, count, movable_source(ciphertext, output), output, ciphertext.size());
    }
    return good;
}

void run_blocks_avx512(const BoxPosition& at, const BoxRun& run, Poly1305& poly, PolyPowers& powers) noexcept
{
    constexpr std::size_t blocks_per_step = poly_step_bytes / salsa20_block_bytes;
    if (!powers.made) {
        powers.make(poly.factor());
    }
    const Words words(at);
    Blocks blocks;
    LongPoly long_poly(powers, poly.state());
    const auto absorb = [&](const std::uint8_t* text, std::size_t count, bool last) {
        const auto steps = count / blocks_per_step;
        long_poly.absorb(text, steps);
        if (last) {
            if (run.blocks >= blocks_per_step) {
                poly.set_state(long_poly.finish());
            }
            poly.absorb(Bytes(text, count * salsa20_block_bytes).subspan(steps * poly_step_bytes));
        }
    };
    for (std::size_t done = 0; done < run.blocks;) {
        const auto* from = run.from + done * salsa20_block_bytes;
        auto* to = run.to + done * salsa20_block_bytes;
        const auto left = run.blocks - done;
        const auto count = std::min(make_blocks(words, run.first + done, left, blocks), left);
        if (run.opening) {
            absorb(from, count, count == left);
        }
        for (std::size_t index = 0; index < count; ++index) {
            add_part(from + index * salsa20_block_bytes, to + index * salsa20_block_bytes, salsa20_block_bytes,
                     blocks.block[index].value);
        }
        if (!run.opening) {
            absorb(to, count, count == left);
        }
        done += count;
    }
}

} // namespace caisson::crypto::kernels
