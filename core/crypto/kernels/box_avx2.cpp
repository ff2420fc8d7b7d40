// Salsa20 in eight lanes of AVX2, of eight messages or of eight blocks of one; Poly1305 beside it in scalar code, which
// the vector units do not wait for.
#include "core/crypto/kernels/box_batch.hpp"
#include "core/crypto/kernels/forget_call.hpp"

#include <immintrin.h>

#include <algorithm>

// Compiled with the flags of its instructions; called only where the CPU has them.
namespace caisson::crypto::kernels {
namespace {

using BoxTag = ByteArray<box_tag_bytes>;

constexpr std::size_t lanes = 8;
constexpr std::size_t state_words = 16;
constexpr std::size_t row_bytes = sizeof(__m256i);
constexpr std::size_t half_words = state_words / 2;
// Above, the blocks of one message fill the lanes as well as messages do.
constexpr std::size_t batched_text_bytes_max = 4096;
constexpr std::size_t batch_stack_bytes_max = 8704;
constexpr std::size_t box_stack_bytes_max = 2176;
static_assert(row_bytes == box_key_bytes && 2 * row_bytes == salsa20_block_bytes);

// A template argument would drop the attributes of __m256i.
struct alignas(32) Vector {
    __m256i value;
};

__m256i splat(std::uint32_t value) noexcept
{
    return _mm256_set1_epi32(static_cast<int>(value));
}

// t ^= rotl(u + v, K)
template <int K>
[[gnu::always_inline]] inline void step(__m256i& t, __m256i u, __m256i v) noexcept
{
    const auto sum = _mm256_add_epi32(u, v);
    t = _mm256_xor_si256(t, _mm256_slli_epi32(sum, K));
    t = _mm256_xor_si256(t, _mm256_srli_epi32(sum, 32 - K));
}

struct Quarter {
    int a, b, c, d;
};

// Two quarter rounds side by side. All sixteen words and what a step needs do not fit into the registers; the words of
// two columns do, and the others wait in memory, where the compiler shall leave them.
template <Quarter p, Quarter q>
[[gnu::always_inline]] inline void two_quarters(Vector* x) noexcept
{
    __asm__ volatile("" : : "r"(x) : "memory");
    auto pa = x[p.a].value;
    auto pb = x[p.b].value;
    auto pc = x[p.c].value;
    auto pd = x[p.d].value;
    auto qa = x[q.a].value;
    auto qb = x[q.b].value;
    auto qc = x[q.c].value;
    auto qd = x[q.d].value;
    step<7>(pb, pa, pd), step<7>(qb, qa, qd);
    step<9>(pc, pb, pa), step<9>(qc, qb, qa);
    step<13>(pd, pc, pb), step<13>(qd, qc, qb);
    step<18>(pa, pd, pc), step<18>(qa, qd, qc);
    x[p.a].value = pa;
    x[p.b].value = pb;
    x[p.c].value = pc;
    x[p.d].value = pd;
    x[q.a].value = qa;
    x[q.b].value = qb;
    x[q.c].value = qc;
    x[q.d].value = qd;
}

[[gnu::always_inline]] inline void double_round(Vector* x) noexcept
{
    two_quarters<Quarter{0, 4, 8, 12}, Quarter{5, 9, 13, 1}>(x);
    two_quarters<Quarter{10, 14, 2, 6}, Quarter{15, 3, 7, 11}>(x);
    two_quarters<Quarter{0, 1, 2, 3}, Quarter{5, 6, 7, 4}>(x);
    two_quarters<Quarter{10, 11, 8, 9}, Quarter{15, 12, 13, 14}>(x);
}

// Eight words of eight lanes to a row of each lane, and back.
[[gnu::always_inline]] inline void transpose8(Vector* x) noexcept
{
    Vector t[8];
    Vector u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i].value = _mm256_unpacklo_epi32(x[i].value, x[i + 1].value);
        t[i + 1].value = _mm256_unpackhi_epi32(x[i].value, x[i + 1].value);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        u[i].value = _mm256_unpacklo_epi64(t[i].value, t[i + 2].value);
        u[i + 1].value = _mm256_unpackhi_epi64(t[i].value, t[i + 2].value);
        u[i + 2].value = _mm256_unpacklo_epi64(t[i + 1].value, t[i + 3].value);
        u[i + 3].value = _mm256_unpackhi_epi64(t[i + 1].value, t[i + 3].value);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        x[j].value = _mm256_permute2x128_si256(u[j].value, u[4 + j].value, 0x20);
        x[4 + j].value = _mm256_permute2x128_si256(u[j].value, u[4 + j].value, 0x31);
    }
}

