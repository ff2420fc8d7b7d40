// Sixteen messages side by side: each has a lane of Salsa20, two blocks of it a time, and a lane of Poly1305.
#include "core/crypto/kernels/box_batch.hpp"
#include "core/crypto/kernels/forget_call.hpp"
#include "core/crypto/kernels/poly1305_avx512.hpp"

#include <algorithm>

// Compiled with the flags of its instructions; called only where the CPU has them.
namespace caisson::crypto::kernels {
namespace {

using namespace avx512;

constexpr std::size_t row_bytes = salsa20_block_bytes;
constexpr std::size_t half_words = state_words / 2;
// Above, the blocks of one message fill the lanes as well as messages do.
constexpr std::size_t batched_text_bytes_max = 4096;
constexpr std::size_t stack_bytes_max = 9856;

// Sixteen messages, one a lane. Lanes without a message do what the first one does, once more: all of a row is read
// before any of it is written.
struct Group {
    std::array<const std::uint8_t*, lanes> from;
    std::array<std::uint8_t*, lanes> to;
    std::array<std::size_t, lanes> size;
    std::array<const BoxJob*, lanes> job;
    std::size_t count;
    std::size_t size_max;
    bool same_size;
    bool same_key;

    Group(const BoxJob* const* jobs, std::size_t jobs_count) noexcept
        : count(jobs_count)
        , size_max(0)
    {
        std::uintptr_t other_key = 0;
        std::size_t other_size = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto* one = jobs[lane < count ? lane : 0];
            job[lane] = one;
            size[lane] = one->size;
            size_max = std::max(size_max, one->size);
            other_size |= one->size ^ jobs[0]->size;
            other_key |= reinterpret_cast<std::uintptr_t>(one->key) ^ reinterpret_cast<std::uintptr_t>(jobs[0]->key);
        }
        same_size = other_size == 0;
        same_key = other_key == 0;
    }
    // Where each lane reads and writes, once that of the messages is known.
    void fill() noexcept
    {
        for (auto lane = count; lane < lanes; ++lane) {
            from[lane] = from[0];
            to[lane] = to[0];
        }
    }
};

// What a call works on. Like all of its stack it is overwritten at the end.
struct Scratch {
    LaneState state;
    Vector x[2 * state_words + 1];
    Vector carried[half_words];
    PolyKeys keys[2];
    PolyLanes sums[2];
    const BoxSubkey* loaded_key = nullptr;
    bool used = false;

    Scratch() = default;
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    void start() noexcept
    {
        for (std::size_t index = 0; index < salsa20_sigma.size(); ++index) {
            state.initial[5 * index].value = splat32(salsa20_sigma[index]);
        }
        state.initial[9].value = _mm512_setzero_si512();
        state.initial[6].value = _mm512_setzero_si512();
        used = true;
    }
};

constexpr std::size_t key_word(std::size_t index) noexcept
{
    return index < 4 ? 1 + index : 7 + index;
}

void set_one_key(LaneState& state, const BoxSubkey& key) noexcept
{
    for (std::size_t index = 0; index < 8; ++index) {
        std::uint32_t word;
        __builtin_memcpy(&word, key.expose().data() + 4 * index, sizeof word);
        state.initial[key_word(index)].value = splat32(word);
    }
}

void set_keys(LaneState& state, const Group& group) noexcept
{
    Vector rows_of[lanes];
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        rows_of[lane].value = _mm512_castsi256_si512(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group.job[lane]->key->expose().data())));
    }
    transpose16(rows_of, rows_of, rows_of + half_words);
    for (std::size_t index = 0; index < 8; ++index) {
        state.initial[key_word(index)].value = rows_of[index].value;
    }
}

