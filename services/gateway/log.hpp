// The gateway's log: one line an event on standard error, for people or as JSON lines. Safe for concurrent use.
#pragma once

#include <mutex>
#include <string>

namespace caisson::services::gateway {

class Log {
  public:
    explicit Log(bool json) noexcept
        : json_(json)
    {
    }
    void line(const std::string& text);

  private:
    bool json_;
    std::mutex mutex_;
};

} // namespace caisson::services::gateway
