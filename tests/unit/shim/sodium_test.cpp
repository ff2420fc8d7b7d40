// The shim as programs get it: the library itself, loaded, compared with the libsodium it stands in front of.
#include "airlock/curve/requests.hpp"
#include "core/result.hpp"
#include "tests/unit/shim/fake_chamber.hpp"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include <dlfcn.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/wait.h>

namespace caisson::shim {
namespace {

using airlock::SlotStatus;
using airlock::curve::Request;
using Octets = std::vector<std::uint8_t>;
using Key = std::array<std::uint8_t, 32>;

// The shim's requests answered with libsodium, the secrets behind handles.
class SodiumChamber {
  public:
    FakeChamber::Answer answer(std::uint32_t request, const Octets& input)
    {
        const std::lock_guard locked(mutex_);
        if (forced_ != SlotStatus::answered) {
            return {forced_, {}};
        }
        if (static_cast<Request>(request) == Request::box_keypair) {
            Key public_key;
            Key secret;
            ::crypto_box_keypair(public_key.data(), secret.data());
            return {SlotStatus::answered, joined(public_key, add(secret))};
        }
        Key handle;
        std::copy_n(input.begin(), handle.size(), handle.begin());
        const auto found = secrets_.find(handle);
        if (found == secrets_.end()) {
            return refusal(Kind::missing);
        }
        return answer_with(static_cast<Request>(request), found->second, input.data() + 32, input.size() - 32);
    }

    Key add(const Key& secret)
    {
        Key handle;
        ::randombytes_buf(handle.data(), handle.size());
        secrets_[handle] = secret;
        return handle;
    }

    void force(SlotStatus status)
    {
        const std::lock_guard locked(mutex_);
        forced_ = status;
    }
    void force(Kind kind) { force(static_cast<SlotStatus>(kind)); }

  private:
    static FakeChamber::Answer refusal(Kind kind) { return {static_cast<SlotStatus>(kind), {}}; }
    static Octets joined(const Key& first, const Key& second)
    {
        Octets both(first.size() + second.size());
        std::ranges::copy(second, std::ranges::copy(first, both.begin()).out);
        return both;
    }

    FakeChamber::Answer answer_with(Request request, const Key& secret, const std::uint8_t* rest, std::size_t size)
    {
        Key out;
        if (request >= Request::box_afternm_begin && request <= Request::box_open_afternm_finish) {
            return piece(request, secret, rest, size);
        }
        if (request == Request::scalarmult_base) {
            ::crypto_scalarmult_base(out.data(), secret.data());
            return {SlotStatus::answered, Octets(out.begin(), out.end())};
        }
        const bool has_public_key = request == Request::box || request == Request::box_open;
        Key shared = secret;
        if (request == Request::beforenm || has_public_key) {
            if (::crypto_box_beforenm(shared.data(), rest, secret.data()) != 0) {
                return refusal(Kind::unacceptable);
            }
        }
        if (request == Request::beforenm) {
            out = add(shared);
            return {SlotStatus::answered, Octets(out.begin(), out.end())};
        }
        const std::uint8_t* nonce = rest + (has_public_key ? 32 : 0);
        const std::uint8_t* message = nonce + 24;
        const auto message_size = size - static_cast<std::size_t>(message - rest);
        if (request == Request::box || request == Request::box_afternm) {
            Octets box(message_size + 16);
            ::crypto_box_easy_afternm(box.data(), message, message_size, nonce, shared.data());
            return {SlotStatus::answered, box};
        }
        Octets text(message_size - 16);
        return ::crypto_box_open_easy_afternm(text.data(), message, message_size, nonce, shared.data()) == 0
                   ? FakeChamber::Answer{SlotStatus::answered, text}
                   : refusal(Kind::unauthentic);
    }