// Keys and nonces of the group, and what the first column round makes of them.
void set_lanes(Scratch& scratch, const Group& group) noexcept
{
    if (!scratch.used) {
        scratch.start();
    }
    auto& state = scratch.state;
    const auto even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const auto odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const auto backwards = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    alignas(64) std::array<std::uint64_t, lanes> counters;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        counters[lane] = group.job[lane]->counter;
    }
    const auto low = _mm512_shuffle_epi8(_mm512_load_si512(counters.data()), backwards);
    const auto high = _mm512_shuffle_epi8(_mm512_load_si512(counters.data() + lanes / 2), backwards);
    const auto nonce0 = _mm512_permutex2var_epi32(low, even, high);
    const bool one_key = group.same_key && scratch.loaded_key == group.job[0]->key;
    if (!one_key || _mm512_cmpneq_epi32_mask(nonce0, state.initial[6].value) != 0) {
        if (group.same_key) {
            set_one_key(state, *group.job[0]->key);
        } else {
            set_keys(state, group);
        }
        scratch.loaded_key = group.same_key ? group.job[0]->key : nullptr;
        state.initial[6].value = nonce0;
        state.begin_common_columns();
    }
    state.initial[7].value = _mm512_permutex2var_epi32(low, odd, high);
    state.begin_nonce_column();
}

// Blocks `first` and the next of every lane, or the first alone.
void make_pair(Scratch& scratch, std::size_t first, bool both) noexcept
{
    const auto number = static_cast<std::uint32_t>(first);
    scratch.state.begin_block_column(splat32(number), splat32(number + 1));
    if (both) {
        salsa20_two(scratch.x, scratch.state);
    } else {
        salsa20_one(scratch.x, scratch.state);
    }
}

constexpr bool needs_block(std::size_t size, std::size_t block) noexcept
{
    return size + box_key_bytes > block * row_bytes;
}

// Blocks 0 and 1 of every lane, and the keys of the tags.
void begin_group(Scratch& scratch, const Group& group) noexcept
{
    set_lanes(scratch, group);
    make_pair(scratch, 0, needs_block(group.size_max, 1));
    take_poly_keys(scratch.x, scratch.keys);
    scratch.sums[0] = scratch.sums[1] = poly_zero();
}

// Eight words each of the key stream of a row: the second half of one block and the first of the next.
struct RowWords {
    bool carried; // the one block was made with the pair before
    [[nodiscard]] const Vector* low(const Scratch& scratch) const noexcept
    {
        return carried ? scratch.carried : scratch.x + half_words;
    }
    [[nodiscard]] const Vector* high(const Scratch& scratch) const noexcept
    {
        return carried ? scratch.x : scratch.x + 2 * half_words;
    }
};

// Calls use(offset, words) for each 64 octets of text. Requires: begin_group.
template <typename Use>
[[gnu::always_inline]] inline void for_each_row(Scratch& scratch, std::size_t size, Use use) noexcept
{
    for (std::size_t row = 0; row * row_bytes < size; ++row) {
        const bool carried = row % 2 == 1;
        if (carried) {
            for (std::size_t word = 0; word < half_words; ++word) {
                scratch.carried[word] = scratch.x[3 * half_words + word];
            }
            if (needs_block(size, row + 1)) {
                make_pair(scratch, row + 1, needs_block(size, row + 2));
            }
        }
        use(row * row_bytes, RowWords{carried});
    }
}

// Which octets of a row belong to each lane's text, and which of its four Poly1305 blocks are there and are whole.
struct RowMasks {
    std::array<__mmask64, lanes> text{};
    std::array<__mmask64, lanes> end{}; // the octet after a text that ends within a Poly1305 block
    std::array<std::array<__mmask8, 4>, 2> there{};
    std::array<std::array<__mmask8, 4>, 2> whole{};

    RowMasks(const Group& group, std::size_t offset) noexcept
    {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto left = group.size[lane] > offset ? group.size[lane] - offset : 0;
            text[lane] = left >= row_bytes ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
            end[lane] = left < row_bytes && left % poly1305_block_bytes != 0 ? __mmask64{1} << left : 0;
            const auto bit = static_cast<__mmask8>(1U << (lane % 8));
            for (std::size_t block = 0; block < 4; ++block) {
                auto& is_there = there[lane / 8][block];
                auto& is_whole = whole[lane / 8][block];
                is_there = static_cast<__mmask8>(left > block * poly1305_block_bytes ? is_there | bit : is_there);
                is_whole =
                    static_cast<__mmask8>(left >= (block + 1) * poly1305_block_bytes ? is_whole | bit : is_whole);
            }
        }
    }
};

