// The bars that a bench's cases are to reach, and whether one did: said beside the number, so that nobody has to look
// it up. The same numbers stand in docs/performance.md; tests/tools/bars_test.py holds the two together for crypto,
// paper and curve_gateway.
#pragma once

#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace caisson::bench {

struct Bar {
    std::string_view name; // of the case
    double times = 0;      // the peer's speed, at least; of curve_gateway, see there
};

inline std::optional<double> bar_of(std::span<const Bar> bars, std::string_view name)
{
    for (const auto& bar : bars) {
        if (bar.name == name) {
            return bar.times;
        }
    }
    return std::nullopt;
}

// For a table: the bar and what became of it, or spaces.
inline std::string bar_text(std::optional<double> bar, double times)
{
    char text[32] = "";
    if (bar) {
        std::snprintf(text, sizeof text, "%8.1f %-6s", *bar, times >= *bar ? "met" : "MISSED");
    } else {
        std::snprintf(text, sizeof text, "%8s %-6s", "", "");
    }
    return text;
}

// For a JSON object, behind its other members.
inline std::string bar_json(std::optional<double> bar, double times)
{
    char text[64] = "";
    if (bar) {
        std::snprintf(text, sizeof text, R"(, "bar": %.1f, "met": %s)", *bar, times >= *bar ? "true" : "false");
    }
    return text;
}

} // namespace caisson::bench