    // One message at a time, kept whole: the ciphertext that came out is thrown away and made again at the end.
    FakeChamber::Answer piece(Request request, const Key& secret, const std::uint8_t* rest, std::size_t size)
    {
        const bool sealing = request <= Request::box_afternm_finish;
        if (request == Request::box_afternm_begin || request == Request::box_open_afternm_begin) {
            begun_.assign(rest, rest + size);
            fed_.clear();
            return {SlotStatus::answered, {}};
        }
        if (request == Request::box_afternm_piece || request == Request::box_open_afternm_piece) {
            const auto skip = 32 + fed_.size();
            Octets stream(skip + size);
            ::crypto_stream_xsalsa20(stream.data(), stream.size(), begun_.data(), secret.data());
            Octets out(size);
            for (std::size_t index = 0; index < size; ++index) {
                out[index] = static_cast<std::uint8_t>(rest[index] ^ stream[skip + index]);
            }
            const Octets ciphertext = sealing ? out : Octets(rest, rest + size);
            fed_.insert(fed_.end(), ciphertext.begin(), ciphertext.end());
            return {SlotStatus::answered, out};
        }
        return finish(sealing, secret);
    }
    FakeChamber::Answer finish(bool sealing, const Key& secret)
    {
        Key poly_key;
        Octets tag(16);
        ::crypto_stream_xsalsa20(poly_key.data(), poly_key.size(), begun_.data(), secret.data());
        ::crypto_onetimeauth(tag.data(), fed_.data(), fed_.size(), poly_key.data());
        if (sealing) {
            return {SlotStatus::answered, tag};
        }
        const bool right = std::equal(tag.begin(), tag.end(), begun_.begin() + 32);
        return right ? FakeChamber::Answer{SlotStatus::answered, {}} : refusal(Kind::unauthentic);
    }

    Octets begun_; // nonce, size, tag
    Octets fed_;   // ciphertext
    std::mutex mutex_;
    std::map<Key, Key> secrets_;
    SlotStatus forced_ = SlotStatus::answered;
};

using Keypair = int (*)(std::uint8_t*, std::uint8_t*);
using Base = int (*)(std::uint8_t*, const std::uint8_t*);
using Before = int (*)(std::uint8_t*, const std::uint8_t*, const std::uint8_t*);
using Box = int (*)(std::uint8_t*, const std::uint8_t*, unsigned long long, const std::uint8_t*, const std::uint8_t*,
                    const std::uint8_t*);
using After = int (*)(std::uint8_t*, const std::uint8_t*, unsigned long long, const std::uint8_t*, const std::uint8_t*);
using Detached = int (*)(std::uint8_t*, std::uint8_t*, const std::uint8_t*, unsigned long long, const std::uint8_t*,
                         const std::uint8_t*, const std::uint8_t*);
using OpenDetached = int (*)(std::uint8_t*, const std::uint8_t*, const std::uint8_t*, unsigned long long,
                             const std::uint8_t*, const std::uint8_t*, const std::uint8_t*);

class ShimTest : public testing::Test {
  protected:
    static void SetUpTestSuite()
    {
        ASSERT_GE(::sodium_init(), 0);
        sodium_ = std::make_unique<SodiumChamber>();
        fake_ = std::make_unique<FakeChamber>(
            [](std::uint32_t request, Octets input) { return sodium_->answer(request, input); });
        ::setenv("CAISSON_RING_FD", std::to_string(fake_->fd()).c_str(), 1);
        ::unsetenv("CAISSON_RUN_PID");
        library_ = ::dlopen(CAISSON_SHIM, RTLD_NOW | RTLD_LOCAL);
        ASSERT_NE(library_, nullptr) << ::dlerror();
    }
    static void TearDownTestSuite()
    {
        ::dlclose(library_);
        fake_.reset();
        sodium_.reset();
    }
    void SetUp() override
    {
        sodium_->force(SlotStatus::answered);
        ::crypto_box_keypair(peer_public_.data(), peer_secret_.data());
        ASSERT_EQ(get<Keypair>("crypto_box_keypair")(public_.data(), handle_.data()), 0);
        ::randombytes_buf(nonce_.data(), nonce_.size());
    }
    void TearDown() override { sodium_->force(SlotStatus::answered); }

    template <typename Function>
    static Function get(const char* name)
    {
        auto* address = ::dlsym(library_, name);
        EXPECT_NE(address, nullptr) << name;
        return reinterpret_cast<Function>(address);
    }

    static Octets text_of_size(std::size_t size)
    {
        Octets text(size + 1); // never empty: libsodium wants an address
        ::randombytes_buf(text.data(), text.size());
        text.resize(size);
        return text;
    }