// Four whole blocks of every lane; `rows_of` is used up.
[[gnu::always_inline]] inline void absorb_rows(Scratch& scratch, Vector* rows_of) noexcept
{
    auto first = scratch.sums[0];
    auto second = scratch.sums[1];
    transpose8(rows_of);
    transpose8(rows_of + 8);
#pragma GCC unroll 4
    for (std::size_t block = 0; block < 4; ++block) {
        poly_add(first, rows_of[2 * block].value, rows_of[2 * block + 1].value, whole_block_bit());
        poly_add(second, rows_of[8 + 2 * block].value, rows_of[9 + 2 * block].value, whole_block_bit());
        poly_multiply<PolyFactor::clamped>(first, scratch.keys[0].r);
        poly_multiply<PolyFactor::clamped>(second, scratch.keys[1].r);
    }
    scratch.sums[0] = first;
    scratch.sums[1] = second;
}

// What `masks` says is there; octets beyond a text are zero in `rows_of`, which is used up.
void absorb_masked(Scratch& scratch, Vector* rows_of, const RowMasks& masks) noexcept
{
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        rows_of[lane].value = _mm512_mask_mov_epi8(rows_of[lane].value, masks.end[lane], _mm512_set1_epi8(1));
    }
    for (std::size_t half = 0; half < 2; ++half) {
        auto* const q = rows_of + 8 * half;
        transpose8(q);
        auto& sum = scratch.sums[half];
        for (std::size_t block = 0; block < 4; ++block) {
            const auto there = masks.there[half][block];
            if (there == 0) {
                break;
            }
            auto next = sum;
            poly_add(next, q[2 * block].value, q[2 * block + 1].value,
                     _mm512_maskz_mov_epi64(masks.whole[half][block], whole_block_bit()));
            poly_multiply<PolyFactor::clamped>(next, scratch.keys[half].r);
            sum.limb0 = _mm512_mask_mov_epi64(sum.limb0, there, next.limb0);
            sum.limb1 = _mm512_mask_mov_epi64(sum.limb1, there, next.limb1);
            sum.limb2 = _mm512_mask_mov_epi64(sum.limb2, there, next.limb2);
        }
    }
}

// The last sixteen octets or less of texts of one size: 128 bits a lane, part p of `part[j]` for lane 4p + j.
struct Tails {
    Vector part[4];

    [[gnu::always_inline]] void load(const Group& group, std::size_t offset, __mmask16 mask) noexcept
    {
        for (std::size_t j = 0; j < 4; ++j) {
            const auto at = [&](std::size_t p) __attribute__((always_inline)) {
                return _mm_maskz_loadu_epi8(mask, group.from[4 * p + j] + offset);
            };
            const auto low = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
            const auto high = _mm256_inserti128_si256(_mm256_castsi128_si256(at(2)), at(3), 1);
            part[j].value = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        }
    }
    // Adds the first four words of `words`; octets beyond the text stay zero.
    [[gnu::always_inline]] void add_key_stream(const Vector* words, __mmask16 mask) noexcept
    {
        const auto octets = static_cast<__mmask64>(mask) * 0x0001000100010001U;
        const auto t0 = _mm512_unpacklo_epi32(words[0].value, words[1].value);
        const auto t1 = _mm512_unpackhi_epi32(words[0].value, words[1].value);
        const auto t2 = _mm512_unpacklo_epi32(words[2].value, words[3].value);
        const auto t3 = _mm512_unpackhi_epi32(words[2].value, words[3].value);
        const auto add = [&](std::size_t j, __m512i key) __attribute__((always_inline)) {
            part[j].value = _mm512_maskz_mov_epi8(octets, _mm512_xor_si512(part[j].value, key));
        };
        add(0, _mm512_unpacklo_epi64(t0, t2));
        add(1, _mm512_unpackhi_epi64(t0, t2));
        add(2, _mm512_unpacklo_epi64(t1, t3));
        add(3, _mm512_unpackhi_epi64(t1, t3));
    }
    [[gnu::always_inline]] void store(const Group& group, std::size_t offset, __mmask16 mask) const noexcept
    {
        for (std::size_t j = 0; j < 4; ++j) {
            _mm_mask_storeu_epi8(group.to[j] + offset, mask, _mm512_castsi512_si128(part[j].value));
            _mm_mask_storeu_epi8(group.to[4 + j] + offset, mask, _mm512_extracti32x4_epi32(part[j].value, 1));
            _mm_mask_storeu_epi8(group.to[8 + j] + offset, mask, _mm512_extracti32x4_epi32(part[j].value, 2));
            _mm_mask_storeu_epi8(group.to[12 + j] + offset, mask, _mm512_extracti32x4_epi32(part[j].value, 3));
        }
    }
    [[gnu::always_inline]] void absorb(Scratch& scratch, std::size_t size) noexcept
    {
        if (size < poly1305_block_bytes) {
            const auto end = (std::uint64_t{1} << size) * 0x0001000100010001U;
            for (auto& one : part) {
                one.value = _mm512_mask_mov_epi8(one.value, end, _mm512_set1_epi8(1));
            }
        }
        const auto bit = size == poly1305_block_bytes ? whole_block_bit() : _mm512_setzero_si512();
        const auto first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
        const auto second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
        const auto low01 = _mm512_unpacklo_epi64(part[0].value, part[1].value);
        const auto low23 = _mm512_unpacklo_epi64(part[2].value, part[3].value);
        const auto high01 = _mm512_unpackhi_epi64(part[0].value, part[1].value);
        const auto high23 = _mm512_unpackhi_epi64(part[2].value, part[3].value);
        poly_add(scratch.sums[0], _mm512_permutex2var_epi64(low01, first, low23),
                 _mm512_permutex2var_epi64(high01, first, high23), bit);
        poly_add(scratch.sums[1], _mm512_permutex2var_epi64(low01, second, low23),
                 _mm512_permutex2var_epi64(high01, second, high23), bit);
        poly_multiply<PolyFactor::clamped>(scratch.sums[0], scratch.keys[0].r);
        poly_multiply<PolyFactor::clamped>(scratch.sums[1], scratch.keys[1].r);
    }
};