__m256i load(const std::uint8_t* from) noexcept
{
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

void store(std::uint8_t* to, __m256i value) noexcept
{
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
}

// The lanes: what they start from, and after make() their block as rows, the first halves and the second halves.
struct Lanes {
    Vector initial[state_words];
    Vector low[lanes];
    Vector high[lanes];

    Lanes() noexcept
    {
        for (std::size_t index = 0; index < salsa20_sigma.size(); ++index) {
            initial[5 * index].value = splat(salsa20_sigma[index]);
        }
        initial[9].value = _mm256_setzero_si256();
    }
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    void set_key(const BoxSubkey& key) noexcept
    {
        for (std::size_t index = 0; index < half_words; ++index) {
            std::uint32_t word;
            __builtin_memcpy(&word, key.expose().data() + 4 * index, sizeof word);
            initial[key_word(index)].value = splat(word);
        }
    }
    void set_keys(const BoxJob* const* jobs) noexcept
    {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            low[lane].value = load(jobs[lane]->key->expose().data());
        }
        transpose8(low);
        for (std::size_t index = 0; index < half_words; ++index) {
            initial[key_word(index)] = low[index];
        }
    }
    void set_nonces(const std::array<std::uint64_t, lanes>& counters) noexcept
    {
        alignas(32) std::array<std::uint32_t, lanes> first;
        alignas(32) std::array<std::uint32_t, lanes> second;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto nonce = __builtin_bswap64(counters[lane]);
            first[lane] = static_cast<std::uint32_t>(nonce);
            second[lane] = static_cast<std::uint32_t>(nonce >> 32U);
        }
        initial[6].value = load(reinterpret_cast<const std::uint8_t*>(first.data()));
        initial[7].value = load(reinterpret_cast<const std::uint8_t*>(second.data()));
    }
    // Block `number` of each lane.
    [[gnu::noinline]] void make(__m256i number) noexcept
    {
        initial[8].value = number;
        Vector x[state_words];
#pragma GCC unroll 16
        for (std::size_t word = 0; word < state_words; ++word) {
            x[word].value = initial[word].value;
        }
        for (int round = 0; round < 10; ++round) {
            double_round(x);
        }
#pragma GCC unroll 8
        for (std::size_t word = 0; word < half_words; ++word) {
            low[word].value = _mm256_add_epi32(x[word].value, initial[word].value);
            high[word].value = _mm256_add_epi32(x[half_words + word].value, initial[half_words + word].value);
        }
        transpose8(low);
        transpose8(high);
    }

  private:
    static constexpr std::size_t key_word(std::size_t index) noexcept { return index < 4 ? 1 + index : 7 + index; }
};

template <typename Word>
[[gnu::always_inline]] inline void add_word(const std::uint8_t* from, std::uint8_t* to,
                                            const std::uint8_t* key) noexcept
{
    Word text;
    Word other;
    __builtin_memcpy(&text, from, sizeof text);
    __builtin_memcpy(&other, key, sizeof other);
    text = static_cast<Word>(text ^ other);
    __builtin_memcpy(to, &text, sizeof text);
}

// Adds 32 octets of key stream, or as many as there are of the text.
[[gnu::always_inline]] inline void add_row(const std::uint8_t* from, std::uint8_t* to, std::size_t left,
                                           const Vector& row) noexcept
{
    if (left >= row_bytes) {
        store(to, _mm256_xor_si256(load(from), row.value));
        return;
    }
    const auto* key = reinterpret_cast<const std::uint8_t*>(&row);
    std::size_t at = 0;
    for (; left - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
        add_word<std::uint64_t>(from + at, to + at, key + at);
    }
    for (; at < left; ++at) {
        add_word<std::uint8_t>(from + at, to + at, key + at);
    }
}

// Up to eight messages, each in its lane; lanes without one do what the first does and write nothing.
struct Group {
    std::array<const BoxJob*, lanes> job;
    std::array<const std::uint8_t*, lanes> from;
    std::array<std::uint8_t*, lanes> to;
    std::array<std::size_t, lanes> left; // of the text, and none for what shall not be written
    std::size_t count;
    std::size_t size_max = 0;

