// One message: its blocks side by side in AVX-512, four in the rows of a register while it is short, else sixteen or
// thirty-two; Poly1305 of a long one over sixteen blocks at a time (IFMA), right behind the key stream.
#include "core/crypto/constant_time.hpp"
#include "core/crypto/kernels/box.hpp"
#include "core/crypto/kernels/forget_call.hpp"
#include "core/crypto/kernels/poly1305_avx512.hpp"

#include <algorithm>

// Compiled with the flags of its instructions; called only where the CPU has them.
namespace caisson::crypto::kernels {
namespace {

using namespace avx512;

constexpr std::size_t poly_step_bytes = 16 * poly1305_block_bytes;
constexpr std::size_t blocks_per_step = poly_step_bytes / salsa20_block_bytes;
constexpr std::size_t four_blocks_text_bytes = 4 * salsa20_block_bytes - box_key_bytes;
constexpr std::size_t short_stack_bytes_max = 1024;
constexpr std::size_t long_stack_bytes_max = 7680;
constexpr std::size_t long_poly_bytes_min = 2 * poly_step_bytes; // below, sixteen powers of r cost more than they save

struct Words {
    std::array<std::uint32_t, 8> key;
    std::uint32_t nonce0;
    std::uint32_t nonce1;

    explicit Words(const BoxPosition& at) noexcept
    {
        __builtin_memcpy(key.data(), at.key.expose().data(), sizeof key);
        const auto nonce = __builtin_bswap64(at.counter);
        nonce0 = static_cast<std::uint32_t>(nonce);
        nonce1 = static_cast<std::uint32_t>(nonce >> 32U);
    }
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;
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
void make_four_blocks(const Words& words, Vector* out) noexcept
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
    out[0].value = _mm512_shuffle_i32x4(low01, low23, 0x88);
    out[1].value = _mm512_shuffle_i32x4(low01, low23, 0xdd);
    out[2].value = _mm512_shuffle_i32x4(high01, high23, 0x88);
    out[3].value = _mm512_shuffle_i32x4(high01, high23, 0xdd);
}

// The key stream in order: up to thirty-two blocks at a time, made when the ones before are used up.
class KeyStream {
  public:
    explicit KeyStream(const BoxPosition& at, std::uint64_t first) noexcept
        : words_(at)
        , next_(first)
    {
    }
    KeyStream(const KeyStream&) = delete;
    KeyStream& operator=(const KeyStream&) = delete;

    // Makes sure that a block is there; `wanted` is how many will be. Returns how many there are.
    std::size_t refill(std::size_t wanted) noexcept
    {
        if (taken_ != made_) {
            return made_ - taken_;
        }
        taken_ = 0;
        if (next_ == 0 && wanted <= 4) {
            make_four_blocks(words_, block_.data());
            made_ = 4;
        } else {
            make_many(wanted > lanes);
            made_ = wanted > lanes ? 2 * lanes : lanes;
        }
        next_ += made_;
        return made_;
    }
    // Requires: refill gave one.
    [[nodiscard]] __m512i take() noexcept { return block_[taken_++].value; }

  private:
    void make_many(bool two) noexcept
    {
        if (!lanes_set_) {
            set_lanes();
        }
        const auto lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        const auto first = _mm512_add_epi32(splat32(static_cast<std::uint32_t>(next_)), lane);
        state_.begin_block_column(first, _mm512_add_epi32(first, splat32(lanes)));
        if (two) {
            salsa20_two(block_.data(), state_);
            transpose16(block_.data() + lanes, block_.data() + lanes, block_.data() + lanes + state_words / 2);
        } else {
            salsa20_one(block_.data(), state_);
        }
        transpose16(block_.data(), block_.data(), block_.data() + state_words / 2);
    }
    void set_lanes() noexcept
    {
        for (std::size_t index = 0; index < 4; ++index) {
            state_.initial[5 * index].value = splat32(salsa20_sigma[index]);
            state_.initial[1 + index].value = splat32(words_.key[index]);
            state_.initial[11 + index].value = splat32(words_.key[4 + index]);
        }
        state_.initial[6].value = splat32(words_.nonce0);
        state_.initial[7].value = splat32(words_.nonce1);
        state_.initial[9].value = _mm512_setzero_si512();
        state_.begin_common_columns();
        state_.begin_nonce_column();
        lanes_set_ = true;
    }