enum class RowKind : std::uint8_t { whole, tail, mixed };

RowKind kind_of(const Group& group, std::size_t offset) noexcept
{
    if (!group.same_size) {
        return RowKind::mixed;
    }
    const auto left = group.size_max - offset;
    if (left >= row_bytes) {
        return RowKind::whole;
    }
    return left <= poly1305_block_bytes ? RowKind::tail : RowKind::mixed;
}

__mmask16 tail_mask(std::size_t size) noexcept
{
    return static_cast<__mmask16>((1U << size) - 1);
}

// Adds the key stream to a whole row of every lane, and writes it.
[[gnu::always_inline]] inline void convert_row(const Scratch& scratch, const Group& group, std::size_t offset,
                                               RowWords words, Vector* rows_of) noexcept
{
    transpose16(rows_of, words.low(scratch), words.high(scratch));
#pragma GCC unroll 16
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        rows_of[lane].value = _mm512_xor_si512(rows_of[lane].value, _mm512_loadu_si512(group.from[lane] + offset));
    }
#pragma GCC unroll 16
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        _mm512_storeu_si512(group.to[lane] + offset, rows_of[lane].value);
    }
}

// The same for the octets that are there, of the lanes in `chosen`; the others are zero in `rows_of`.
void convert_masked(const Scratch& scratch, const Group& group, std::size_t offset, RowWords words,
                    const RowMasks& masks, __mmask16 chosen, Vector* rows_of) noexcept
{
    transpose16(rows_of, words.low(scratch), words.high(scratch));
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const auto mask = masks.text[lane];
        const auto text = _mm512_maskz_loadu_epi8(mask, group.from[lane] + offset);
        rows_of[lane].value = _mm512_maskz_mov_epi8(mask, _mm512_xor_si512(rows_of[lane].value, text));
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const auto mask = ((chosen >> lane) & 1U) != 0 ? masks.text[lane] : 0;
        _mm512_mask_storeu_epi8(group.to[lane] + offset, mask, rows_of[lane].value);
    }
}

// Encrypts and absorbs a row of every lane.
[[gnu::always_inline]] inline void seal_row(Scratch& scratch, const Group& group, std::size_t offset,
                                            RowWords words) noexcept
{
    const auto kind = kind_of(group, offset);
    if (kind == RowKind::tail) {
        const auto left = group.size_max - offset;
        Tails tails;
        tails.load(group, offset, tail_mask(left));
        tails.add_key_stream(words.low(scratch), tail_mask(left));
        tails.store(group, offset, tail_mask(left));
        tails.absorb(scratch, left);
        return;
    }
    Vector rows_of[lanes];
    if (kind == RowKind::whole) {
        convert_row(scratch, group, offset, words, rows_of);
        absorb_rows(scratch, rows_of);
        return;
    }
    const RowMasks masks(group, offset);
    convert_masked(scratch, group, offset, words, masks, 0xffff, rows_of);
    absorb_masked(scratch, rows_of, masks);
}

