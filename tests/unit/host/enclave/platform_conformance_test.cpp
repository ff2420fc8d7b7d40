// What a chamber does is the same on every platform: the same tests, on `process` with the real images, on `inproc`, on
// `sgx` where there is SGX, and on the host side of `sgx` over a device that only records.
#include "host/enclave/curve_chamber.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/sgx_aesm.hpp"
#include "host/enclave/sgx_enclave.hpp"
#include "protocol/evidence/sgx_verify.hpp"
#include "tests/null_chamber/chamber.hpp"
#include "tests/null_chamber/requests.hpp"
#include "tests/support/fake_aesm.hpp"
#include "tests/support/fake_sgx_device.hpp"
#include "tests/support/inproc_chamber.hpp"
#include "trusted/curve/chamber.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

namespace caisson::host::enclave {
namespace {

using airlock::curve::Request;
using NullRequest = tests::null_chamber::Request;
using Buffer = std::vector<std::uint8_t>;

template <typename AnyRequest>
std::uint32_t number(AnyRequest request)
{
    return static_cast<std::uint32_t>(request);
}

struct ProcessPlatform {
    static constexpr auto platform = protocol::sgx::Platform::process;
    static constexpr const char* name = "process";
    static bool is_here() { return true; }
    static Outcome<std::unique_ptr<Enclave>> open(ChamberKind kind, const Root& root, std::uint8_t /*seed*/)
    {
        EnclaveOptions options;
        options.chamber = kind;
        options.images = CAISSON_TEST_IMAGES;
        return Enclave::open(options, root);
    }
};

struct InprocPlatform {
    static constexpr auto platform = protocol::sgx::Platform::inproc;
    static constexpr const char* name = "inproc";
    static bool is_here() { return true; }
    static Outcome<std::unique_ptr<Enclave>> open(ChamberKind kind, const Root& root, std::uint8_t seed)
    {
        InprocOptions options;
        options.seed[0] = seed;
        options.mrenclave.fill(number(kind) == 0 ? 0xc0 : 0xc1);
        options.mrsigner.fill(0x51);
        if (kind == ChamberKind::curve) {
            options.product = 1;
            return open_inproc_enclave(std::make_unique<tests::InprocChamberOf<trusted::curve::Chamber>>(), options,
                                       root);
        }
        options.product = 99;
        return open_inproc_enclave(std::make_unique<tests::InprocChamberOf<tests::null_chamber::Chamber>>(), options,
                                   root);
    }
};

// The CPU's own, for tools/sgx-bringup.
struct SgxPlatform {
    static constexpr auto platform = protocol::sgx::Platform::sgx;
    static constexpr const char* name = "sgx";
    static bool is_here() { return ::access("/dev/sgx_enclave", R_OK | W_OK) == 0; }
    static Outcome<std::unique_ptr<Enclave>> open(ChamberKind kind, const Root& root, std::uint8_t /*seed*/)
    {
        EnclaveOptions options;
        options.chamber = kind;
        options.platform = platform;
        options.images = CAISSON_TEST_IMAGES;
        return Enclave::open(options, root);
    }
};

// The same caller code, with no CPU behind it.
struct RecordedSgxPlatform {
    static constexpr auto platform = protocol::sgx::Platform::sgx;
    static constexpr const char* name = "sgx_recorded";
    static bool is_here() { return true; }
    static Outcome<std::unique_ptr<Enclave>> open(ChamberKind kind, const Root& root, std::uint8_t seed)
    {
        EnclaveOptions options;
        options.chamber = kind;
        options.platform = platform;
        options.images = CAISSON_TEST_IMAGES;
        std::unique_ptr<InprocChamber> chamber;
        if (kind == ChamberKind::curve) {
            chamber = std::make_unique<tests::InprocChamberOf<trusted::curve::Chamber>>();
        } else {
            chamber = std::make_unique<tests::InprocChamberOf<tests::null_chamber::Chamber>>();
        }
        return open_sgx_enclave(options, std::make_unique<tests::FakeSgxDevice>(std::move(chamber), root, seed));
    }
};

template <typename Platform>
class PlatformTest : public testing::Test {
  protected:
    // On a CPU of its own a machine is no root file: there "elsewhere" is the same place.
    static constexpr bool has_elsewhere = !std::is_same_v<Platform, SgxPlatform>;
    static constexpr bool of_cpu = Platform::platform == protocol::sgx::Platform::sgx;
    static constexpr auto root_kind = of_cpu ? protocol::sgx::RootKind::cpu : protocol::sgx::RootKind::file;

