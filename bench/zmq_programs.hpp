// The two ZeroMQ programs of a message bench, each a process of its own over the public libzmq API: a sink that binds
// and a source that connects. Plain or CURVE is a matter of two options, as in any program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <sys/types.h>

namespace caisson::bench {

// What a program says of one piece of work, once.
struct ProgramReport {
    double cpu_s = 0;  // user and system time of the whole process, in the measured part
    double wall_s = 0; // of the measured part
    double p50_us = 0; // round trips
    double p99_us = 0;
    double resident_bytes = 0; // grown in the measured part
    double least_share = 0;    // of the honest senders, whoever got least: its part of what an even split gives each
};

enum class Work : std::uint8_t {
    one_way,     // PUSH to PULL, `count` messages
    round_trips, // DEALER to ROUTER and back, `count` times, one at a time
    connections, // `count` connections opened at once; done when each brought its first message
    shared,      // PUSH to PULL of four honest senders and one that floods, until `count` messages have come
};

struct CurveKeys { // Z85; empty: no CURVE
    std::string server_public;
    std::string server_secret;
    std::string client_public;
    std::string client_secret;
};

struct ProgramOptions {
    Work work = Work::one_way;
    std::size_t size = 64;
    long count = 0;
    std::string bind;    // the sink
    std::string connect; // the source
    CurveKeys sink_keys;
    CurveKeys source_keys;
};

// Two child processes, from their start to their reports. Between wait_connected() and run() nothing moves, and after
// run() both have said what they used.
class ProgramPair {
  public:
    explicit ProgramPair(const ProgramOptions& options);
    ~ProgramPair();
    ProgramPair(const ProgramPair&) = delete;
    ProgramPair& operator=(const ProgramPair&) = delete;

    // Waits until the sink has bound. Then whatever stands between may be started.
    void wait_bound();
    // Starts the source and, but for Work::connections, waits until what comes before the measured part has arrived.
    void wait_connected();
    // The measured part, from here to the return.
    void run();

    [[nodiscard]] const ProgramReport& sink() const noexcept { return sink_report_; }
    [[nodiscard]] const ProgramReport& source() const noexcept { return source_report_; }

  private:
    struct Child {
        ::pid_t pid = -1;
        int to = -1;   // the parent writes
        int from = -1; // the parent reads
    };
    using Role = void (*)(const ProgramOptions&, int in, int out);
    static Child start(const ProgramOptions& options, Role role);
    static void end(Child& child) noexcept;

    ProgramOptions options_;
    Child sink_;
    Child source_;
    ProgramReport sink_report_;
    ProgramReport source_report_;
};

// A fresh CURVE key pair for each side, made by libzmq.
CurveKeys make_curve_keys();

} // namespace caisson::bench
