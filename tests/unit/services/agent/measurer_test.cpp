// Real files read for a real witness, with everything a file system can do to a reader.
#include "services/agent/measurer.hpp"

#include "services/agent/tree.hpp"
#include "tests/unit/services/agent/witness_enclave.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace caisson::services::agent {
namespace {

using protocol::PolicyItem;
using protocol::PolicyItemKind;
using Buffer = std::vector<std::uint8_t>;

Digest sha256_of(std::string_view text)
{
    Digest digest;
    crypto_hash_sha256(digest.data(), bytes_of(text).data(), text.size());
    return digest;
}

void write_text(const std::filesystem::path& path, std::string_view text)
{
    std::ofstream(path, std::ios::binary) << text;
}

class MeasurerTest : public testing::Test {
  protected:
    MeasurerTest()
    {
        char name[] = "/tmp/measureXXXXXX";
        folder = ::mkdtemp(name);
        std::filesystem::create_directories(tree() / "sub");
        ByteArray<32> seed{3};
        crypto_sign_seed_keypair(server_key.bytes.data(), signing_key.expose().data(), seed.data());
        crypto_box_seed_keypair(box_key.bytes.data(), box_secret.data(), seed.data());
        const auto made = witness.create_identity(server_key, box_key);
        loaded = *witness.load_identity(made->sealed);
    }
    ~MeasurerTest() override { std::filesystem::remove_all(folder); }

    [[nodiscard]] std::filesystem::path tree() const { return folder / "tree"; }

    Buffer policy(const std::vector<PolicyItem>& items)
    {
        protocol::MeasurementPolicy head;
        head.nonce.bytes.fill(++round);
        head.witness = loaded.witness_key;
        Buffer document(protocol::policy_document_bytes_max);
        const auto size = protocol::write_policy(document, signing_key, head, items);
        EXPECT_TRUE(size);
        Buffer box(*size + crypto_box_SEALBYTES);
        crypto_box_seal(box.data(), document.data(), *size, loaded.policy_key.bytes.data());
        return box;
    }

    std::map<std::string, protocol::Measurement> measure(const std::vector<PolicyItem>& items)
    {
        Measurer measurer(witness, stop, folder / "proc");
        const auto measured = measurer.measure(policy(items), {});
        EXPECT_TRUE(measured) << measured.error().what;
        std::map<std::string, protocol::Measurement> found;
        if (!measured) {
            return found;
        }
        last = *measured;
        opened_result.resize(last.sealed_result.size() - crypto_box_SEALBYTES);
        EXPECT_EQ(crypto_box_seal_open(opened_result.data(), last.sealed_result.data(), last.sealed_result.size(),
                                       box_key.bytes.data(), box_secret.data()),
                  0);
        auto result = protocol::verify_result(opened_result, loaded.witness_key);
        EXPECT_TRUE(result);
        while (result && result->measurements.left() != 0) {
            const auto measurement = **result->measurements.next();
            found.emplace(measurement.path, measurement);
        }
        return found;
    }
    std::map<std::string, protocol::Measurement> measure_tree()
    {
        const auto path = tree().string();
        return measure({{PolicyItemKind::tree, path}});
    }
    protocol::Measurement measure_file(const std::string& path)
    {
        return measure({{PolicyItemKind::file, path}})[path];
    }

