// Frames of the node link and of the verifier link: what is read can be written, and is then the same bytes.
#include "core/bytes.hpp"
#include "protocol/node_link.hpp"
#include "protocol/verifier_link.hpp"

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    const Bytes body(input, size);
    std::vector<std::uint8_t> again(size + 64);
    const auto same = [&](const Result<std::size_t>& written) {
        return written && same_bytes(Bytes(again).first(*written).subspan(4), body);
    };
    if (const auto frame = protocol::node_link::read_frame_body(body)) {
        if (!same(protocol::node_link::write_frame(again, *frame))) {
            __builtin_trap();
        }
    }
    if (const auto frame = protocol::verifier_link::read_frame_body(body)) {
        if (!same(protocol::verifier_link::write_frame(again, *frame))) {
            __builtin_trap();
        }
    }
    return 0;
}
