// One thing that must not let a secret decide a branch or an address. To add one: a function that makes its secrets
// secret, runs the code under test, and hands each result to `finish`; then a line in a table of *_rows.cpp.
#pragma once

#include "core/bytes.hpp"

#include <span>

namespace caisson::tests::constant_time {

// avx2_told: AVX2, and a tool that crypto::public_verdict tells of verdicts, which valgrind is not.
enum class Needs : std::uint8_t { any_cpu, aes_ni, avx2, avx2_told, avx512 };

struct Row {
    const char* name;
    Needs needs;
    void (*run)();
};

// Ends the row with a failure unless the secret can still be seen in `result`: a tool that lost it on the way would
// find nothing. Then the result is public.
void finish(Bytes result);

// The next call branches on a verdict that everybody may learn ("the tag is wrong"), `branches` times and no more.
// Under valgrind just so many complaints are expected; for MSan the code says it itself (crypto::public_verdict).
void expect_verdict(std::size_t branches = 1);

[[nodiscard]] std::span<const Row> aes_rows();
[[nodiscard]] std::span<const Row> box_rows();
[[nodiscard]] std::span<const Row> hash_rows();
[[nodiscard]] std::span<const Row> sodium_rows(); // none under MSan, which does not see into Debian's library
[[nodiscard]] std::span<const Row> x25519_rows();

} // namespace caisson::tests::constant_time
