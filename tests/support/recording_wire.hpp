// Stands between a program and its software TPM, on a Unix socket of its own, and keeps every octet that passes: what
// somebody sees who listens on a TPM's bus.
#pragma once

#include "core/bytes.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace caisson::tests {

class RecordingWire {
  public:
    RecordingWire(std::filesystem::path own, std::filesystem::path tpm)
        : own_(std::move(own))
        , tpm_(std::move(tpm))
        , listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))
    {
        const auto address = address_of(own_);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_, 4), 0);
        EXPECT_EQ(::pipe(end_.data()), 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~RecordingWire() { stop(); }
    RecordingWire(const RecordingWire&) = delete;
    RecordingWire& operator=(const RecordingWire&) = delete;

    [[nodiscard]] std::string address() const { return "swtpm:path=" + own_.string(); }

    // Ends listening: what passed is whole from here on.
    void stop()
    {
        if (thread_.joinable()) {
            ::close(end_[1]);
            thread_.join();
            ::close(end_[0]);
            ::close(listener_);
        }
    }
    // After `stop`. Commands one by one; responses as they came.
    [[nodiscard]] const std::vector<std::vector<std::uint8_t>>& commands() const { return commands_; }
    [[nodiscard]] const std::vector<std::uint8_t>& responses() const { return responses_; }

  private:
    static sockaddr_un address_of(const std::filesystem::path& path)
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        return address;
    }

    // One connection at a time, as the TPM behind it.
    void serve()
    {
        while (is_readable(listener_)) {
            const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            const int tpm = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const auto address = address_of(tpm_);
            EXPECT_EQ(::connect(tpm, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
            // A response follows each command: the next command begins when the response is here.
            while (is_readable(client) && pass_command(client, tpm) && pass_response(tpm, client)) {
            }
            ::close(client);
            ::close(tpm);
        }
    }
    // False when the test ends.
    [[nodiscard]] bool is_readable(int descriptor) const
    {
        std::array<pollfd, 2> looked{pollfd{descriptor, POLLIN, 0}, pollfd{end_[0], POLLIN, 0}};
        return ::poll(looked.data(), looked.size(), -1) > 0 && looked[1].revents == 0;
    }
    static std::vector<std::uint8_t> message_from(int descriptor)
    {
        constexpr std::size_t head_bytes = 10; // tag, size, code
        std::vector<std::uint8_t> message(head_bytes);
        if (::recv(descriptor, message.data(), head_bytes, MSG_WAITALL) != ssize_t{head_bytes}) {
            return {};
        }
        const std::size_t size = std::size_t{message[2]} << 24U | message[3] << 16U | message[4] << 8U | message[5];
        message.resize(std::max(size, head_bytes));
        const auto rest = message.size() - head_bytes;
        // Nothing more is asked for where nothing follows: that would wait.
        const bool whole = rest == 0 || ::recv(descriptor, message.data() + head_bytes, rest, MSG_WAITALL) ==
                                            static_cast<ssize_t>(rest);
        return whole ? message : std::vector<std::uint8_t>{};
    }
    static bool send(int descriptor, Bytes message)
    {
        return ::send(descriptor, message.data(), message.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(message.size());
    }
    bool pass_command(int client, int tpm)
    {
        commands_.push_back(message_from(client));
        if (commands_.back().empty()) { // the client has gone
            commands_.pop_back();
            return false;
        }
        return send(tpm, commands_.back());
    }
    bool pass_response(int tpm, int client)
    {
        const auto response = message_from(tpm);
        responses_.insert(responses_.end(), response.begin(), response.end());
        return !response.empty() && send(client, response);
    }

    std::filesystem::path own_;
    std::filesystem::path tpm_;
    int listener_;
    std::array<int, 2> end_{};
    std::vector<std::vector<std::uint8_t>> commands_;
    std::vector<std::uint8_t> responses_;
    std::thread thread_;
};

} // namespace caisson::tests
