// Sealing across versions of a chamber: really built and signed images, on the platform `process`. What a signer's
// chamber sealed opens in its next SVN, and nowhere else.
#include "host/enclave/enclave.hpp"
#include "host/enclave/image/builder.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/witness_chamber.hpp"
#include "host/store/durable_file.hpp"
#include "tests/null_chamber/requests.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace caisson::host::enclave {
namespace {

using image::Identity;
using image::Signer;
using tests::null_chamber::Request;
using Buffer = std::vector<std::uint8_t>;

constexpr std::string_view secret = "a user's key";
constexpr std::uint16_t null_product = 99;
constexpr std::uint16_t witness_product = 2;

Buffer load(const std::filesystem::path& path)
{
    auto bytes = store::load_file(path, std::size_t{64} << 20U, store::Writers::anyone);
    EXPECT_TRUE(bytes) << path;
    return bytes.value_or(Buffer());
}

class UpgradeTest : public testing::Test {
  protected:
    static void SetUpTestSuite()
    {
        folder_ = std::filesystem::path(testing::TempDir()) / ("caisson-upgrade-" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
        std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
        signer_ = std::make_unique<Signer>(*Signer::create(folder_ / "signer.pem"));
        other_signer_ = std::make_unique<Signer>(*Signer::create(folder_ / "other.pem"));
        null_ = load(std::filesystem::path(CAISSON_TEST_IMAGES) / "null.sgxs");
        witness_ = load(std::filesystem::path(CAISSON_TEST_IMAGES) / "witness.sgxs");
    }
    static void TearDownTestSuite()
    {
        signer_.reset();
        other_signer_.reset();
        std::filesystem::remove_all(folder_);
    }

    static std::filesystem::path publish(ChamberKind kind, Bytes image, const Signer& signer, const Identity& identity)
    {
        static int count = 0;
        const auto where = folder_ / std::to_string(++count);
        const std::string name = chamber_name(kind);
        std::filesystem::create_directories(where);
        std::filesystem::create_symlink(std::filesystem::path(CAISSON_TEST_IMAGES) / "caisson-loader",
                                        where / "caisson-loader");
        const auto sigstruct = *signer.sign(image::measurement_of(image), identity);
        EXPECT_TRUE(store::store_file(where / (name + ".sgxs"), image, 0644, store::Existing::keep));
        EXPECT_TRUE(store::store_file(where / (name + ".sig"),
                                      {reinterpret_cast<const std::uint8_t*>(&sigstruct), sizeof sigstruct}, 0644,
                                      store::Existing::keep));
        return where;
    }

    static std::unique_ptr<Enclave> start(ChamberKind kind, const std::filesystem::path& images,
                                          const std::string& root = "root.key")
    {
        const auto machine = Root::open_file(folder_ / root);
        EXPECT_TRUE(machine) << machine.error().what;
        EnclaveOptions options;
        options.chamber = kind;
        options.images = images;
        auto enclave = Enclave::open(options, *machine);
        EXPECT_TRUE(enclave) << enclave.error().what;
        return enclave ? std::move(*enclave) : nullptr;
    }
    static std::unique_ptr<Enclave> null_of(const Identity& identity, const Signer& signer = *signer_,
                                            Bytes image = null_, const std::string& root = "root.key")
    {
        return start(ChamberKind::null, publish(ChamberKind::null, image, signer, identity), root);
    }

    static Buffer sealed_by(Enclave& enclave, Request request = Request::seal)
    {
        Buffer blob(512);
        const auto size = enclave.call(static_cast<std::uint32_t>(request), bytes_of(secret), blob);
        EXPECT_TRUE(size);
        blob.resize(size.value_or(0));
        return blob;
    }
    // The kind with which it is refused, or nothing when the very secret came out.
    static std::optional<Kind> refusal(Enclave& enclave, Bytes blob)
    {
        Buffer output(256);
        const auto size = enclave.call(static_cast<std::uint32_t>(Request::unseal), blob, output);
        if (!size) {
            return size.error().kind;
        }
        EXPECT_TRUE(same_bytes(Bytes(output).first(*size), bytes_of(secret)));
        return std::nullopt;
    }

    static inline std::filesystem::path folder_;
    static inline std::unique_ptr<Signer> signer_;
    static inline std::unique_ptr<Signer> other_signer_;
    static inline Buffer null_;
    static inline Buffer witness_;
};

// [SEAL-3] [SEAL-4]
TEST_F(UpgradeTest, what_one_svn_sealed_opens_in_the_next_and_never_in_a_lower_one)
{
    const auto one = null_of({null_product, 1});
    const auto two = null_of({null_product, 2});
    const auto nine = null_of({null_product, 9});
    ASSERT_TRUE(one && two && nine);
    const auto by_one = sealed_by(*one);
    EXPECT_EQ(refusal(*one, by_one), std::nullopt);
    EXPECT_EQ(refusal(*two, by_one), std::nullopt);
    EXPECT_EQ(refusal(*nine, by_one), std::nullopt);
    const auto by_two = sealed_by(*two);
    EXPECT_EQ(refusal(*one, by_two), Kind::expired);
    EXPECT_EQ(refusal(*nine, by_two), std::nullopt);
}

// [SEAL-3]: a rebuilt image is another MRENCLAVE, and keeps its users' keys.
TEST_F(UpgradeTest, another_image_of_the_same_signer_opens_it_unless_it_was_sealed_for_the_image)
{
    image::Layout layout;
    layout.stack_pages = 80;
    const auto rebuilt = *image::build_image(load(CAISSON_NULL_ELF), layout);
    ASSERT_NE(image::measurement_of(rebuilt), image::measurement_of(null_));
    const auto first = null_of({null_product, 1});
    const auto second = null_of({null_product, 1}, *signer_, rebuilt);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(refusal(*second, sealed_by(*first)), std::nullopt);
    const auto for_the_image = sealed_by(*first, Request::seal_for_image);
    EXPECT_EQ(refusal(*first, for_the_image), std::nullopt);
    EXPECT_EQ(refusal(*second, for_the_image), Kind::unauthentic);
}

TEST_F(UpgradeTest, another_signer_product_root_or_debug_enclave_does_not_open_it)
{
    const auto first = null_of({null_product, 1});
    ASSERT_TRUE(first);
    const auto blob = sealed_by(*first);
    const auto other_signer = null_of({null_product, 1}, *other_signer_);
    const auto other_product = null_of({null_product + 1, 1});
    const auto other_root = null_of({null_product, 1}, *signer_, null_, "other.key");
    const auto debug = null_of({null_product, 1, true});
    for (auto* enclave : {other_signer.get(), other_product.get(), other_root.get(), debug.get()}) {
        ASSERT_TRUE(enclave);
        EXPECT_EQ(refusal(*enclave, blob), Kind::unauthentic);
    }
}

// The SVN is what was signed: it cannot be raised in the file.
TEST_F(UpgradeTest, a_raised_svn_in_the_signature_does_not_start)
{
    const auto images = publish(ChamberKind::null, null_, *signer_, {null_product, 1});
    {
        std::fstream file(images / "null.sig", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(offsetof(protocol::sgx::Sigstruct, isv_svn));
        file.put(9);
    }
    const auto machine = Root::open_file(folder_ / "root.key");
    ASSERT_TRUE(machine);
    EnclaveOptions options;
    options.chamber = ChamberKind::null;
    options.images = images;
    const auto refused = Enclave::open(options, *machine);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unauthentic);
    EXPECT_NE(refused.error().what.find("signature"), std::string::npos) << refused.error().what;
}

TEST_F(UpgradeTest, a_witness_keeps_its_identity_in_the_next_svn_and_loses_it_in_a_lower_one)
{
    const auto witness_of = [](std::uint16_t svn) {
        return start(ChamberKind::witness, publish(ChamberKind::witness, witness_, *signer_, {witness_product, svn}));
    };
    const auto one = witness_of(1);
    const auto two = witness_of(2);
    const auto one_again = witness_of(1);
    const auto three = witness_of(3);
    ASSERT_TRUE(one && two && one_again && three);
    protocol::VerifyingKey verifier{};
    verifier.bytes.fill(1);
    protocol::BoxKey box{};
    box.bytes.fill(9);
    const auto by_one = WitnessChamber(*one).create_identity(verifier, box);
    ASSERT_TRUE(by_one) << by_one.error().what;
    const auto loaded = WitnessChamber(*two).load_identity(by_one->sealed);
    ASSERT_TRUE(loaded) << loaded.error().what;
    EXPECT_EQ(loaded->witness_key, by_one->witness_key);
    const auto by_three = WitnessChamber(*three).create_identity(verifier, box);
    ASSERT_TRUE(by_three);
    const auto refused = WitnessChamber(*one_again).load_identity(by_three->sealed);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::expired);
}

} // namespace
} // namespace caisson::host::enclave