    Key shared() const
    {
        Key key{};
        EXPECT_EQ(get<Before>("crypto_box_beforenm")(key.data(), peer_public_.data(), handle_.data()), 0);
        return key;
    }

    inline static std::unique_ptr<SodiumChamber> sodium_;
    inline static std::unique_ptr<FakeChamber> fake_;
    inline static void* library_ = nullptr;
    Key public_{};
    Key handle_{};
    Key peer_public_{};
    Key peer_secret_{};
    std::array<std::uint8_t, 24> nonce_{};
};

constexpr std::size_t text_bytes_max = airlock::message_bytes_max + 1;
constexpr std::array<std::size_t, 6> sizes{0, 1, 31, 64, 4096, text_bytes_max};

TEST_F(ShimTest, easy_boxes_are_libsodiums_both_ways) // [SHIM-3]
{
    for (const auto size : sizes) {
        const auto text = text_of_size(size);
        Octets box(size + 16);
        Octets opened(size);
        ASSERT_EQ(get<Box>("crypto_box_easy")(box.data(), text.data(), size, nonce_.data(), peer_public_.data(),
                                              handle_.data()),
                  0);
        ASSERT_EQ(::crypto_box_open_easy(opened.data(), box.data(), box.size(), nonce_.data(), public_.data(),
                                         peer_secret_.data()),
                  0);
        EXPECT_EQ(opened, text);
        ASSERT_EQ(get<Box>("crypto_box_open_easy")(opened.data(), box.data(), box.size(), nonce_.data(),
                                                   peer_public_.data(), handle_.data()),
                  0);
        EXPECT_EQ(opened, text);
    }
}

TEST_F(ShimTest, nacl_boxes_are_libsodiums_octet_for_octet) // [SHIM-3]
{
    for (const auto size : sizes) {
        Octets padded(32 + size);
        ::randombytes_buf(padded.data() + 32, size);
        Octets ours(padded.size(), 0xaa);
        Octets theirs(padded.size(), 0xbb);
        ASSERT_EQ(get<Box>("crypto_box")(ours.data(), padded.data(), padded.size(), nonce_.data(), peer_public_.data(),
                                         handle_.data()),
                  0);
        ASSERT_EQ(::crypto_box(theirs.data(), padded.data(), padded.size(), nonce_.data(), public_.data(),
                               peer_secret_.data()),
                  0);
        EXPECT_EQ(ours, theirs);
        Octets opened(padded.size(), 0xcc);
        ASSERT_EQ(get<Box>("crypto_box_open")(opened.data(), ours.data(), ours.size(), nonce_.data(),
                                              peer_public_.data(), handle_.data()),
                  0);
        EXPECT_EQ(opened, padded);
    }
}

TEST_F(ShimTest, boxes_with_a_shared_key_are_libsodiums_also_in_place) // [SHIM-3]
{
    const auto ours = shared();
    Key theirs{};
    ASSERT_EQ(::crypto_box_beforenm(theirs.data(), public_.data(), peer_secret_.data()), 0);
    EXPECT_NE(ours, theirs) << "the shared key itself came out of the chamber";
    const auto text = text_of_size(500);
    Octets box(516);
    ASSERT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), 500, nonce_.data(), ours.data()), 0);
    Octets expected(516);
    ASSERT_EQ(::crypto_box_easy_afternm(expected.data(), text.data(), 500, nonce_.data(), theirs.data()), 0);
    EXPECT_EQ(box, expected);
    ASSERT_EQ(
        get<After>("crypto_box_open_easy_afternm")(box.data(), box.data(), box.size(), nonce_.data(), ours.data()), 0);
    EXPECT_TRUE(std::equal(text.begin(), text.end(), box.begin()));
}

