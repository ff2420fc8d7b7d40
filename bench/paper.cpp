// What `caisson bench paper` measures, beside the other benches: cases `keys` and `seal64`.
// usage: paper [--json] [--quick | --smoke]
#include "services/bench/paper.hpp"

#include <cstdio>
#include <string_view>

int main(int count, char** arguments)
{
    using namespace caisson::services::bench;
    bool json = false;
    PaperEffort effort;
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--quick") {
            effort = quick_effort;
        } else if (word == "--smoke") {
            effort = smoke_effort;
        } else {
            std::fputs("usage: paper [--json] [--quick | --smoke]\n", stderr);
            return 64;
        }
    }
    const auto cases = measure_paper(effort, CAISSON_BENCH_IMAGES);
    if (!cases) {
        std::fprintf(stderr, "paper: %s\n", cases.error().what.c_str());
        return 69;
    }
    std::puts((json ? paper_json(*cases) : paper_text(*cases)).c_str());
}