    Group(const BoxJob* const* jobs, std::size_t jobs_count, Lanes& state) noexcept
        : count(jobs_count)
    {
        std::array<std::uint64_t, lanes> counters;
        bool same_key = true;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            job[lane] = jobs[lane < count ? lane : 0];
            counters[lane] = job[lane]->counter;
            same_key = same_key && job[lane]->key == job[0]->key;
            left[lane] = lane < count ? job[lane]->size : 0;
            size_max = std::max(size_max, left[lane]);
        }
        if (same_key) {
            state.set_key(*job[0]->key);
        } else {
            state.set_keys(job.data());
        }
        state.set_nonces(counters);
    }

    void add_rows(std::size_t offset, const Vector* keys) noexcept
    {
        for (std::size_t lane = 0; lane < count; ++lane) {
            if (left[lane] > offset) {
                add_row(from[lane] + offset, to[lane] + offset, left[lane] - offset, keys[lane]);
            }
        }
    }
    // The whole text of every lane. Requires: block 0 is made.
    void add_key_stream(Lanes& state) noexcept
    {
        add_rows(0, state.high);
        std::uint32_t block = 1;
        for (std::size_t offset = row_bytes; offset < size_max; offset += 2 * row_bytes, ++block) {
            state.make(splat(block));
            add_rows(offset, state.low);
            add_rows(offset + row_bytes, state.high);
        }
    }
};

// Poly1305 of four messages, in five limbs of 26 bits each.
class PolyFour {
  public:
    // Rows of 32 octets, r and s.
    explicit PolyFour(const Vector* keys) noexcept
    {
        Vector words[4] = {keys[0], keys[1], keys[2], keys[3]};
        transpose4(words);
        words[0].value = _mm256_and_si256(words[0].value, _mm256_set1_epi64x(0x0ffffffc0fffffff));
        words[1].value = _mm256_and_si256(words[1].value, _mm256_set1_epi64x(0x0ffffffc0ffffffc));
        split(r_, words[0].value, words[1].value, _mm256_setzero_si256());
        for (int i = 0; i < limbs; ++i) {
            five_r_[i].value = _mm256_add_epi64(r_[i].value, _mm256_slli_epi64(r_[i].value, 2));
            state_[i].value = _mm256_setzero_si256();
        }
    }
    PolyFour(const PolyFour&) = delete;
    PolyFour& operator=(const PolyFour&) = delete;