TEST_F(ShimTest, nacl_boxes_with_a_shared_key_and_detached_tags_agree_with_easy_ones) // [SHIM-3]
{
    const auto key = shared();
    Octets padded(32 + 100);
    ::randombytes_buf(padded.data() + 32, 100);
    Octets nacl(132);
    Octets easy(116);
    Octets ciphertext(100);
    Octets tag(16);
    ASSERT_EQ(get<After>("crypto_box_afternm")(nacl.data(), padded.data(), 132, nonce_.data(), key.data()), 0);
    ASSERT_EQ(get<After>("crypto_box_easy_afternm")(easy.data(), padded.data() + 32, 100, nonce_.data(), key.data()),
              0);
    ASSERT_EQ(get<Detached>("crypto_box_detached")(ciphertext.data(), tag.data(), padded.data() + 32, 100,
                                                   nonce_.data(), peer_public_.data(), handle_.data()),
              0);
    EXPECT_TRUE(std::equal(easy.begin(), easy.end(), nacl.begin() + 16));
    EXPECT_TRUE(std::equal(tag.begin(), tag.end(), easy.begin()));
    EXPECT_TRUE(std::equal(ciphertext.begin(), ciphertext.end(), easy.begin() + 16));
    Octets opened(132);
    ASSERT_EQ(get<After>("crypto_box_open_afternm")(opened.data(), nacl.data(), 132, nonce_.data(), key.data()), 0);
    EXPECT_EQ(opened, padded);
    opened.resize(100);
    ASSERT_EQ(get<OpenDetached>("crypto_box_open_detached")(opened.data(), ciphertext.data(), tag.data(), 100,
                                                            nonce_.data(), peer_public_.data(), handle_.data()),
              0);
    EXPECT_TRUE(std::equal(opened.begin(), opened.end(), padded.begin() + 32));
}

TEST_F(ShimTest, the_public_key_of_a_handle_is_that_of_its_secret)
{
    Key public_key{};
    ASSERT_EQ(get<Base>("crypto_scalarmult_base")(public_key.data(), handle_.data()), 0);
    EXPECT_EQ(public_key, public_);
}

TEST_F(ShimTest, an_altered_box_does_not_open)
{
    const auto text = text_of_size(40);
    Octets box(56);
    ASSERT_EQ(
        get<Box>("crypto_box_easy")(box.data(), text.data(), 40, nonce_.data(), peer_public_.data(), handle_.data()),
        0);
    Octets opened(40);
    for (std::size_t index = 0; index < box.size(); ++index) {
        auto altered = box;
        altered[index] ^= 1U;
        EXPECT_EQ(get<Box>("crypto_box_open_easy")(opened.data(), altered.data(), altered.size(), nonce_.data(),
                                                   peer_public_.data(), handle_.data()),
                  -1);
    }
}

TEST_F(ShimTest, inputs_shorter_than_their_padding_are_refused)
{
    Octets short_input(32);
    Octets output(64);
    for (std::size_t size = 0; size < 32; ++size) {
        EXPECT_EQ(get<Box>("crypto_box")(output.data(), short_input.data(), size, nonce_.data(), peer_public_.data(),
                                         handle_.data()),
                  -1);
        EXPECT_EQ(get<Box>("crypto_box_open")(output.data(), short_input.data(), size, nonce_.data(),
                                              peer_public_.data(), handle_.data()),
                  -1);
    }
    for (std::size_t size = 0; size < 16; ++size) {
        EXPECT_EQ(get<Box>("crypto_box_open_easy")(output.data(), short_input.data(), size, nonce_.data(),
                                                   peer_public_.data(), handle_.data()),
                  -1);
    }
}

TEST_F(ShimTest, a_secret_the_chamber_does_not_know_is_refused_everywhere) // [SHIM-4]
{
    Octets text(64);
    Octets out(128);
    const auto* raw = peer_secret_.data();
    testing::internal::CaptureStderr();
    EXPECT_EQ(get<Box>("crypto_box")(out.data(), text.data(), 64, nonce_.data(), public_.data(), raw), -1);
    EXPECT_EQ(get<Box>("crypto_box_easy")(out.data(), text.data(), 64, nonce_.data(), public_.data(), raw), -1);
    EXPECT_EQ(get<Box>("crypto_box_open")(out.data(), text.data(), 64, nonce_.data(), public_.data(), raw), -1);
    EXPECT_EQ(get<Before>("crypto_box_beforenm")(out.data(), public_.data(), raw), -1);
    EXPECT_EQ(get<Base>("crypto_scalarmult_base")(out.data(), raw), -1);
    EXPECT_TRUE(std::all_of(out.begin(), out.begin() + 32, [](auto octet) { return octet == 0; }));
    EXPECT_EQ(get<After>("crypto_box_open_easy_afternm")(out.data(), text.data(), 64, nonce_.data(), raw), -1);
    const auto told = testing::internal::GetCapturedStderr();
    EXPECT_LE(std::count(told.begin(), told.end(), '\n'), 1) << told;
}

