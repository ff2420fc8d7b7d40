// A call on a stack of its own, and what it leaves there and in the vector registers. Two calls that differ in a secret
// alone must leave the same: whatever differs is something that the secret decided.
#pragma once

#include "core/bytes.hpp"

#include <memory>
#include <vector>

namespace caisson::tests {

// Octets a call may leave behind although its secret decided them, for they are public: the same thing of both calls.
struct PublicPair {
    ByteArray<8> first;
    ByteArray<8> second;
};

// What one call left.
struct LeftBehind {
    std::vector<std::uint8_t> stack; // upwards; the call's own frame ends at the end
    std::vector<std::uint8_t> registers;
};

class PaintedStack {
  public:
    PaintedStack();

    // Runs work(argument) on the painted stack, with vector registers that are zero.
    [[nodiscard]] LeftBehind run(void (*work)(void*), void* argument);

  private:
    std::unique_ptr<std::uint8_t[]> memory_;
    std::uint8_t* bottom_;
    ByteArray<32 * 64> registers_{}; // here and not elsewhere: its address lies on the stack too
};

struct Differences {
    std::size_t count = 0;
    std::size_t farthest = 0; // from the end, where a stack begins
    std::size_t used = 0;     // of the stack at all: octets that lost their paint
};

// The octets of `first` and `second` that differ and are not covered by the two sides of any of `known`.
[[nodiscard]] Differences differences(const std::vector<std::uint8_t>& first, const std::vector<std::uint8_t>& second,
                                      const std::vector<PublicPair>& known);

} // namespace caisson::tests
