// Intel's AESM service without Intel: one connection a message, as aesmd has it, and quotes by a PKI of the test's own.
#pragma once

#include "core/wire.hpp"
#include "host/enclave/shared_memory.hpp"
#include "tests/support/sgx_pki.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <thread>

namespace caisson::tests {

using AesmBytes = std::vector<std::uint8_t>;

inline void varint(AesmBytes& out, std::uint64_t value)
{
    for (; value >= 0x80; value >>= 7U) {
        out.push_back(static_cast<std::uint8_t>(value | 0x80U));
    }
    out.push_back(static_cast<std::uint8_t>(value));
}

inline AesmBytes number_field(std::uint64_t field, std::uint64_t value)
{
    AesmBytes out;
    varint(out, field << 3U);
    varint(out, value);
    return out;
}

inline AesmBytes bytes_field(std::uint64_t field, Bytes value)
{
    AesmBytes out;
    varint(out, field << 3U | 2U);
    varint(out, value.size());
    out.insert(out.end(), value.begin(), value.end());
    return out;
}

inline AesmBytes joined(std::initializer_list<AesmBytes> parts)
{
    AesmBytes all;
    for (const auto& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

// One connection a message, as aesmd has it; `answer` gets the request's bytes.
class FakeAesm {
  public:
    using Answer = std::function<AesmBytes(const AesmBytes&)>;

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
            const host::enclave::Descriptor connection(::accept(listener_.number(), nullptr, nullptr));
            if (connection.number() < 0) {
                return;
            }
            std::uint32_t size = 0;
            if (::recv(connection.number(), &size, sizeof size, MSG_WAITALL) != sizeof size || size > 65536) {
                continue;
            }
            AesmBytes request(size);
            ::recv(connection.number(), request.data(), size, MSG_WAITALL);
            const auto answer = answer_(request);
            ::send(connection.number(), answer.data(), answer.size(), MSG_NOSIGNAL);
        }
    }

    Answer answer_;
    std::filesystem::path path_;
    host::enclave::Descriptor listener_;
    std::thread thread_;
};

inline AesmBytes aesm_message(std::uint64_t kind, const AesmBytes& inner)
{
    const auto message = bytes_field(kind, inner);
    AesmBytes out(4);
    Writer(out).write_le(static_cast<std::uint32_t>(message.size()));
    out.insert(out.end(), message.begin(), message.end());
    return out;
}

// The kind of a request is its first field.
inline std::uint64_t aesm_kind_of(const AesmBytes& request)
{
    return static_cast<std::uint64_t>(request.at(0) | (request.at(0) >= 0x80 ? request.at(1) << 7U : 0)) >> 3U & 0x1fU;
}

// AESM as it should be: quotes what lies in the request by the test's PKI.
inline FakeAesm::Answer honest_aesm(const SgxPki& pki)
{
    return [&pki](const AesmBytes& request) {
        constexpr std::uint64_t init = 15;
        constexpr std::uint64_t size = 16;
        const auto kind = aesm_kind_of(request);
        if (kind == init) {
            protocol::sgx::TargetInfo target{};
            target.mrenclave.fill(0x9e);
            const Bytes bytes(reinterpret_cast<const std::uint8_t*>(&target), sizeof target);
            return aesm_message(init, joined({number_field(1, 0), bytes_field(2, bytes), number_field(3, 32)}));
        }
        if (kind == size) {
            return aesm_message(size, joined({number_field(1, 0), number_field(2, 8192)}));
        }
        // The report follows the two heads: kind and length of the inner message, field 1 and its length.
        constexpr ByteArray<3> report_head{0x0a, 0xb0, 0x03}; // field 1, 432 bytes
        const auto at = std::search(request.begin(), request.end(), report_head.begin(), report_head.end());
        protocol::sgx::Report report{};
        std::memcpy(&report, &*at + report_head.size(), sizeof report);
        return aesm_message(17, joined({number_field(1, 0), bytes_field(2, pki.quote(report))}));
    };
}

} // namespace caisson::tests