constexpr std::size_t large_bytes = 2 * airlock::message_bytes_max + 77;

TEST_F(ShimTest, a_large_message_goes_in_pieces_and_is_libsodiums_also_in_place) // [SHIM-5] [SHIM-3]
{
    const auto ours = shared();
    Key theirs{};
    ASSERT_EQ(::crypto_box_beforenm(theirs.data(), public_.data(), peer_secret_.data()), 0);
    const auto text = text_of_size(large_bytes);
    Octets expected(text.size() + 16);
    ASSERT_EQ(::crypto_box_easy_afternm(expected.data(), text.data(), text.size(), nonce_.data(), theirs.data()), 0);
    Octets box(text.size() + 16);
    ASSERT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), text.size(), nonce_.data(), ours.data()),
              0);
    EXPECT_EQ(box, expected);
    Octets in_place(text);
    in_place.resize(text.size() + 16);
    ASSERT_EQ(get<After>("crypto_box_easy_afternm")(in_place.data(), in_place.data(), text.size(), nonce_.data(),
                                                    ours.data()),
              0);
    EXPECT_EQ(in_place, expected);
    ASSERT_EQ(
        get<After>("crypto_box_open_easy_afternm")(box.data(), box.data(), box.size(), nonce_.data(), ours.data()), 0);
    EXPECT_TRUE(std::equal(text.begin(), text.end(), box.begin()));
}

TEST_F(ShimTest, a_large_message_that_was_altered_leaves_nothing_of_its_text) // [SHIM-13]
{
    const auto key = shared();
    const auto text = text_of_size(large_bytes);
    Octets box(text.size() + 16);
    ASSERT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), text.size(), nonce_.data(), key.data()),
              0);
    for (const std::size_t octet : {std::size_t{0}, std::size_t{16}, std::size_t{300'000}, box.size() - 1}) {
        auto altered = box;
        altered[octet] ^= 1U;
        Octets opened(text.size(), 0xaa);
        EXPECT_EQ(get<After>("crypto_box_open_easy_afternm")(opened.data(), altered.data(), altered.size(),
                                                             nonce_.data(), key.data()),
                  -1);
        EXPECT_EQ(opened, Octets(text.size(), 0)) << octet;
    }
}

TEST_F(ShimTest, a_message_above_the_limit_is_refused_under_a_pair) // [SHIM-5]
{
    const Octets text(text_bytes_max + 1);
    Octets box(text.size() + 16);
    EXPECT_EQ(get<Box>("crypto_box_easy")(box.data(), text.data(), text.size(), nonce_.data(), peer_public_.data(),
                                          handle_.data()),
              -1);
    EXPECT_EQ(get<Box>("crypto_box_open_easy")(box.data(), box.data(), box.size(), nonce_.data(), peer_public_.data(),
                                               handle_.data()),
              -1);
}

TEST_F(ShimTest, a_refusal_that_may_pass_gives_a_box_that_nobody_opens) // [SHIM-6]
{
    const auto key = shared();
    Octets text(64, 's');
    for (const auto kind : {Kind::expired, Kind::exhausted, Kind::missing}) {
        sodium_->force(kind);
        Octets box(80, 0xaa);
        EXPECT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), 64, nonce_.data(), key.data()), 0);
        EXPECT_EQ(box, Octets(80, 0));
        Octets in_place(text);
        in_place.insert(in_place.end(), 16, 0);
        EXPECT_EQ(
            get<After>("crypto_box_easy_afternm")(in_place.data(), in_place.data(), 64, nonce_.data(), key.data()), 0);
        EXPECT_EQ(in_place, Octets(80, 0)) << "the message stayed in the output";
        EXPECT_EQ(get<After>("crypto_box_open_easy_afternm")(text.data(), box.data(), 80, nonce_.data(), key.data()),
                  -1);
    }
    for (const auto kind : {Kind::forbidden, Kind::malformed, Kind::unavailable}) {
        sodium_->force(kind);
        Octets box(80);
        EXPECT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), 64, nonce_.data(), key.data()), -1);
    }
}