    std::filesystem::path folder;
    protocol::SigningKey signing_key;
    protocol::VerifyingKey server_key;
    protocol::BoxKey box_key;
    ByteArray<32> box_secret{};
    WitnessEnclave enclave;
    host::enclave::WitnessChamber witness{enclave};
    host::enclave::LoadedIdentity loaded;
    std::atomic<bool> stop = false;
    std::uint8_t round = 0;
    MeasuredRound last;
    Buffer opened_result;
};

TEST_F(MeasurerTest, a_tree_is_measured_with_all_that_is_in_it)
{
    write_text(tree() / "a", "alpha");
    write_text(tree() / "sub" / "b", "beta");
    write_text(tree() / "sub.x", "dotted"); // sorts before "sub/b", though its folder was read first
    std::filesystem::create_symlink("sub/b", tree() / "link");
    ::chmod((tree() / "a").c_str(), 0640);
    const auto found = measure_tree();
    const auto at = [&](const char* name) { return found.at((tree() / name).string()); };
    EXPECT_EQ(found.size(), 6U);
    EXPECT_EQ(at("a").digest, sha256_of("alpha"));
    EXPECT_EQ(at("a").mode, 0640U);
    EXPECT_EQ(at("a").size, 5U);
    EXPECT_EQ(at("sub").type, protocol::MeasuredType::directory);
    EXPECT_EQ(at("sub/b").digest, sha256_of("beta"));
    EXPECT_EQ(at("link").digest, sha256_of("sub/b"));
    EXPECT_EQ(found.at(tree().string()).mode, 0755U);
    EXPECT_EQ(last.failed, 0U);
}

TEST_F(MeasurerTest, files_of_every_size_around_a_chunk_are_hashed_whole)
{
    const auto chunk = airlock::witness::chunk_bytes_max;
    for (const auto size : {std::size_t{0}, std::size_t{1}, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 7}) {
        const std::string content(size, 'c');
        write_text(folder / "file", content);
        const auto measured = measure_file(folder / "file");
        EXPECT_EQ(measured.digest, sha256_of(content)) << size;
        EXPECT_EQ(measured.size, size);
    }
}

TEST_F(MeasurerTest, a_link_is_not_followed)
{
    write_text(folder / "outside", "secret");
    std::filesystem::create_symlink(folder / "outside", folder / "link");
    EXPECT_EQ(measure_file(folder / "link").failure, static_cast<std::uint32_t>(ELOOP));
}

TEST_F(MeasurerTest, pipes_devices_and_sockets_are_neither_opened_nor_waited_for)
{
    ASSERT_EQ(::mkfifo((tree() / "pipe").c_str(), 0600), 0);
    const auto found = measure_tree();
    EXPECT_EQ(found.at((tree() / "pipe").string()).type, protocol::MeasuredType::other);
    EXPECT_EQ(measure_file(tree() / "pipe").failure, static_cast<std::uint32_t>(EINVAL));
    EXPECT_EQ(measure_file("/dev/zero").failure, static_cast<std::uint32_t>(EINVAL));
    EXPECT_EQ(measure_file(tree()).failure, static_cast<std::uint32_t>(EISDIR));
}

TEST_F(MeasurerTest, what_is_missing_is_reported_as_missing)
{
    EXPECT_EQ(measure_file(folder / "nothing").failure, static_cast<std::uint32_t>(ENOENT));
    EXPECT_EQ(last.failed, 1U);
    std::filesystem::remove_all(tree());
    EXPECT_EQ(measure_tree().at(tree().string()).failure, static_cast<std::uint32_t>(ENOENT));
}

TEST_F(MeasurerTest, a_tree_that_is_a_file_is_reported)
{
    std::filesystem::remove_all(tree());
    write_text(tree(), "x");
    EXPECT_EQ(measure_tree().at(tree().string()).failure, static_cast<std::uint32_t>(ENOTDIR));
}

TEST_F(MeasurerTest, a_folder_swapped_for_a_link_does_not_lead_out)
{
    std::filesystem::create_directories(folder / "elsewhere");
    write_text(folder / "elsewhere" / "b", "stolen");
    std::filesystem::remove_all(tree() / "sub");
    std::filesystem::create_directory_symlink(folder / "elsewhere", tree() / "sub");
    const auto opened = open_regular(tree() / "sub/b", tree());
    ASSERT_FALSE(opened);
    EXPECT_TRUE(opened.error() == ELOOP || opened.error() == ENOTDIR);
    EXPECT_FALSE(measure_tree().contains((tree() / "sub/b").string()));
}

TEST_F(MeasurerTest, a_file_whose_reading_fails_half_way_is_reported)
{
    // It opens, and then its first page is not there.
    const auto measured = measure_file("/proc/self/mem");
    EXPECT_NE(measured.failure, protocol::failure_none);
}

TEST_F(MeasurerTest, more_files_than_a_witness_takes_are_reported_not_dropped)
{
    for (std::size_t index = 0; index < protocol::measurements_max; ++index) {
        write_text(tree() / std::to_string(index), "");
    }
    const auto found = measure_tree();
    EXPECT_EQ(found.size(), 1U);
    EXPECT_EQ(found.at(tree().string()).failure, protocol::failure_too_many);
    EXPECT_EQ(last.failed, 1U);
}

TEST_F(MeasurerTest, facts_are_read_from_proc)
{
    std::filesystem::create_directories(folder / "proc");
    write_text(folder / "proc" / "cmdline", "quiet\n");
    const std::vector<PolicyItem> facts{{PolicyItemKind::fact, "cmdline"}, {PolicyItemKind::fact, "modules"}};
    auto found = measure(facts);
    EXPECT_EQ(found.at("cmdline").digest, sha256_of("quiet\n"));
    EXPECT_EQ(found.at("modules").digest, sha256_of("absent\n"));
    EXPECT_EQ(last.failed, 0U);
    write_text(folder / "proc" / "modules", "ext4 1 0 - Live 0x0\n");
    found = measure(facts);
    EXPECT_EQ(found.at("modules").digest, sha256_of("present\next4\n"));
}

TEST_F(MeasurerTest, a_replayed_policy_is_told_as_a_conflict)
{
    Measurer measurer(witness, stop);
    const auto sealed_policy = policy({});
    EXPECT_TRUE(measurer.measure(sealed_policy, {}));
    const auto again = measurer.measure(sealed_policy, {});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().kind, Kind::conflict);
}

TEST_F(MeasurerTest, a_chamber_that_ends_ends_the_round)
{
    Measurer measurer(witness, stop);
    const auto sealed_policy = policy({{PolicyItemKind::file, "/etc/hosts"}});
    enclave.ended = true;
    EXPECT_EQ(measurer.measure(sealed_policy, {}).error().kind, Kind::unavailable);
}

TEST_F(MeasurerTest, told_to_stop_it_stops)
{
    Measurer measurer(witness, stop);
    stop = true;
    EXPECT_EQ(measurer.measure(policy({{PolicyItemKind::file, "/etc/hosts"}}), {}).error().kind, Kind::unavailable);
}

} // namespace
} // namespace caisson::services::agent
