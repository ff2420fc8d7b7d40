#include "cli/verb.hpp"
#include "services/bench/paper.hpp"

#include <memory>

namespace caisson::cli {

void add_bench(Command& root, const Globals& globals)
{
    auto& bench = root.command("bench", "measures this machine's chambers");
    bench.describe("Measures us and the peer in one run, by turns, and prints the ratio.");
    auto& paper = bench.command("paper", "key pairs and messages a second, in a chamber and by libsodium outside");
    paper.describe("The two workloads of the EnclaveZMQ paper: key pairs made (keys) and 64-octet messages encrypted "
                   "(seal64), through the ring of a curve chamber on the platform process, 64 to a batch; and by "
                   "libsodium in this process. Medians of wall time on two CPUs of the same machine. Starts a chamber "
                   "of its own under a root that is thrown away; changes nothing.");
    auto quick = std::make_shared<bool>(false);
    paper.flag("--quick", *quick, "ends after a few seconds; the ratios waver more");
    paper.example("caisson bench paper --quick", "prints two ratios");
    paper.action([&globals, quick]() -> int {
        using namespace services::bench;
        const auto cases = measure_paper(*quick ? quick_effort : PaperEffort{});
        if (!cases) {
            return report(cases.error());
        }
        return globals.json ? print_json(paper_json(*cases)) : print_text(paper_text(*cases));
    });
}

} // namespace caisson::cli