TEST_F(ShimTest, what_a_chamber_before_knew_ends_connections_and_not_the_program) // [SHIM-15]
{
    const auto key = shared();
    Octets text(64, 's');
    Octets box(80);
    ASSERT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), 64, nonce_.data(), key.data()), 0);
    ++fake_->ring().lanes[0].owner_pid;
    for (const auto kind : {Kind::missing, Kind::unavailable}) {
        sodium_->force(kind);
        Octets sealed(80, 0xaa);
        EXPECT_EQ(get<After>("crypto_box_easy_afternm")(sealed.data(), text.data(), 64, nonce_.data(), key.data()), 0);
        EXPECT_EQ(sealed, Octets(80, 0));
        EXPECT_EQ(get<Box>("crypto_box_easy")(sealed.data(), text.data(), 64, nonce_.data(), peer_public_.data(),
                                              handle_.data()),
                  0);
        EXPECT_EQ(sealed, Octets(80, 0));
        Key dead{};
        EXPECT_EQ(get<Before>("crypto_box_beforenm")(dead.data(), peer_public_.data(), handle_.data()), 0);
        Octets opened(64, 0xaa);
        EXPECT_EQ(get<After>("crypto_box_open_easy_afternm")(opened.data(), box.data(), 80, nonce_.data(), key.data()),
                  -1)
            << "only a client's message becomes a PING";
        EXPECT_EQ(get<Box>("crypto_box_open_easy")(opened.data(), box.data(), 80, nonce_.data(), peer_public_.data(),
                                                   handle_.data()),
                  -1);
    }
    --fake_->ring().lanes[0].owner_pid;
}

TEST_F(ShimTest, a_clients_message_that_a_new_chamber_cannot_open_is_a_ping) // [SHIM-15]
{
    const auto key = shared();
    auto nonce = nonce_;
    std::memcpy(nonce.data(), "CurveZMQMESSAGES", 16);
    const auto open = [&](std::size_t size) {
        const Octets box(size + 16, 7);
        Octets opened(size, 0xaa);
        const int result =
            get<After>("crypto_box_open_easy_afternm")(opened.data(), box.data(), box.size(), nonce.data(), key.data());
        return std::pair(result, opened);
    };
    sodium_->force(Kind::missing);
    EXPECT_EQ(open(64).first, -1) << "the chamber is the same: the key gave way";
    ++fake_->ring().lanes[0].owner_pid;
    auto [result, text] = open(64);
    EXPECT_EQ(result, 0);
    Octets ping{2, 4, 'P', 'I', 'N', 'G', 0, 1};
    ping.resize(64);
    EXPECT_EQ(text, ping);
    EXPECT_EQ(open(8), std::pair(0, Octets({2, 4, 'P', 'I', 'N', 'G', 0, 1})));
    EXPECT_EQ(open(7), std::pair(0, Octets({2, 0, 0, 0, 0, 0, 0}))) << "no room: a command without a name";
    EXPECT_EQ(open(1).first, -1) << "an empty message would be one";
    auto welcome = nonce;
    std::memcpy(welcome.data(), "WELCOME-", 8);
    Octets opened(128, 0xaa);
    EXPECT_EQ(get<Box>("crypto_box_open_easy")(opened.data(), Octets(144, 7).data(), 144, welcome.data(),
                                               peer_public_.data(), handle_.data()),
              0);
    EXPECT_EQ(opened, Octets(128, 0)) << "a cookie that no server knows";
    sodium_->force(Kind::unauthentic);
    EXPECT_EQ(open(64).first, -1) << "altered is altered";
    --fake_->ring().lanes[0].owner_pid;
}