// Absorbs the ciphertext of a row.
[[gnu::always_inline]] inline void absorb_row(Scratch& scratch, const Group& group, std::size_t offset) noexcept
{
    const auto kind = kind_of(group, offset);
    if (kind == RowKind::tail) {
        const auto left = group.size_max - offset;
        Tails tails;
        tails.load(group, offset, tail_mask(left));
        tails.absorb(scratch, left);
        return;
    }
    Vector rows_of[lanes];
    if (kind == RowKind::whole) {
#pragma GCC unroll 16
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            rows_of[lane].value = _mm512_loadu_si512(group.from[lane] + offset);
        }
        absorb_rows(scratch, rows_of);
        return;
    }
    const RowMasks masks(group, offset);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        rows_of[lane].value = _mm512_maskz_loadu_epi8(masks.text[lane], group.from[lane] + offset);
    }
    absorb_masked(scratch, rows_of, masks);
}

// Decrypts a row of the lanes in `good`.
[[gnu::always_inline]] inline void open_row(const Scratch& scratch, const Group& group, __mmask16 good,
                                            std::size_t offset, RowWords words) noexcept
{
    const auto kind = good == 0xffff ? kind_of(group, offset) : RowKind::mixed;
    if (kind == RowKind::tail) {
        const auto mask = tail_mask(group.size_max - offset);
        Tails tails;
        tails.load(group, offset, mask);
        tails.add_key_stream(words.low(scratch), mask);
        tails.store(group, offset, mask);
        return;
    }
    Vector rows_of[lanes];
    if (kind == RowKind::whole) {
        convert_row(scratch, group, offset, words, rows_of);
    } else {
        convert_masked(scratch, group, offset, words, RowMasks(group, offset), good, rows_of);
    }
}

// The tags of sixteen lanes, as octets.
struct Tags {
    Vector of[2][2]; // part p of of[half][0] is lane 8 half + 2p, of of[half][1] the lane after it

    explicit Tags(const Scratch& scratch) noexcept
    {
        for (int half = 0; half < 2; ++half) {
            const auto words = poly_tags(scratch.sums[half], scratch.keys[half]);
            of[half][0].value = _mm512_unpacklo_epi64(words.low, words.high);
            of[half][1].value = _mm512_unpackhi_epi64(words.low, words.high);
        }
    }
    [[nodiscard]] const std::uint8_t* lane(std::size_t index) const noexcept
    {
        return reinterpret_cast<const std::uint8_t*>(&of[index / 8][index % 2]) + (index % 8) / 2 * box_tag_bytes;
    }
};

void seal_group(Scratch& scratch, Group& group) noexcept
{
    for (std::size_t lane = 0; lane < group.count; ++lane) {
        const auto& job = *group.job[lane];
        group.to[lane] = job.to + box_tag_bytes;
        group.from[lane] = movable_source({job.from, job.size}, group.to[lane]);
    }
    group.fill();
    begin_group(scratch, group);
    for_each_row(scratch, group.size_max, [&](std::size_t offset, RowWords words) __attribute__((always_inline)) {
        seal_row(scratch, group, offset, words);
    });
    const Tags tags(scratch);
    for (std::size_t lane = 0; lane < group.count; ++lane) {
        __builtin_memcpy(group.job[lane]->to, tags.lane(lane), box_tag_bytes);
    }
}

// The lanes whose tag is right.
__mmask16 good_lanes(const Scratch& scratch, const Group& group) noexcept
{
    const Tags tags(scratch);
    std::uint32_t good = 0;
    for (std::size_t half = 0; half < 2; ++half) {
        for (std::size_t odd = 0; odd < 2; ++odd) {
            const auto at = [&](std::size_t part) {
                const auto* box = group.job[8 * half + 2 * part + odd]->from;
                return _mm_loadu_si128(reinterpret_cast<const __m128i*>(box));
            };
            const auto low = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
            const auto high = _mm256_inserti128_si256(_mm256_castsi128_si256(at(2)), at(3), 1);
            const auto theirs = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
            const std::uint32_t same = _mm512_cmpeq_epi64_mask(tags.of[half][odd].value, theirs);
            good |= (same & (same >> 1U) & 0x55U) << (8 * half + odd);
        }
    }
    return static_cast<__mmask16>(good);
}

