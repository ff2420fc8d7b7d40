// The gateway's log: one line an event on standard error, for people or as JSON lines. Safe for concurrent use.
#pragma once

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

    explicit Log(bool json) noexcept
        : json_(json)
    {
    }
    // For people the text alone, which says all; as JSON the fields beside it. Empty fields are left out.
    void line(const std::string& text, std::initializer_list<Field> fields = {});

  private:
    bool json_;
    std::mutex mutex_;
};

} // namespace caisson::services::gateway
