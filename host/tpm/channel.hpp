// Channel: commands to a TPM and responses back, each within a deadline: a TCTI of our own, because those of the
// library wait for ever. For the files of this folder.
#pragma once

#include "host/fault.hpp"

#include <tss2/tss2_tcti.h>

#include <chrono>
#include <memory>
#include <vector>

namespace caisson::host::tpm {

class Channel {
  public:
    // `address`: "device:PATH" (the kernel's resource manager), or "swtpm:path=PATH" (a software TPM's Unix socket).
    // Fails: missing (nothing is there), forbidden, unavailable, malformed (the address).
    static Outcome<std::unique_ptr<Channel>> open(const std::string& address, std::chrono::milliseconds deadline);
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    [[nodiscard]] TSS2_TCTI_CONTEXT* context() noexcept { return reinterpret_cast<TSS2_TCTI_CONTEXT*>(&table_); }
    [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }

  private:
    Channel(int descriptor, std::string address, std::chrono::milliseconds deadline) noexcept;

    static TSS2_RC transmit(TSS2_TCTI_CONTEXT* context, std::size_t size, const std::uint8_t* command);
    static TSS2_RC receive(TSS2_TCTI_CONTEXT* context, std::size_t* size, std::uint8_t* response, std::int32_t timeout);
    [[nodiscard]] bool wait_for(short events) noexcept;
    [[nodiscard]] bool read_response();

    TSS2_TCTI_CONTEXT_COMMON_V2 table_{}; // first: the library's context is the address of this
    int descriptor_;
    std::string address_;
    std::chrono::milliseconds deadline_;
    std::chrono::steady_clock::time_point until_;
    std::vector<std::uint8_t> response_;
    bool timed_out_ = false;
};

} // namespace caisson::host::tpm
