// What is written by people in TOML: a gateway's configuration and a policy, with toml++ behind them. What is refused
// names the file.
#include "core/text.hpp"
#include "services/attestation/policy_file.hpp"
#include "services/gateway/config.hpp"

namespace {

template <typename T>
void expect_named(const caisson::host::Outcome<T>& read)
{
    if (!read && !read.error().what.starts_with("fuzz")) {
        __builtin_trap();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson::services;
    const std::string text(caisson::text_of(caisson::Bytes(input, size)));
    expect_named(gateway::parse_config(text, "fuzz"));
    expect_named(attestation::parse_policy(text, "fuzz"));
    return 0;
}
