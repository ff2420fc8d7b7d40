// The gateway's log: one line an event on standard error, for people or as JSON lines. Safe for concurrent use. Nobody
// waits for who reads it: what finds no room is dropped, and the next line that does says how many were.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace caisson::services::gateway {

class Log {
  public:
    // What an event is about, beside its words: listener, peer, key, reason.
    using Field = std::pair<std::string_view, std::string_view>;

    // `descriptor`: another one for tests.
    explicit Log(bool json, int descriptor = 2);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // For people the text alone, which says all; as JSON the fields beside it. Empty fields are left out.
    void line(const std::string& text, std::initializer_list<Field> fields = {});

  private:
    enum class Way : std::uint8_t { looked_at, file, unblocked, socket };

    [[nodiscard]] std::string formatted(const std::string& text, std::initializer_list<Field> fields) const;
    // What of it could be written.
    [[nodiscard]] std::size_t write(std::string_view text) const noexcept;
    [[nodiscard]] bool give(const std::string& line);

    const bool json_;
    int descriptor_;
    Way way_ = Way::looked_at;
    std::mutex mutex_;
    std::string rest_; // of a line that was written in part
    std::uint64_t dropped_ = 0;
};

} // namespace caisson::services::gateway