    Words words_;
    LaneState state_;
    std::array<Vector, 2 * state_words + 1> block_; // one vector more is scratch of the rounds
    std::uint64_t next_;
    std::size_t taken_ = 0;
    std::size_t made_ = 0;
    bool lanes_set_ = false;
};

// The whole of `part`, of which only `size` bytes are wanted.
void add_part(const std::uint8_t* from, std::uint8_t* to, std::size_t size, __m512i part) noexcept
{
    const auto mask = size >= salsa20_block_bytes ? ~__mmask64{0} : (__mmask64{1} << size) - 1;
    const auto text = _mm512_maskz_loadu_epi8(mask, from);
    _mm512_mask_storeu_epi8(to, mask, _mm512_xor_si512(text, part));
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
    return {_mm512_load_si512(limb[0]), _mm512_load_si512(limb[1]), _mm512_load_si512(limb[2])};
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
                poly_multiply<PolyFactor::power>(even_, common_);
                poly_multiply<PolyFactor::power>(odd_, common_);
            }
            begun_ = true;
            add(even_, text);
            add(odd_, text + poly_step_bytes / 2);
        }
    }

    // Requires: at least one step was absorbed.
    [[nodiscard]] PolyElement finish() noexcept
    {
        poly_multiply<PolyFactor::power>(even_, last_factors(powers_, 0));
        poly_multiply<PolyFactor::power>(odd_, last_factors(powers_, 1));
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
        poly_add(state, _mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second), whole_block_bit());
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

constexpr std::size_t blocks_of(std::size_t bytes) noexcept
{
    return (bytes + salsa20_block_bytes - 1) / salsa20_block_bytes;
}

// Block 0: the key of the tag, and the key stream of the text's first part.
struct FirstBlock {
    ByteArray<box_key_bytes> poly_key;
    __m512i text_key;

    explicit FirstBlock(KeyStream& stream) noexcept
    {
        const auto block = stream.take();
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(poly_key.data()), _mm512_castsi512_si256(block));
        text_key = _mm512_shuffle_i32x4(block, block, 0xee);
    }
    FirstBlock(const FirstBlock&) = delete;
    FirstBlock& operator=(const FirstBlock&) = delete;
};

// Adds the key stream to what follows the first block's part.
void add_key_stream(KeyStream& stream, const std::uint8_t* from, std::uint8_t* to, std::size_t size) noexcept
{
    for (std::size_t done = 0; done < size; done += salsa20_block_bytes) {
        (void)stream.refill(blocks_of(size - done));
        add_part(from + done, to + done, size - done, stream.take());
    }
}

// Whole blocks with their Poly1305: when sealing it follows what was written, when opening it goes ahead of it.
// Requires, opening: `stream` is empty.
void run_blocks(KeyStream& stream, const BoxRun& run, Poly1305& poly, const PolyPowers& powers) noexcept
{
    LongPoly long_poly(powers, poly.state());
    std::size_t absorbed = 0;
    const auto* const ciphertext = run.opening ? run.from : run.to;
    const auto absorb_until = [&](std::size_t end) {
        const auto steps = (end - absorbed) / blocks_per_step;
        long_poly.absorb(ciphertext + absorbed * salsa20_block_bytes, steps);
        absorbed += steps * blocks_per_step;
        if (end == run.blocks) {
            if (absorbed != 0) {
                poly.set_state(long_poly.finish());
            }
            poly.absorb(Bytes(ciphertext, end * salsa20_block_bytes).subspan(absorbed * salsa20_block_bytes));
        }
    };
    for (std::size_t done = 0; done < run.blocks;) {
        const auto end = done + std::min(stream.refill(run.blocks - done), run.blocks - done);
        if (run.opening) {
            absorb_until(end);
        }
        for (; done < end; ++done) {
            const auto at = done * salsa20_block_bytes;
            _mm512_storeu_si512(run.to + at, _mm512_xor_si512(_mm512_loadu_si512(run.from + at), stream.take()));
        }
        if (!run.opening) {
            absorb_until(end);
        }
    }
}

// A text that four blocks cover. Its ciphertext is kept for the tag as it is: what a mask wrote is slow to read back.
[[gnu::noinline]] void seal_short(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    constexpr std::size_t part_bytes = sizeof(__m256i);
    const Words words(at);
    Vector blocks[4];
    make_four_blocks(words, blocks);
    const auto* const key = reinterpret_cast<const std::uint8_t*>(blocks);
    auto* const to = output + box_tag_bytes;
    const auto* const from = movable_source(text, to);
    alignas(64) ByteArray<four_blocks_text_bytes> ciphertext;
    for (std::size_t done = 0; done < text.size(); done += part_bytes) {
        const auto left = text.size() - done;
        const auto mask = left >= part_bytes ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
        const auto stream = _mm256_load_si256(reinterpret_cast<const __m256i*>(key + box_key_bytes + done));
        const auto part = _mm256_xor_si256(_mm256_maskz_loadu_epi8(mask, from + done), stream);
        _mm256_mask_storeu_epi8(to + done, mask, part);
        _mm256_store_si256(reinterpret_cast<__m256i*>(ciphertext.data() + done), part);
    }
    Poly1305 poly(key);
    poly.absorb(Bytes(ciphertext).first(text.size()));
    poly.finish(output);
}

