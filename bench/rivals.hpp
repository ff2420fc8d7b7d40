// Two ways to do one piece of work, run by turns: medians of thread CPU time over many short slots.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace caisson::bench {

struct Rivals {
    std::string name;
    std::function<void()> ours; // one piece of work
    std::function<void()> peer;
};

struct Measured {
    std::string name;
    double ours_ns = 0;
    double peer_ns = 0;

    // How many times the peer's speed.
    [[nodiscard]] double ratio() const { return peer_ns / ours_ns; }
};

inline double thread_ns()
{
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

inline double slot_ns(const std::function<void()>& work, std::uint64_t count)
{
    const auto began = thread_ns();
    for (std::uint64_t done = 0; done < count; ++done) {
        work();
    }
    return (thread_ns() - began) / static_cast<double>(count);
}

inline double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

// How often the work fits into one slot.
inline std::uint64_t count_of(const std::function<void()>& work, double slot)
{
    std::uint64_t count = 1;
    while (slot_ns(work, count) * static_cast<double>(count) < slot / 2) {
        count *= 2;
    }
    return count;
}

inline Measured measure(const Rivals& rivals, double slot, int rounds)
{
    const auto ours_count = count_of(rivals.ours, slot);
    const auto peer_count = count_of(rivals.peer, slot);
    std::vector<double> ours;
    std::vector<double> peer;
    for (int round = 0; round < rounds; ++round) {
        ours.push_back(slot_ns(rivals.ours, ours_count));
        peer.push_back(slot_ns(rivals.peer, peer_count));
    }
    return {rivals.name, median(ours), median(peer)};
}

inline void print_table(const char* peer, const std::vector<Measured>& cases)
{
    std::printf("%-28s %12s %12s %8s\n", "case (ns, CPU)", "ours", peer, "times");
    for (const auto& one : cases) {
        std::printf("%-28s %12.1f %12.1f %8.2f\n", one.name.c_str(), one.ours_ns, one.peer_ns, one.ratio());
    }
}

// The processor as the kernel names it.
inline std::string cpu_name()
{
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
            return line.substr(line.find(": ") + 2);
        }
    }
    return "unknown";
}

// `setting` is what else decides, besides the processors.
inline void print_json(const char* bench, const char* setting, const std::vector<Measured>& cases)
{
    std::printf("{\"bench\": \"%s\", \"machine\": {\"cpu\": \"%s\", \"cpus\": %u, \"setting\": \"%s\"}, \"cases\": [",
                bench, cpu_name().c_str(), std::thread::hardware_concurrency(), setting);
    const char* separator = "";
    for (const auto& one : cases) {
        std::printf("%s{\"name\": \"%s\", \"ours\": %.1f, \"peer\": %.1f, \"unit\": \"ns\", \"ratio\": %.3f, "
                    "\"better\": \"lower\"}",
                    separator, one.name.c_str(), one.ours_ns, one.peer_ns, one.ours_ns / one.peer_ns);
        separator = ", ";
    }
    std::printf("]}\n");
}

} // namespace caisson::bench