    // Two whole blocks of each message.
    [[gnu::always_inline]] void absorb(const std::uint8_t* const* from, std::size_t at) noexcept
    {
        Vector words[4];
        for (int lane = 0; lane < 4; ++lane) {
            words[lane].value = load(from[lane] + at);
        }
        transpose4(words);
        add_block(words[0].value, words[1].value, _mm256_set1_epi64x(1 << 24));
        add_block(words[2].value, words[3].value, _mm256_set1_epi64x(1 << 24));
    }
    // One block of each message, padded if it is not whole.
    [[gnu::always_inline]] void absorb_one(const std::uint8_t (*block)[poly1305_block_bytes], bool whole) noexcept
    {
        const auto first = load(block[0]);  // messages 0 and 1
        const auto second = load(block[2]); // messages 2 and 3
        const auto low = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(first, second), 0xd8);
        const auto high = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(first, second), 0xd8);
        add_block(low, high, _mm256_set1_epi64x(whole ? 1 << 24 : 0));
    }
    [[nodiscard]] PolyElement state_of(std::size_t lane) const noexcept
    {
        std::array<std::uint64_t, limbs> h;
        for (std::size_t i = 0; i < limbs; ++i) {
            __builtin_memcpy(&h[i], reinterpret_cast<const std::uint8_t*>(&state_[i]) + 8 * lane, sizeof h[i]);
        }
        for (std::size_t i = 0; i + 1 < limbs; ++i) {
            h[i + 1] += h[i] >> 26U;
            h[i] &= mask26;
        }
        const auto low = static_cast<Wide>(h[0]) + (static_cast<Wide>(h[1]) << 26U) + (static_cast<Wide>(h[2]) << 52U) +
                         (static_cast<Wide>(h[3]) << 78U);
        return {static_cast<std::uint64_t>(low) & mask44, static_cast<std::uint64_t>(low >> 44U) & mask44,
                static_cast<std::uint64_t>(low >> 88U) + (h[4] << 16U)};
    }

  private:
    static constexpr int limbs = 5;
    static constexpr std::uint64_t mask26 = (std::uint64_t{1} << 26U) - 1;

    // 4 x 4 words of 64 bits.
    [[gnu::always_inline]] static void transpose4(Vector* x) noexcept
    {
        const auto a = _mm256_unpacklo_epi64(x[0].value, x[1].value);
        const auto b = _mm256_unpackhi_epi64(x[0].value, x[1].value);
        const auto c = _mm256_unpacklo_epi64(x[2].value, x[3].value);
        const auto d = _mm256_unpackhi_epi64(x[2].value, x[3].value);
        x[0].value = _mm256_permute2x128_si256(a, c, 0x20);
        x[1].value = _mm256_permute2x128_si256(b, d, 0x20);
        x[2].value = _mm256_permute2x128_si256(a, c, 0x31);
        x[3].value = _mm256_permute2x128_si256(b, d, 0x31);
    }
    [[gnu::always_inline]] static void split(Vector* out, __m256i low, __m256i high, __m256i high_bit) noexcept
    {
        const auto mask = _mm256_set1_epi64x(mask26);
        out[0].value = _mm256_and_si256(low, mask);
        out[1].value = _mm256_and_si256(_mm256_srli_epi64(low, 26), mask);
        out[2].value = _mm256_and_si256(_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12)), mask);
        out[3].value = _mm256_and_si256(_mm256_srli_epi64(high, 14), mask);
        out[4].value = _mm256_or_si256(_mm256_srli_epi64(high, 40), high_bit);
    }
    [[gnu::always_inline]] void add_block(__m256i low, __m256i high, __m256i high_bit) noexcept
    {
        Vector a[limbs];
        Vector d[limbs];
        split(a, low, high, high_bit);
#pragma GCC unroll 5
        for (int i = 0; i < limbs; ++i) {
            a[i].value = _mm256_add_epi64(a[i].value, state_[i].value);
        }
#pragma GCC unroll 5
        for (int k = 0; k < limbs; ++k) {
            d[k].value = _mm256_mul_epu32(a[0].value, r_[k].value);
#pragma GCC unroll 5
            for (int i = 1; i < limbs; ++i) {
                const auto& factor = i <= k ? r_[k - i] : five_r_[limbs + k - i];
                d[k].value = _mm256_add_epi64(d[k].value, _mm256_mul_epu32(a[i].value, factor.value));
            }
        }
        const auto mask = _mm256_set1_epi64x(mask26);
        const auto carry = [&](int from, int to) __attribute__((always_inline)) {
            const auto over = _mm256_srli_epi64(d[from].value, 26);
            d[from].value = _mm256_and_si256(d[from].value, mask);
            d[to].value = _mm256_add_epi64(d[to].value, over);
            if (to == 0) { // 2^130 is 5
                d[0].value = _mm256_add_epi64(d[0].value, _mm256_slli_epi64(over, 2));
            }
        };
        carry(0, 1), carry(3, 4);
        carry(1, 2), carry(4, 0);
        carry(2, 3), carry(0, 1);
        carry(3, 4);
#pragma GCC unroll 5
        for (int i = 0; i < limbs; ++i) {
            state_[i] = d[i];
        }
    }

    Vector r_[limbs];
    Vector five_r_[limbs];
    Vector state_[limbs];
};

// The first halves of block 0: the keys of the tags.
class PolyKeys {
  public:
    explicit PolyKeys(const Lanes& state) noexcept { __builtin_memcpy(of_, state.low, sizeof of_); }
    PolyKeys(const PolyKeys&) = delete;
    PolyKeys& operator=(const PolyKeys&) = delete;

