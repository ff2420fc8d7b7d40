// Runs every row in a process of its own and says which one let a secret decide a branch or an address. First come the
// controls: code that leaks on purpose. A tool that misses one of them proves nothing, so the program fails.
//   valgrind -q constant_time                      scalar and AVX2 code, the very objects of the images
//   constant_time, built by the preset msan        AVX-512 code as well
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace caisson::tests::constant_time {
namespace {

constexpr int exit_clean = 0;
constexpr int exit_lost = 3; // the secret did not reach the result
constexpr int exit_skipped = 77;
constexpr int exit_leak = 99; // also what MSan is told to end a process with

volatile std::uint8_t sink;
std::size_t verdicts_expected = 0; // of the row that runs in this process

[[gnu::noinline]] void act()
{
    sink = 1;
}

// Volatile and out of line, or a compiler would turn it into arithmetic and the leak would be none.
void leak_by_branch()
{
    ByteArray<4> secret{1, 2, 3, 4};
    make_secret(secret);
    if ((secret[0] & 1U) != 0) {
        act();
    }
}

void leak_by_address()
{
    static constexpr ByteArray<256> table{1, 2, 3};
    ByteArray<4> secret{1, 2, 3, 4};
    make_secret(secret);
    sink = table[secret[1]];
}

// The loop everybody writes first: it stops at the first difference.
void leak_by_early_return()
{
    ByteArray<16> secret{1, 2, 3, 4};
    const ByteArray<16> guess{1, 2, 5, 4};
    make_secret(secret);
    for (std::size_t index = 0; index < secret.size(); ++index) {
        if (static_cast<const volatile std::uint8_t&>(secret[index]) != guess[index]) {
            act();
            return;
        }
    }
}

void lose_the_secret()
{
    ByteArray<4> result{1, 2, 3, 4};
    finish(result);
}

struct Control {
    Row row;
    int expected;
};
constexpr Control controls[] = {
    {{"control: a branch on a secret", Needs::any_cpu, leak_by_branch}, exit_leak},
    {{"control: a secret as an index", Needs::any_cpu, leak_by_address}, exit_leak},
    {{"control: a comparison that returns early", Needs::any_cpu, leak_by_early_return}, exit_leak},
    {{"control: a result without the secret", Needs::any_cpu, lose_the_secret}, exit_lost},
};

// Under valgrind CPUID is valgrind's: no AVX-512, which it does not know.
bool cpu_has(Needs needs)
{
    switch (needs) {
    case Needs::any_cpu: return true;
    case Needs::aes_ni: return __builtin_cpu_supports("aes") != 0;
    case Needs::avx2: return __builtin_cpu_supports("avx2") != 0;
    case Needs::avx2_told: return cpu_has(Needs::avx2) && !counts_complaints();
    case Needs::avx512:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
               __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
               __builtin_cpu_supports("avx512ifma") != 0 && __builtin_cpu_supports("avx512vbmi2") != 0;
    }
    return false;
}

// A verdict that was foreseen and did not happen is as wrong as one that was not.
[[noreturn]] void end_row()
{
    std::exit(complaints() == verdicts_expected ? exit_clean : exit_leak);
}

int outcome_of(const Row& row)
{
    if (!cpu_has(row.needs)) {
        return exit_skipped;
    }
    const auto child = ::fork();
    if (child == 0) {
        row.run();
        end_row();
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

const char* meaning_of(int outcome)
{
    switch (outcome) {
    case exit_clean: return "clean";
    case exit_lost: return "the secret did not reach the result";
    case exit_skipped: return "skipped: not on this CPU or under this tool";
    case exit_leak: return "a secret decides a branch or an address";
    default: return "it ended in an unforeseen way";
    }
}

bool run(const Row& row, int expected)
{
    const int outcome = outcome_of(row);
    const bool good = outcome == expected || (outcome == exit_skipped && expected == exit_clean);
    std::printf("%s  %s: %s\n", good ? "ok  " : "FAIL", row.name, meaning_of(outcome));
    std::fflush(stdout);
    return good;
}

} // namespace

void expect_verdict(std::size_t branches)
{
    verdicts_expected += counts_complaints() ? branches : 0;
}

void finish(Bytes result)
{
    if (!depends_on_secret(result)) {
        std::exit(exit_lost);
    }
    make_public(result);
}

int run_all()
{
    bool good = true;
    for (const auto& control : controls) {
        good &= run(control.row, control.expected);
    }
    for (const auto rows : {aes_rows(), box_rows(), hash_rows(), sodium_rows(), x25519_rows()}) {
        for (const auto& row : rows) {
            good &= run(row, exit_clean);
        }
    }
    return good ? exit_clean : 1;
}

} // namespace caisson::tests::constant_time

int main()
{
    if (!caisson::tests::constant_time::is_watched()) {
        std::fprintf(stderr, "constant_time: no tool watches; run it as\n"
                             "  valgrind -q build/dev/tests/constant_time/constant_time\n"
                             "or build it with the preset msan\n");
        return 64;
    }
    return caisson::tests::constant_time::run_all();
}