    void SetUp() override
    {
        if (!Platform::is_here()) {
            GTEST_SKIP() << "this machine has no SGX (tools/sgx-bringup)";
        }
        folder_ = std::filesystem::path(testing::TempDir()) / ("caisson-platform-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // Each with randomness of its own.
    std::unique_ptr<Enclave> opened(ChamberKind kind = ChamberKind::null, const std::string& root = "root.key")
    {
        const auto machine = Root::open_file(folder_ / root);
        EXPECT_TRUE(machine) << machine.error().what;
        auto enclave = Platform::open(kind, *machine, ++seed_);
        EXPECT_TRUE(enclave) << enclave.error().what;
        return enclave ? std::move(*enclave) : nullptr;
    }

    std::filesystem::path folder_;
    std::uint8_t seed_ = 0;
};

struct PlatformNames {
    template <typename Platform>
    static std::string GetName(int /*index*/)
    {
        return Platform::name;
    }
};
using Platforms = testing::Types<ProcessPlatform, InprocPlatform, RecordedSgxPlatform, SgxPlatform>;
TYPED_TEST_SUITE(PlatformTest, Platforms, PlatformNames);

template <typename AnyRequest>
Buffer answer_of(Enclave& enclave, AnyRequest request, Bytes input, std::size_t room = 4096)
{
    Buffer output(room);
    const auto size = enclave.call(number(request), input, output);
    EXPECT_TRUE(size) << kind_name(size.error().kind);
    output.resize(size.value_or(0));
    return output;
}

Buffer joined(std::initializer_list<Bytes> parts)
{
    Buffer all;
    for (const auto part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

constexpr ByteArray<4> zero_word{};

// public_key[32], sealed
Buffer new_key(Enclave& curve)
{
    return answer_of(curve, Request::create_key_pair, joined({zero_word, ByteArray<32>{}}));
}

// The id of a key that was sealed, loaded.
Buffer loaded(Enclave& curve, Bytes created)
{
    auto key = answer_of(curve, Request::import_sealed_private_key, created.subspan(32));
    key.resize(4);
    return key;
}

TYPED_TEST(PlatformTest, it_answers_and_says_what_it_is)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    EXPECT_EQ(text_of(answer_of(*enclave, NullRequest::echo, bytes_of("hello"))), "hello");
    EXPECT_TRUE(enclave->alive());
    EXPECT_EQ(enclave->facts().platform, TypeParam::platform);
    EXPECT_EQ(enclave->facts().root, TestFixture::root_kind);
    EXPECT_EQ(enclave->facts().product, 99);
    EXPECT_EQ(enclave->facts().pid != 0, TypeParam::platform == protocol::sgx::Platform::process);
}

TYPED_TEST(PlatformTest, a_report_says_the_platform_and_what_the_chamber_is)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    const auto bytes = answer_of(*enclave, NullRequest::report, Buffer(512));
    protocol::sgx::Report report;
    ASSERT_EQ(bytes.size(), sizeof report);
    std::memcpy(&report, bytes.data(), sizeof report);
    const bool emulated = same_bytes(Bytes(report.cpusvn).first(8), protocol::sgx::emulated_cpusvn_prefix);
    EXPECT_EQ(emulated, !(std::is_same_v<TypeParam, SgxPlatform>)); // a CPU's own never looks like it
    if (emulated) {
        EXPECT_EQ(report.cpusvn[8], static_cast<std::uint8_t>(TypeParam::platform));
        EXPECT_EQ(report.cpusvn[9], static_cast<std::uint8_t>(TestFixture::root_kind));
    }
    EXPECT_EQ(report.mrenclave, enclave->facts().mrenclave);
    EXPECT_EQ(report.mrsigner, enclave->facts().mrsigner);
    EXPECT_EQ(report.isv_prod_id, enclave->facts().product);
    EXPECT_EQ(report.isv_svn, enclave->facts().svn);
}

TYPED_TEST(PlatformTest, a_batch_larger_than_the_ring_is_answered_in_order)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    std::vector<std::uint32_t> values(airlock::slots_per_lane + 44);
    std::vector<std::uint32_t> answers(values.size());
    std::vector<Enclave::Call> calls;
    for (std::size_t index = 0; index < values.size(); ++index) {
        values[index] = static_cast<std::uint32_t>(index);
        calls.push_back({number(NullRequest::echo),
                         {reinterpret_cast<std::uint8_t*>(&values[index]), 4},
                         {reinterpret_cast<std::uint8_t*>(&answers[index]), 4},
                         std::size_t{0}});
    }
    enclave->call_many(calls);
    EXPECT_EQ(answers, values);
}

TYPED_TEST(PlatformTest, a_refused_call_of_a_batch_takes_no_other_with_it)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    Buffer first(8);
    Buffer last(8);
    std::vector<Enclave::Call> calls{{number(NullRequest::echo), bytes_of("first"), first, std::size_t{0}},
                                     {12345, {}, {}, std::size_t{0}},
                                     {number(NullRequest::unseal), bytes_of("nonsense"), {}, std::size_t{0}},
                                     {number(NullRequest::echo), bytes_of("last"), last, std::size_t{0}}};
    enclave->call_many(calls);
    EXPECT_EQ(text_of(Bytes(first).first(calls[0].result.value_or(0))), "first");
    EXPECT_EQ(calls[1].result.error().kind, Kind::forbidden);
    EXPECT_EQ(calls[2].result.error().kind, Kind::malformed);
    EXPECT_EQ(text_of(Bytes(last).first(calls[3].result.value_or(0))), "last");
}

TYPED_TEST(PlatformTest, several_threads_share_it)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    std::vector<std::thread> threads;
    for (std::uint8_t who = 0; who < 4; ++who) {
        threads.emplace_back([&enclave, who] {
            for (int round = 0; round < 300; ++round) {
                const Buffer message(100 + who, who);
                EXPECT_EQ(answer_of(*enclave, NullRequest::echo, message), message);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TYPED_TEST(PlatformTest, the_largest_payload_passes_and_one_byte_more_is_refused)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    const Buffer largest(airlock::payload_bytes_max, 7);
    EXPECT_EQ(answer_of(*enclave, NullRequest::echo, largest, largest.size()), largest);
    EXPECT_EQ(enclave->call(number(NullRequest::echo), Buffer(largest.size() + 1), {}).error().kind, Kind::exhausted);
    EXPECT_EQ(answer_of(*enclave, NullRequest::echo, {}), Buffer());
}

TYPED_TEST(PlatformTest, an_answer_that_does_not_fit_is_exhausted_and_the_next_one_is_whole)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    Buffer small(4);
    EXPECT_EQ(enclave->call(number(NullRequest::echo), bytes_of("five5"), small).error().kind, Kind::exhausted);
    EXPECT_EQ(small, Buffer(4));
    EXPECT_EQ(text_of(answer_of(*enclave, NullRequest::echo, bytes_of("next"))), "next");
}

TYPED_TEST(PlatformTest, an_unknown_request_and_a_wrong_size_are_forbidden)
{
    const auto enclave = this->opened();
    ASSERT_TRUE(enclave);
    EXPECT_EQ(enclave->call(0, {}, {}).error().kind, Kind::forbidden);
    EXPECT_EQ(enclave->call(12345, {}, {}).error().kind, Kind::forbidden);
    EXPECT_EQ(enclave->call(number(NullRequest::report), Buffer(511), {}).error().kind, Kind::forbidden);
    EXPECT_EQ(enclave->call(number(NullRequest::random), bytes_of("x"), {}).error().kind, Kind::forbidden);
}

TYPED_TEST(PlatformTest, what_it_sealed_opens_after_a_restart_and_nowhere_else)
{
    Buffer sealed;
    {
        const auto first = this->opened();
        ASSERT_TRUE(first);
        sealed = answer_of(*first, NullRequest::seal, bytes_of("secret"));
    }
    const auto again = this->opened();
    const auto elsewhere = this->opened(ChamberKind::null, "other.key");
    ASSERT_TRUE(again && elsewhere);
    EXPECT_EQ(text_of(answer_of(*again, NullRequest::unseal, sealed)), "secret");
    Buffer output(256);
    if (TestFixture::has_elsewhere) {
        EXPECT_EQ(elsewhere->call(number(NullRequest::unseal), sealed, output).error().kind, Kind::unauthentic);
    }
    sealed.back() = static_cast<std::uint8_t>(sealed.back() ^ 1U);
    EXPECT_EQ(again->call(number(NullRequest::unseal), sealed, output).error().kind, Kind::unauthentic);
}

TYPED_TEST(PlatformTest, reports_verify_on_this_machine_for_their_target_only)
{
    const auto first = this->opened();
    const auto second = this->opened();
    const auto elsewhere = this->opened(ChamberKind::null, "other.key");
    ASSERT_TRUE(first && second && elsewhere);
    const auto target = answer_of(*second, NullRequest::target, {});
    auto report = answer_of(*first, NullRequest::report, target);
    EXPECT_TRUE(second->call(number(NullRequest::verify), report, {}));
    if (TestFixture::has_elsewhere) {
        EXPECT_EQ(elsewhere->call(number(NullRequest::verify), report, {}).error().kind, Kind::unauthentic);
    }
    const auto for_nobody = answer_of(*first, NullRequest::report, Buffer(512));
    EXPECT_EQ(second->call(number(NullRequest::verify), for_nobody, {}).error().kind, Kind::unauthentic);
    report[0] = static_cast<std::uint8_t>(report[0] ^ 1U);
    EXPECT_EQ(second->call(number(NullRequest::verify), report, {}).error().kind, Kind::unauthentic);
}

TYPED_TEST(PlatformTest, random_bytes_differ_between_calls_and_starts)
{
    const auto first = this->opened();
    const auto second = this->opened();
    ASSERT_TRUE(first && second);
    const auto bytes = answer_of(*first, NullRequest::random, {});
    EXPECT_EQ(bytes.size(), 32U);
    EXPECT_NE(bytes, answer_of(*first, NullRequest::random, {}));
    EXPECT_NE(bytes, answer_of(*second, NullRequest::random, {}));
}

// Whoever has the ring may end the chamber: calls are then refused soon, and others of its kind go on.
TYPED_TEST(PlatformTest, a_chamber_that_ended_is_unavailable_and_another_starts)
{
    const auto enclave = this->opened();
    const auto other = this->opened();
    ASSERT_TRUE(enclave && other);
    void* const mapped =
        ::mmap(nullptr, sizeof(airlock::Ring), PROT_READ | PROT_WRITE, MAP_SHARED, enclave->ring_fd(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    auto& ring = *static_cast<airlock::Ring*>(mapped);
    ring.stop.store(1);
    Buffer output(64);
    EXPECT_EQ(enclave->call(number(NullRequest::echo), bytes_of("x"), output).error().kind, Kind::unavailable);
    EXPECT_EQ(enclave->call(number(NullRequest::echo), bytes_of("x"), output).error().kind, Kind::unavailable);
    EXPECT_FALSE(enclave->alive());
    ::munmap(mapped, sizeof(airlock::Ring));
    EXPECT_EQ(text_of(answer_of(*other, NullRequest::echo, bytes_of("here"))), "here");
    EXPECT_TRUE(this->opened());
}

TYPED_TEST(PlatformTest, a_curve_key_survives_a_restart_sealed_and_is_its_machines_alone)
{
    Buffer created;
    {
        const auto first = this->opened(ChamberKind::curve);
        ASSERT_TRUE(first);
        created = new_key(*first);
        ASSERT_GT(created.size(), 32U);
    }
    const auto again = this->opened(ChamberKind::curve);
    const auto elsewhere = this->opened(ChamberKind::curve, "other.key");
    ASSERT_TRUE(again && elsewhere);
    const auto loaded_again = CurveChamber(*again).import_sealed(Bytes(created).subspan(32));
    ASSERT_TRUE(loaded_again);
    EXPECT_TRUE(same_bytes(loaded_again->public_key.bytes, Bytes(created).first(32)));
    if (TestFixture::has_elsewhere) {
        const auto refused = CurveChamber(*elsewhere).import_sealed(Bytes(created).subspan(32));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, Kind::unauthentic);
    }
}

TYPED_TEST(PlatformTest, two_curve_chambers_shake_hands_and_speak)
{
    const auto server = this->opened(ChamberKind::curve);
    const auto client = this->opened(ChamberKind::curve);
    ASSERT_TRUE(server && client);
    const auto server_created = new_key(*server);
    const auto server_key = loaded(*server, server_created);
    const auto client_key = loaded(*client, new_key(*client));
    const Bytes public_key = Bytes(server_created).first(32);
    const auto at_client = answer_of(*client, Request::open_client, joined({client_key, public_key}));
    const auto hello = answer_of(*client, Request::produce_hello, at_client);
    const auto welcome = answer_of(*server, Request::process_hello, joined({server_key, hello}));
    answer_of(*client, Request::process_welcome, joined({at_client, welcome}));
    const auto initiate = answer_of(*client, Request::produce_initiate, at_client);
    auto at_server = answer_of(*server, Request::process_initiate, joined({server_key, initiate}));
    at_server.resize(4);
    const auto ready = answer_of(*server, Request::produce_ready, at_server);
    answer_of(*client, Request::process_ready, joined({at_client, ready}));
    const auto message =
        answer_of(*client, Request::produce_message, joined({at_client, zero_word, bytes_of("under water")}));
    const auto text = answer_of(*server, Request::process_message, joined({at_server, message}));
    ASSERT_GE(text.size(), 4U);
    EXPECT_EQ(text_of(Bytes(text).subspan(4)), "under water");
    Buffer output(4096);
    EXPECT_FALSE(server->call(number(Request::process_message), joined({at_server, message}), output)); // replayed
    EXPECT_EQ(client->call(number(Request::process_ready), joined({at_client, ready}), output).error().kind,
              Kind::forbidden);
}

// What protocol/evidence says of a quote without Intel's collateral, which needs the network: it can be read, it is of
// this enclave, and its signatures are right from the key that its PCK certificate names.
void expect_quote_of(const EnclaveFacts& facts, Bytes bytes)
{
    const auto quote = protocol::evidence::read_sgx_quote(bytes);
    ASSERT_TRUE(quote) << quote.error().what;
    EXPECT_EQ(quote->body.mrenclave, facts.mrenclave);
    EXPECT_EQ(quote->body.mrsigner, facts.mrsigner);
    EXPECT_EQ(quote->body.isv_prod_id, facts.product);
    EXPECT_EQ(quote->body.isv_svn, facts.svn);
    EXPECT_EQ((quote->body.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0, facts.debug);
    const auto chain = protocol::evidence::Certificate::read_chain(quote->certificate_chain);
    ASSERT_TRUE(chain) << chain.error().what;
    ASSERT_FALSE(chain->empty());
    EXPECT_TRUE(protocol::evidence::verify_sgx_signatures(*quote, chain->front()));
    auto altered = std::vector<std::uint8_t>(bytes.begin(), bytes.end());
    altered[protocol::evidence::quote_header_bytes] ^= 1U;
    const auto other = protocol::evidence::read_sgx_quote(altered);
    ASSERT_TRUE(other) << other.error().what;
    EXPECT_FALSE(protocol::evidence::verify_sgx_signatures(*other, chain->front()));
}

// The check below, without hardware: on a quote that a fake AESM makes with a PKI of the test's own.
TEST(SgxHardware, the_check_of_its_quote_takes_a_good_one)
{
    const tests::SgxPki pki;
    const tests::FakeAesm service(tests::honest_aesm(pki));
    EnclaveFacts facts;
    facts.mrenclave.fill(0xc0);
    facts.mrsigner.fill(0x51);
    facts.product = 99;
    facts.svn = 3;
    protocol::sgx::Report report{};
    report.attributes.flags = protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT;
    report.mrenclave = facts.mrenclave;
    report.mrsigner = facts.mrsigner;
    report.isv_prod_id = facts.product;
    report.isv_svn = facts.svn;
    const auto quote = Aesm(service.path()).quote(report);
    ASSERT_TRUE(quote) << quote.error().what;
    expect_quote_of(facts, *quote);
}

// With Intel's services: REPORT, quoting enclave, quote of this very image.
TEST(SgxHardware, a_quote_of_this_image_is_made)
{
    if (!SgxPlatform::is_here() || ::access(Aesm::usual_socket, F_OK) != 0) {
        GTEST_SKIP() << "this machine has no SGX, or no AESM (tools/sgx-bringup)";
    }
    const auto folder = std::filesystem::path(testing::TempDir()) / ("caisson-quote-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    const auto root = Root::open_file(folder / "root.key");
    ASSERT_TRUE(root);
    const auto enclave = SgxPlatform::open(ChamberKind::null, *root, 0);
    ASSERT_TRUE(enclave) << enclave.error().what;
    const Aesm aesm;
    const auto target = aesm.target();
    ASSERT_TRUE(target) << target.error().what;
    const Bytes target_bytes(reinterpret_cast<const std::uint8_t*>(&*target), sizeof *target);
    const auto made = answer_of(**enclave, NullRequest::report, target_bytes);
    protocol::sgx::Report report;
    ASSERT_EQ(made.size(), sizeof report);
    std::memcpy(&report, made.data(), sizeof report);
    const auto quote = aesm.quote(report);
    ASSERT_TRUE(quote) << quote.error().what;
    expect_quote_of((*enclave)->facts(), *quote);
    std::filesystem::remove_all(folder);
}

using InprocTest = PlatformTest<InprocPlatform>;

TEST_F(InprocTest, the_same_seed_gives_the_same_keys_and_no_seed_no_chamber)
{
    const auto root = Root::open_file(folder_ / "root.key");
    ASSERT_TRUE(root);
    const auto first = InprocPlatform::open(ChamberKind::null, *root, 5);
    const auto second = InprocPlatform::open(ChamberKind::null, *root, 5);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(answer_of(**first, NullRequest::random, {}), answer_of(**second, NullRequest::random, {}));
    const auto without = InprocPlatform::open(ChamberKind::null, *root, 0);
    ASSERT_FALSE(without);
    EXPECT_EQ(without.error().kind, Kind::unavailable);
}

TEST_F(InprocTest, the_program_never_opens_one)
{
    const auto root = Root::open_file(folder_ / "root.key");
    ASSERT_TRUE(root);
    EnclaveOptions options;
    options.platform = protocol::sgx::Platform::inproc;
    const auto refused = Enclave::open(options, *root);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::forbidden);
}

TEST_F(InprocTest, what_one_platform_sealed_the_other_does_not_open)
{
    const auto root = Root::open_file(folder_ / "root.key");
    ASSERT_TRUE(root);
    const auto inside = InprocPlatform::open(ChamberKind::null, *root, 1);
    const auto locked = ProcessPlatform::open(ChamberKind::null, *root, 1);
    ASSERT_TRUE(inside && locked);
    const auto sealed = answer_of(**inside, NullRequest::seal, bytes_of("weak"));
    Buffer output(256);
    EXPECT_EQ((*locked)->call(number(NullRequest::unseal), sealed, output).error().kind, Kind::unauthentic);
    const auto report = answer_of(**inside, NullRequest::report, answer_of(**locked, NullRequest::target, {}));
    EXPECT_EQ((*locked)->call(number(NullRequest::verify), report, {}).error().kind, Kind::unauthentic);
}

} // namespace
} // namespace caisson::host::enclave