TEST_F(ShimTest, a_ready_that_a_new_chamber_cannot_open_is_metadata_that_say_nothing) // [SHIM-15]
{
    const auto key = shared();
    auto nonce = nonce_;
    std::memcpy(nonce.data(), "CurveZMQREADY---", 16);
    const auto open = [&](std::size_t size) {
        const Octets box(32 + size, 7);
        Octets opened(32 + size, 0xaa);
        const int result =
            get<After>("crypto_box_open_afternm")(opened.data(), box.data(), box.size(), nonce.data(), key.data());
        opened.erase(opened.begin(), opened.begin() + 32);
        return std::pair(result, opened);
    };
    sodium_->force(Kind::missing);
    EXPECT_EQ(open(40).first, -1) << "the chamber is the same";
    ++fake_->ring().lanes[0].owner_pid;
    Octets property(300);
    property[3] = 1; // a name of 0 octets, a value of 256 + 39
    property[4] = 39;
    EXPECT_EQ(open(300), std::pair(0, property));
    EXPECT_EQ(open(5), std::pair(0, Octets(5)));
    EXPECT_EQ(open(4).first, -1) << "no room for a property";
    sodium_->force(Kind::unauthentic);
    EXPECT_EQ(open(40).first, -1) << "altered is altered";
    --fake_->ring().lanes[0].owner_pid;
}

TEST_F(ShimTest, a_public_key_of_small_order_gives_a_dead_handle_not_an_end) // [SHIM-6]
{
    const Key zero{};
    Key dead{};
    ASSERT_EQ(get<Before>("crypto_box_beforenm")(dead.data(), zero.data(), handle_.data()), 0);
    Octets text(64, 's');
    Octets box(80, 0xaa);
    EXPECT_EQ(get<After>("crypto_box_easy_afternm")(box.data(), text.data(), 64, nonce_.data(), dead.data()), 0);
    EXPECT_EQ(box, Octets(80, 0));
    EXPECT_EQ(get<After>("crypto_box_open_easy_afternm")(text.data(), box.data(), 80, nonce_.data(), dead.data()), -1);
}

TEST_F(ShimTest, a_full_table_gives_a_dead_key_pair_not_an_end) // [SHIM-6]
{
    sodium_->force(Kind::exhausted);
    Key public_key{};
    Key dead{};
    EXPECT_EQ(get<Keypair>("crypto_box_keypair")(public_key.data(), dead.data()), 0);
    sodium_->force(SlotStatus::answered);
    Octets text(64, 's');
    Octets box(80, 0xaa);
    EXPECT_EQ(get<Box>("crypto_box_open")(box.data(), text.data(), 64, nonce_.data(), public_.data(), dead.data()), -1);
    EXPECT_EQ(get<Base>("crypto_scalarmult_base")(public_key.data(), dead.data()), -1);
}

TEST_F(ShimTest, no_other_symbol_is_exported) // [SHIM-1] [SHIM-2]
{
    const std::string command = "nm -D --defined-only " CAISSON_SHIM " | awk '{print $3}' | sort | tr '\\n' ' '";
    auto* pipe = ::popen(command.c_str(), "r");
    std::array<char, 2048> line{};
    ASSERT_NE(std::fgets(line.data(), line.size(), pipe), nullptr);
    ::pclose(pipe);
    EXPECT_STREQ(line.data(), "crypto_box crypto_box_afternm crypto_box_beforenm crypto_box_detached "
                              "crypto_box_detached_afternm crypto_box_easy crypto_box_easy_afternm crypto_box_keypair "
                              "crypto_box_open crypto_box_open_afternm crypto_box_open_detached "
                              "crypto_box_open_detached_afternm crypto_box_open_easy crypto_box_open_easy_afternm "
                              "crypto_scalarmult_base ");
    EXPECT_EQ(std::system("test \"$(objdump -p " CAISSON_SHIM " | grep -c NEEDED)\" = 1"), 0);
    EXPECT_NE(std::system("nm -D " CAISSON_SHIM " | grep -q dlsym"), 0);
}

// An unmodified pyzmq program, its keys behind the fake chamber.
TEST_F(ShimTest, pyzmq_talks_to_itself_with_handles) // [SHIM-2] [SHIM-8]
{
    const auto child = ::fork();
    if (child == 0) {
        ::fcntl(fake_->fd(), F_SETFD, 0);
        ::setenv("LD_PRELOAD", CAISSON_SHIM, 1);
        ::execl("/usr/bin/python3", "python3", CAISSON_PEER, "keypair", "--count", "500", nullptr);
        ::_exit(127);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

} // namespace
} // namespace caisson::shim