void open_group(Scratch& scratch, Group& group, bool* const* opened) noexcept
{
    for (std::size_t lane = 0; lane < group.count; ++lane) {
        group.from[lane] = group.job[lane]->from + box_tag_bytes;
        group.to[lane] = group.job[lane]->to;
    }
    group.fill();
    begin_group(scratch, group);
    for (std::size_t offset = 0; offset < group.size_max; offset += row_bytes) {
        absorb_row(scratch, group, offset);
    }
    const auto good = public_verdict(good_lanes(scratch, group));
    for (std::size_t lane = 0; lane < group.count; ++lane) {
        *opened[lane] = ((good >> lane) & 1U) != 0;
        if (*opened[lane]) {
            group.from[lane] = movable_source({group.from[lane], group.size[lane]}, group.to[lane]);
        }
    }
    group.fill();
    for_each_row(scratch, group.size_max, [&](std::size_t offset, RowWords words) __attribute__((always_inline)) {
        open_row(scratch, group, good, offset, words);
    });
}

// Short messages of a call, until they fill the lanes.
struct Waiting {
    std::array<const BoxJob*, lanes> job;
    std::array<bool*, lanes> opened;
    std::size_t count = 0;
};

void seal_alone(const BoxJob& job) noexcept
{
    seal_box_avx512({*job.key, job.counter}, {job.from, job.size}, job.to);
}

void seal_waiting(Scratch& scratch, Waiting& waiting) noexcept
{
    if (waiting.count == 1) {
        seal_alone(*waiting.job[0]);
    } else if (waiting.count != 0) {
        Group group(waiting.job.data(), waiting.count);
        seal_group(scratch, group);
    }
    waiting.count = 0;
}

bool open_alone(const BoxJob& job) noexcept
{
    return open_box_avx512({*job.key, job.counter}, {job.from, job.size + box_tag_bytes}, job.to);
}

void open_waiting(Scratch& scratch, Waiting& waiting) noexcept
{
    if (waiting.count == 1) {
        *waiting.opened[0] = open_alone(*waiting.job[0]);
    } else if (waiting.count != 0) {
        Group group(waiting.job.data(), waiting.count);
        open_group(scratch, group, waiting.opened.data());
    }
    waiting.count = 0;
}

[[gnu::noinline]] void seal_many(std::span<const BoxJob> jobs) noexcept
{
    Scratch scratch;
    Waiting waiting;
    for (const auto& job : jobs) {
        if (job.size > batched_text_bytes_max) {
            seal_alone(job);
            continue;
        }
        waiting.job[waiting.count++] = &job;
        if (waiting.count == lanes) {
            seal_waiting(scratch, waiting);
        }
    }
    seal_waiting(scratch, waiting);
}

[[gnu::noinline]] void open_many(std::span<const BoxJob> jobs, std::span<bool> opened) noexcept
{
    Scratch scratch;
    Waiting waiting;
    for (std::size_t index = 0; index < jobs.size(); ++index) {
        if (jobs[index].size > batched_text_bytes_max) {
            opened[index] = open_alone(jobs[index]);
            continue;
        }
        waiting.opened[waiting.count] = &opened[index];
        waiting.job[waiting.count++] = &jobs[index];
        if (waiting.count == lanes) {
            open_waiting(scratch, waiting);
        }
    }
    open_waiting(scratch, waiting);
}

} // namespace

void seal_boxes_avx512(std::span<const BoxJob> jobs) noexcept
{
    if (jobs.size() == 1) {
        seal_alone(jobs[0]);
        return;
    }
    seal_many(jobs);
    forget_call<stack_bytes_max>();
}

void open_boxes_avx512(std::span<const BoxJob> jobs, std::span<bool> opened) noexcept
{
    if (jobs.size() == 1) {
        opened[0] = open_alone(jobs[0]);
        return;
    }
    open_many(jobs, opened);
    forget_call<stack_bytes_max>();
}

} // namespace caisson::crypto::kernels
