// Groups of requests, as the ring server gives them to the chamber, for tests with each kernel that this machine has.
#pragma once

#include "tests/unit/trusted/curve/curve_world.hpp"

#include <gtest/gtest.h>

namespace caisson::trusted::curve::test {

struct Ask {
    Request request{};
    Buffer input;
    std::size_t room = 4096;
};

// All in one group; `outputs` are its buffers, as the chamber left them.
inline std::vector<Said> answer_together(Chamber& chamber, std::vector<Ask> asked, std::vector<Buffer>& outputs)
{
    outputs.clear();
    for (const auto& one : asked) {
        outputs.emplace_back(one.room, std::uint8_t{0});
    }
    std::vector<airlock::Exchange> exchanges;
    for (std::size_t index = 0; index < asked.size(); ++index) {
        exchanges.push_back({static_cast<std::uint32_t>(asked[index].request), asked[index].input, outputs[index], {}});
    }
    chamber.answer(exchanges);
    std::vector<Said> said(asked.size());
    for (std::size_t index = 0; index < asked.size(); ++index) {
        const auto& answer = exchanges[index].answer;
        said[index].refusal = answer.refusal;
        if (answer.refusal != airlock::Refusal::none) {
            continue;
        }
        if (answer.result) {
            said[index].bytes = join(Bytes(outputs[index]).first(*answer.result));
        } else {
            said[index].kind = static_cast<std::uint8_t>(answer.result.error().kind);
        }
    }
    return said;
}

// What is chosen here is chosen for the process: libsodium's again afterwards.
struct WithKernel : testing::TestWithParam<std::uint32_t> {
    WithKernel() { choose_box_kernel(GetParam()); }
    ~WithKernel() override { choose_box_kernel(0); }
};

} // namespace caisson::trusted::curve::test