[[gnu::noinline]] void seal_long(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    constexpr std::size_t half = salsa20_block_bytes - box_key_bytes;
    KeyStream stream(at, 0);
    (void)stream.refill(blocks_of(box_key_bytes + text.size()));
    const FirstBlock first(stream);
    auto* const to = output + box_tag_bytes;
    const auto* const from = movable_source(text, to);
    add_part(from, to, std::min(text.size(), half), first.text_key);
    Poly1305 poly(first.poly_key.data());
    std::size_t done = std::min(text.size(), half);
    if (text.size() > half && text.size() - half >= long_poly_bytes_min) {
        poly.absorb({to, half});
        PolyPowers powers;
        powers.make(poly.factor());
        const BoxRun run{1, from + half, to + half, (text.size() - half) / salsa20_block_bytes, false};
        run_blocks(stream, run, poly, powers);
        done += run.blocks * salsa20_block_bytes;
        add_key_stream(stream, from + done, to + done, text.size() - done);
        poly.absorb({to + done, text.size() - done});
    } else {
        add_key_stream(stream, from + done, to + done, text.size() - done);
        poly.absorb({to, text.size()});
    }
    poly.finish(output);
}

[[gnu::noinline]] bool open_short(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    const auto ciphertext = box.subspan(box_tag_bytes);
    const Words words(at);
    Vector blocks[4];
    make_four_blocks(words, blocks);
    const auto* const key = reinterpret_cast<const std::uint8_t*>(blocks);
    ByteArray<box_tag_bytes> tag;
    Poly1305 poly(key);
    poly.absorb(ciphertext);
    poly.finish(tag.data());
    const bool good = public_verdict(equal(tag, box.first(box_tag_bytes)));
    if (good) {
        const auto* const from = movable_source(ciphertext, output);
        constexpr std::size_t part_bytes = sizeof(__m256i);
        for (std::size_t done = 0; done < ciphertext.size(); done += part_bytes) {
            const auto left = ciphertext.size() - done;
            const auto mask = left >= part_bytes ? ~__mmask32{0} : (__mmask32{1} << left) - 1;
            const auto stream = _mm256_load_si256(reinterpret_cast<const __m256i*>(key + box_key_bytes + done));
            const auto part = _mm256_xor_si256(_mm256_maskz_loadu_epi8(mask, from + done), stream);
            _mm256_mask_storeu_epi8(output + done, mask, part);
        }
    }
    return good;
}

[[gnu::noinline]] bool open_long(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    constexpr std::size_t half = salsa20_block_bytes - box_key_bytes;
    const auto ciphertext = box.subspan(box_tag_bytes);
    KeyStream stream(at, 0);
    (void)stream.refill(blocks_of(box_key_bytes + ciphertext.size()));
    const FirstBlock first(stream);
    ByteArray<box_tag_bytes> tag;
    write_tag(first.poly_key.data(), ciphertext, tag.data());
    const bool good = public_verdict(equal(tag, box.first(box_tag_bytes)));
    if (good) {
        const auto* const from = movable_source(ciphertext, output);
        const auto done = std::min(ciphertext.size(), half);
        add_part(from, output, done, first.text_key);
        add_key_stream(stream, from + done, output + done, ciphertext.size() - done);
    }
    return good;
}

[[gnu::noinline]] void run_some(const BoxPosition& at, const BoxRun& run, Poly1305& poly, PolyPowers& powers) noexcept
{
    if (!powers.made) {
        powers.make(poly.factor());
    }
    KeyStream stream(at, run.first);
    run_blocks(stream, run, poly, powers);
}

} // namespace

void seal_box_avx512(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    if (text.size() <= four_blocks_text_bytes) {
        seal_short(at, text, output);
        forget_call<short_stack_bytes_max>();
    } else {
        seal_long(at, text, output);
        forget_call<long_stack_bytes_max>();
    }
}

bool open_box_avx512(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    if (box.size() - box_tag_bytes <= four_blocks_text_bytes) {
        const bool good = open_short(at, box, output);
        forget_call<short_stack_bytes_max>();
        return good;
    }
    const bool good = open_long(at, box, output);
    forget_call<long_stack_bytes_max>();
    return good;
}

void run_blocks_avx512(const BoxPosition& at, const BoxRun& run, Poly1305& poly, PolyPowers& powers) noexcept
{
    run_some(at, run, poly, powers);
    forget_call<long_stack_bytes_max>();
}

} // namespace caisson::crypto::kernels
