// What a gateway reads as text or in frames beside ZMTP: the first octet says what the rest is taken for. Its
// TOML is toml_fuzz.cpp's.
#include "core/text.hpp"
#include "services/gateway/config.hpp"
#include "services/gateway/control.hpp"
#include "services/gateway/endpoint.hpp"
#include "services/gateway/observer.hpp"
#include "services/gateway/zap_client.hpp"

namespace caisson::services::gateway {
namespace {

// Frames behind their sizes (one octet).
void read_as_zap(Bytes bytes)
{
    std::vector<std::string> frames;
    while (!bytes.empty()) {
        const auto size = std::min<std::size_t>(bytes[0], bytes.size() - 1);
        frames.emplace_back(text_of(bytes.subspan(1, size)));
        bytes = bytes.subspan(1 + size);
    }
    if (const auto reply = read_zap_reply(frames); reply && reply->verdict.status < 200) {
        __builtin_trap();
    }
}

void read_as_request(const std::string& text)
{
    Observation observation;
    observation.routes.emplace_back();
    if (const auto answer = answer_http(text, observation); answer && !answer->starts_with("HTTP/1.0 ")) {
        __builtin_trap();
    }
}

void read(unsigned kind, Bytes bytes)
{
    const std::string text(text_of(bytes));
    switch (kind) {
    case 0: static_cast<void>(parse_key_list(text, "fuzz")); break;
    case 1: static_cast<void>(parse_endpoint(text)); break;
    case 2: read_as_request(text); break;
    case 3: static_cast<void>(read_http_answer(text)); break;
    default: read_as_zap(bytes);
    }
}

} // namespace
} // namespace caisson::services::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    if (size > 0) {
        caisson::services::gateway::read(input[0] % 5U, caisson::Bytes(input + 1, size - 1));
    }
    return 0;
}
