// The arena of a real chamber on the platform `process`: it grows with its sessions, and where memory is short it
// refuses some and harms none.
#include "airlock/arena.hpp"
#include "airlock/curve/requests.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/root.hpp"
#include "host/store/durable_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace caisson::host::enclave {
namespace {

using airlock::curve::Request;
using Buffer = std::vector<std::uint8_t>;

constexpr const char* arena_step = "memory for the whole arena";

class ArenaEnclaveTest : public testing::Test {
  protected:
    ArenaEnclaveTest()
    {
        auto pattern = (std::filesystem::temp_directory_path() / "caisson-arena-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~ArenaEnclaveTest() override { std::filesystem::remove_all(folder_); }

    void open(const std::string& missing_step = {})
    {
        auto root = Root::open_file(folder_ / "root.key");
        ASSERT_TRUE(root);
        EnclaveOptions options;
        options.images = CAISSON_TEST_IMAGES;
        options.missing_step = missing_step;
        options.missing_error = EAGAIN;
        auto enclave = Enclave::open(options, *root);
        ASSERT_TRUE(enclave) << enclave.error().what;
        enclave_ = std::move(*enclave);
        const auto made = ask(Request::create_key_pair, Buffer(36));
        ASSERT_TRUE(made) << "a key pair";
        const auto loaded = ask(Request::import_sealed_private_key, Buffer(made->begin() + 32, made->end()));
        ASSERT_TRUE(loaded) << "its import";
        client_.assign(loaded->begin(), loaded->begin() + 4);
        client_.insert(client_.end(), made->begin(), made->begin() + 32);
    }
    Result<Buffer> ask(Request request, const Buffer& input)
    {
        Buffer output(4096);
        const auto size = enclave_->call(static_cast<std::uint32_t>(request), input, output);
        if (!size) {
            return std::unexpected(size.error());
        }
        output.resize(*size);
        return output;
    }
    // Opens sessions until one is refused, `most` at most; the refusal is in `refusal_`.
    std::vector<Buffer> open_sessions(std::size_t most)
    {
        std::vector<Buffer> sessions;
        while (sessions.size() < most) {
            std::vector<Buffer> answers(std::min<std::size_t>(64, most - sessions.size()), Buffer(16));
            std::vector<Enclave::Call> calls(answers.size());
            for (std::size_t index = 0; index < calls.size(); ++index) {
                calls[index].request = static_cast<std::uint32_t>(Request::open_client);
                calls[index].input = client_;
                calls[index].output = answers[index];
            }
            enclave_->call_many(calls);
            for (std::size_t index = 0; index < calls.size(); ++index) {
                if (!calls[index].result) {
                    refusal_ = calls[index].result.error().kind;
                    return sessions;
                }
                answers[index].resize(*calls[index].result);
                sessions.push_back(std::move(answers[index]));
            }
        }
        return sessions;
    }
    // What the chamber's own REPORT says.
    Digest reported_measurement()
    {
        Buffer input(client_.begin(), client_.begin() + 4);
        input.resize(input.size() + sizeof(protocol::sgx::TargetInfo));
        const auto answer = ask(Request::report_key, input);
        protocol::sgx::Report report{};
        EXPECT_TRUE(answer && answer->size() == sizeof report);
        if (answer && answer->size() == sizeof report) {
            std::memcpy(&report, answer->data(), sizeof report);
        }
        return report.mrenclave;
    }
    bool is_active(std::string_view name)
    {
        const auto& all = enclave_->facts().protections;
        const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
        return found != all.end() && found->active;
    }

    std::filesystem::path folder_;
    std::unique_ptr<Enclave> enclave_;
    Buffer client_;
    Kind refusal_{};
};

// [ARENA-1]
TEST_F(ArenaEnclaveTest, no_page_of_the_image_lies_in_the_arena_and_the_measurement_stays_as_it_fills)
{
    const auto file = store::load_file(std::filesystem::path(CAISSON_TEST_IMAGES) / "curve.sgxs", std::size_t{2} << 20U,
                                       store::Writers::owner);
    ASSERT_TRUE(file) << "an image of 2 MiB at most";
    auto reader = image::SgxsReader::open(*file);
    ASSERT_TRUE(reader);
    while (!reader->done()) {
        const auto page = reader->read_page();
        ASSERT_TRUE(page);
        EXPECT_LT(page->offset, airlock::arena_offset);
    }
    open();
    EXPECT_EQ(reported_measurement(), image::measurement_of(*file));
    EXPECT_EQ(open_sessions(100).size(), 100U);
    EXPECT_EQ(reported_measurement(), image::measurement_of(*file));
}

// [ARENA-2]
TEST_F(ArenaEnclaveTest, as_many_sessions_as_a_chamber_may_have_find_room)
{
    open();
    EXPECT_TRUE(is_active(arena_step));
    const auto sessions = open_sessions(airlock::curve::sessions_max + 1);
    EXPECT_EQ(sessions.size(), airlock::curve::sessions_max);
    EXPECT_EQ(refusal_, Kind::exhausted);
    EXPECT_TRUE(ask(Request::produce_hello, sessions.front()));
    EXPECT_TRUE(ask(Request::close_session, sessions.back()));
    EXPECT_TRUE(ask(Request::open_client, client_)) << "a closed session's place is another's";
}

// [ARENA-3] [ARENA-4]
TEST_F(ArenaEnclaveTest, where_locked_memory_is_short_the_chamber_says_so_and_refuses_sessions_alone)
{
    open(arena_step);
    EXPECT_FALSE(is_active(arena_step));
    const auto sessions = open_sessions(airlock::curve::sessions_max);
    EXPECT_GT(sessions.size(), 0U);
    EXPECT_LT(sessions.size(), airlock::curve::sessions_max);
    EXPECT_EQ(refusal_, Kind::exhausted);
    EXPECT_TRUE(ask(Request::produce_hello, sessions.front()));
    EXPECT_TRUE(ask(Request::produce_hello, sessions.back()));
    EXPECT_TRUE(ask(Request::box_keypair, {})) << "other tables have their room";
    ASSERT_TRUE(ask(Request::close_session, sessions[sessions.size() / 2]));
    EXPECT_TRUE(ask(Request::open_client, client_)) << "there is room again";
    EXPECT_TRUE(enclave_->alive());
}

} // namespace
} // namespace caisson::host::enclave
