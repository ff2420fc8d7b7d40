// A quote of our own image: REPORT for the quoting enclave, through AESM's protocol, to a verdict. AESM and Intel's PKI
// are the test's own.
#include "host/enclave/sgx_aesm.hpp"

#include "core/wire.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/shared_memory.hpp"
#include "tests/support/sgx_pki.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <thread>

namespace caisson::host::enclave {
namespace {

using Buffer = std::vector<std::uint8_t>;

void varint(Buffer& out, std::uint64_t value)
{
    for (; value >= 0x80; value >>= 7U) {
        out.push_back(static_cast<std::uint8_t>(value | 0x80U));
    }
    out.push_back(static_cast<std::uint8_t>(value));
}

Buffer number_field(std::uint64_t field, std::uint64_t value)
{
    Buffer out;
    varint(out, field << 3U);
    varint(out, value);
    return out;
}

Buffer bytes_field(std::uint64_t field, Bytes value)
{
    Buffer out;
    varint(out, field << 3U | 2U);
    varint(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
    return out;
}

Buffer joined(std::initializer_list<Buffer> parts)
{
    Buffer all;
    for (const auto& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

// One connection a message, as aesmd has it; `answer` gets the request's bytes.
class FakeAesm {
  public:
    using Answer = std::function<Buffer(const Buffer&)>;

    explicit FakeAesm(Answer answer)
        : answer_(std::move(answer))
        , path_(std::filesystem::path(testing::TempDir()) / ("aesm-" + std::to_string(::getpid()) + ".socket"))
        , listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        std::filesystem::remove(path_);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.string().copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(listener_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_.number(), 8), 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~FakeAesm()
    {
        ::shutdown(listener_.number(), SHUT_RDWR);
        thread_.join();
        std::filesystem::remove(path_);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    void serve()
    {
        while (true) {
            const Descriptor connection(::accept(listener_.number(), nullptr, nullptr));
            if (connection.number() < 0) {
                return;
            }
            std::uint32_t size = 0;
            if (::recv(connection.number(), &size, sizeof size, MSG_WAITALL) != sizeof size || size > 65536) {
                continue;
            }
            Buffer request(size);
            ::recv(connection.number(), request.data(), size, MSG_WAITALL);
            const auto answer = answer_(request);
            ::send(connection.number(), answer.data(), answer.size(), MSG_NOSIGNAL);
        }
    }

    Answer answer_;
    std::filesystem::path path_;
    Descriptor listener_;
    std::thread thread_;
};

Buffer framed(std::uint64_t kind, const Buffer& inner)
{
    const auto message = bytes_field(kind, inner);
    Buffer out(4);
    Writer(out).write_le(static_cast<std::uint32_t>(message.size()));
    out.insert(out.end(), message.begin(), message.end());
    return out;
}

// The kind of a request is its first field.
std::uint64_t kind_of(const Buffer& request)
{
    return static_cast<std::uint64_t>(request.at(0) | (request.at(0) >= 0x80 ? request.at(1) << 7U : 0)) >> 3U & 0x1fU;
}

// AESM as it should be: quotes what lies in the request by the test's PKI.
FakeAesm::Answer honest(const tests::SgxPki& pki)
{
    return [&pki](const Buffer& request) {
        constexpr std::uint64_t init = 15;
        constexpr std::uint64_t size = 16;
        const auto kind = kind_of(request);
        if (kind == init) {
            protocol::sgx::TargetInfo target{};
            target.mrenclave.fill(0x9e);
            const Bytes bytes(reinterpret_cast<const std::uint8_t*>(&target), sizeof target);
            return framed(init, joined({number_field(1, 0), bytes_field(2, bytes), number_field(3, 32)}));
        }
        if (kind == size) {
            return framed(size, joined({number_field(1, 0), number_field(2, 8192)}));
        }
        // The report follows the two heads: kind and length of the inner message, field 1 and its length.
        const Buffer head = joined({number_field(1, 0)});
        static_cast<void>(head);
        constexpr ByteArray<3> report_head{0x0a, 0xb0, 0x03}; // field 1, 432 bytes
        const auto at = std::search(request.begin(), request.end(), report_head.begin(), report_head.end());
        protocol::sgx::Report report{};
        std::memcpy(&report, &*at + report_head.size(), sizeof report);
        return framed(17, joined({number_field(1, 0), bytes_field(2, pki.quote(report))}));
    };
}

Digest image_measurement()
{
    std::ifstream file(std::filesystem::path(CAISSON_TEST_IMAGES) / "null.sgxs", std::ios::binary);
    const Buffer image{std::istreambuf_iterator<char>(file), {}};
    return image::measurement_of(image);
}

TEST(SgxAesm, a_quote_of_our_own_image_is_made_and_accepted)
{
    const tests::SgxPki pki;
    const FakeAesm service(honest(pki));
    const Aesm aesm(service.path());
    const auto target = aesm.target();
    ASSERT_TRUE(target) << target.error().what;
    EXPECT_EQ(target->mrenclave[0], 0x9e);
    protocol::sgx::Report report{};
    report.attributes.flags = protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT;
    report.mrenclave = image_measurement();
    report.report_data.fill(0x77);
    const auto quote = aesm.quote(report);
    ASSERT_TRUE(quote) << quote.error().what;
    const auto verdict = protocol::evidence::verify_sgx_quote(*quote, pki.collateral(), pki.pin(), tests::sgx_pki_now);
    ASSERT_TRUE(verdict) << verdict.error().what;
    EXPECT_EQ(verdict->body.mrenclave, image_measurement());
    EXPECT_EQ(verdict->body.report_data, report.report_data);
    EXPECT_EQ(verdict->status, protocol::evidence::TcbStatus::UpToDate);
}

TEST(SgxAesm, no_service_is_unavailable_with_the_remedy)
{
    const auto refused = Aesm("/nonexistent/aesm.socket").target();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unavailable);
    EXPECT_NE(refused.error().what.find("aesmd"), std::string::npos);
}

TEST(SgxAesm, its_own_error_code_is_told)
{
    const FakeAesm service([](const Buffer&) { return framed(15, number_field(1, 42)); });
    const auto refused = Aesm(service.path()).target();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::unavailable);
    EXPECT_NE(refused.error().what.find("42"), std::string::npos);
}

TEST(SgxAesm, a_hostile_service_gets_nowhere)
{
    const std::vector<Buffer> answers{
        {},                                                                   // hangs up
        {0xff, 0xff, 0xff, 0xff},                                             // 4 GiB
        {0, 0, 0, 0},                                                         // nothing
        {10, 0, 0, 0, 1, 2},                                                  // ends too early
        framed(15, Buffer(20, 0xff)),                                         // a number that does not end
        framed(15, {0x0d, 1, 2, 3, 4}),                                       // a field of another type
        framed(17, number_field(1, 0)),                                       // something else than asked
        framed(15, {}),                                                       // no code
        framed(15, joined({number_field(1, 0), number_field(3, 1U << 30U)})), // an impossible size
        framed(15, joined({number_field(1, 0), number_field(3, 32), bytes_field(2, Buffer(511))})),
        framed(15, {0x12, 0x7f}), // bytes that are not there
    };
    for (const auto& answer : answers) {
        const FakeAesm service([&answer](const Buffer&) { return answer; });
        EXPECT_FALSE(Aesm(service.path()).target());
        EXPECT_FALSE(Aesm(service.path()).quote({}));
    }
}

} // namespace
} // namespace caisson::host::enclave