    // The tags of all lanes' ciphertexts: side by side as far as all of them reach, and to the end if sizes are equal.
    void write_tags(const std::array<Bytes, lanes>& ciphertext, std::size_t count,
                    std::array<BoxTag, lanes>& tags) const noexcept
    {
        std::array<const std::uint8_t*, lanes> from;
        auto common = ciphertext[0].size();
        bool same_size = true;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto& one = ciphertext[lane < count ? lane : 0];
            from[lane] = one.data();
            same_size = same_size && one.size() == ciphertext[0].size();
            common = std::min(common, one.size());
        }
        PolyFour first(of_);
        PolyFour second(of_ + 4);
        std::size_t done = 0;
        for (; common - done >= row_bytes; done += row_bytes) {
            first.absorb(from.data(), done);
            second.absorb(from.data() + 4, done);
        }
        while (same_size && done < common) {
            const auto size = std::min(common - done, poly1305_block_bytes);
            alignas(32) std::uint8_t block[lanes][poly1305_block_bytes];
            take_blocks(from, done, size, block);
            first.absorb_one(block, size == poly1305_block_bytes);
            second.absorb_one(block + 4, size == poly1305_block_bytes);
            done += size;
        }
        for (std::size_t lane = 0; lane < count; ++lane) {
            Poly1305 poly(reinterpret_cast<const std::uint8_t*>(&of_[lane]));
            poly.set_state((lane < 4 ? first : second).state_of(lane % 4));
            poly.absorb(ciphertext[lane].subspan(done));
            poly.finish(tags[lane].data());
        }
    }

  private:
    static void take_blocks(const std::array<const std::uint8_t*, lanes>& from, std::size_t at, std::size_t size,
                            std::uint8_t (*block)[poly1305_block_bytes]) noexcept
    {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            std::array<std::uint64_t, 2> words{};
            if (size == poly1305_block_bytes) {
                words = {load64(from[lane] + at), load64(from[lane] + at + 8)};
            } else {
                words = padded_block({from[lane] + at, size});
            }
            __builtin_memcpy(block[lane], words.data(), sizeof words);
        }
    }

    Vector of_[lanes];
};

void seal_group(Lanes& state, const BoxJob* const* jobs, std::size_t count) noexcept
{
    Group group(jobs, count, state);
    for (std::size_t lane = 0; lane < count; ++lane) {
        group.to[lane] = jobs[lane]->to + box_tag_bytes;
        group.from[lane] = movable_source({jobs[lane]->from, jobs[lane]->size}, group.to[lane]);
    }
    state.make(splat(0));
    const PolyKeys keys(state);
    group.add_key_stream(state);
    std::array<Bytes, lanes> ciphertext;
    for (std::size_t lane = 0; lane < count; ++lane) {
        ciphertext[lane] = {group.to[lane], group.left[lane]};
    }
    std::array<BoxTag, lanes> tags;
    keys.write_tags(ciphertext, count, tags);
    for (std::size_t lane = 0; lane < count; ++lane) {
        __builtin_memcpy(jobs[lane]->to, tags[lane].data(), box_tag_bytes);
    }
}

void open_group(Lanes& state, const BoxJob* const* jobs, std::size_t count, bool* const* opened) noexcept
{
    Group group(jobs, count, state);
    state.make(splat(0));
    const PolyKeys keys(state);
    std::array<Bytes, lanes> ciphertext;
    for (std::size_t lane = 0; lane < count; ++lane) {
        ciphertext[lane] = {jobs[lane]->from + box_tag_bytes, jobs[lane]->size};
    }
    std::array<BoxTag, lanes> tags;
    keys.write_tags(ciphertext, count, tags);
    for (std::size_t lane = 0; lane < count; ++lane) {
        *opened[lane] = public_verdict(equal(tags[lane], {jobs[lane]->from, box_tag_bytes}));
        group.to[lane] = jobs[lane]->to;
        group.from[lane] = *opened[lane] ? movable_source(ciphertext[lane], group.to[lane]) : nullptr;
        group.left[lane] = *opened[lane] ? group.left[lane] : 0;
    }
    group.add_key_stream(state);
}

// The key stream of one message, eight blocks at a time.
struct OneMessage {
    Lanes state;

    explicit OneMessage(const BoxPosition& at) noexcept
    {
        state.set_key(at.key);
        std::array<std::uint64_t, lanes> counters;
        counters.fill(at.counter);
        state.set_nonces(counters);
    }
    void make(std::uint64_t first) noexcept
    {
        const auto number = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
        state.make(_mm256_add_epi32(splat(static_cast<std::uint32_t>(first)), number));
    }
    // Text from the second half of block 0 on. Requires: make(0).
    void add_key_stream(const std::uint8_t* from, std::uint8_t* to, std::size_t size) noexcept
    {
        std::uint64_t block = 0;
        for (std::size_t row = 1; (row - 1) * row_bytes < size; ++row) {
            if (row % (2 * lanes) == 0) {
                block += lanes;
                make(block);
            }
            const auto& keys = row % 2 == 0 ? state.low : state.high;
            const auto done = (row - 1) * row_bytes;
            add_row(from + done, to + done, size - done, keys[row / 2 % lanes]);
        }
    }
};

