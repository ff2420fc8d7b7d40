// The dispatch table of a chamber: which request is answered, in which states, by whom. No row, no answer.
#pragma once

#include "airlock/limits.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"

#include <span>

namespace caisson::airlock {

// A set of states of the subject of a request (a session, a key, the chamber), one bit each.
using StateMask = std::uint32_t;

template <typename... States>
constexpr StateMask in_states(States... states) noexcept
{
    return (StateMask{0} | ... | (StateMask{1} << static_cast<std::uint32_t>(states)));
}

inline constexpr StateMask in_any_state = ~StateMask{0};

// A row: the request's number and name, the sizes its input may have, the states that permit it
// (of the subject that `state_of` finds from the input), and its handler.
// The handler gets a private copy of the input and a private output buffer, and returns the output's size.
template <typename Chamber>
struct Row {
    std::uint32_t request;
    const char* name;
    std::size_t input_bytes_min;
    std::size_t input_bytes_max;
    StateMask states;
    Result<std::uint32_t> (*state_of)(const Chamber&, Bytes input) noexcept; // null: no state needed
    Result<std::size_t> (*handler)(Chamber&, Bytes input, MutableBytes output) noexcept;
};

enum class Refusal : std::uint8_t { none, no_such_request, bad_size, not_in_this_state };

struct Answer {
    Refusal refusal = Refusal::none;
    Result<std::size_t> result = std::size_t{0};
};

// Looks the request up and runs its handler if the row allows it.
template <typename Chamber>
Answer dispatch(std::span<const Row<Chamber>> table, Chamber& chamber, std::uint32_t request, Bytes input,
                MutableBytes output) noexcept
{
    for (const auto& row : table) {
        if (row.request != request) {
            continue;
        }
        if (input.size() < row.input_bytes_min || input.size() > row.input_bytes_max) {
            return {Refusal::bad_size, std::size_t{0}};
        }
        if (row.state_of != nullptr) {
            const auto state = row.state_of(chamber, input);
            if (!state) {
                return {Refusal::none, std::unexpected(state.error())};
            }
            if (*state >= 32 || ((row.states >> *state) & 1U) == 0) {
                return {Refusal::not_in_this_state, std::size_t{0}};
            }
        }
        return {Refusal::none, row.handler(chamber, input, output)};
    }
    return {Refusal::no_such_request, std::size_t{0}};
}

} // namespace caisson::airlock