[[gnu::noinline]] void seal_one(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    OneMessage message(at);
    message.make(0);
    Poly1305 poly(reinterpret_cast<const std::uint8_t*>(&message.state.low[0]));
    auto* const to = output + box_tag_bytes;
    message.add_key_stream(movable_source(text, to), to, text.size());
    poly.absorb({to, text.size()});
    poly.finish(output);
}

[[gnu::noinline]] bool open_one(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    const auto ciphertext = box.subspan(box_tag_bytes);
    OneMessage message(at);
    message.make(0);
    ByteArray<box_tag_bytes> tag;
    Poly1305 poly(reinterpret_cast<const std::uint8_t*>(&message.state.low[0]));
    poly.absorb(ciphertext);
    poly.finish(tag.data());
    const bool good = public_verdict(equal(tag, box.first(box_tag_bytes)));
    if (good) {
        message.add_key_stream(movable_source(ciphertext, output), output, ciphertext.size());
    }
    return good;
}

[[gnu::noinline]] void run_blocks(const BoxPosition& at, const BoxRun& run, Poly1305& poly) noexcept
{
    OneMessage message(at);
    for (std::size_t done = 0; done < run.blocks;) {
        message.make(run.first + done);
        const auto count = std::min(run.blocks - done, lanes);
        const auto* const from = run.from + done * salsa20_block_bytes;
        auto* const to = run.to + done * salsa20_block_bytes;
        if (run.opening) {
            poly.absorb({from, count * salsa20_block_bytes});
        }
        for (std::size_t index = 0; index < count; ++index) {
            const auto at_block = index * salsa20_block_bytes;
            add_row(from + at_block, to + at_block, row_bytes, message.state.low[index]);
            add_row(from + at_block + row_bytes, to + at_block + row_bytes, row_bytes, message.state.high[index]);
        }
        if (!run.opening) {
            poly.absorb({to, count * salsa20_block_bytes});
        }
        done += count;
    }
}

[[gnu::noinline]] void seal_many(std::span<const BoxJob> jobs) noexcept
{
    Lanes state;
    std::array<const BoxJob*, lanes> waiting;
    std::size_t count = 0;
    for (const auto& job : jobs) {
        if (job.size > batched_text_bytes_max) {
            seal_one({*job.key, job.counter}, {job.from, job.size}, job.to);
            continue;
        }
        waiting[count++] = &job;
        if (count == lanes) {
            seal_group(state, waiting.data(), count);
            count = 0;
        }
    }
    if (count != 0) {
        seal_group(state, waiting.data(), count);
    }
}

[[gnu::noinline]] void open_many(std::span<const BoxJob> jobs, std::span<bool> opened) noexcept
{
    Lanes state;
    std::array<const BoxJob*, lanes> waiting;
    std::array<bool*, lanes> verdict;
    std::size_t count = 0;
    for (std::size_t index = 0; index < jobs.size(); ++index) {
        const auto& job = jobs[index];
        if (job.size > batched_text_bytes_max) {
            opened[index] = open_one({*job.key, job.counter}, {job.from, job.size + box_tag_bytes}, job.to);
            continue;
        }
        verdict[count] = &opened[index];
        waiting[count++] = &job;
        if (count == lanes) {
            open_group(state, waiting.data(), count, verdict.data());
            count = 0;
        }
    }
    if (count != 0) {
        open_group(state, waiting.data(), count, verdict.data());
    }
}

} // namespace

void seal_box_avx2(const BoxPosition& at, Bytes text, std::uint8_t* output) noexcept
{
    seal_one(at, text, output);
    forget_call<box_stack_bytes_max>();
}

bool open_box_avx2(const BoxPosition& at, Bytes box, std::uint8_t* output) noexcept
{
    const bool good = open_one(at, box, output);
    forget_call<box_stack_bytes_max>();
    return good;
}

void run_blocks_avx2(const BoxPosition& at, const BoxRun& run, Poly1305& poly) noexcept
{
    run_blocks(at, run, poly);
    forget_call<box_stack_bytes_max>();
}

void seal_boxes_avx2(std::span<const BoxJob> jobs) noexcept
{
    seal_many(jobs);
    forget_call<batch_stack_bytes_max>();
}

void open_boxes_avx2(std::span<const BoxJob> jobs, std::span<bool> opened) noexcept
{
    open_many(jobs, opened);
    forget_call<batch_stack_bytes_max>();
}

} // namespace caisson::crypto::kernels
