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

enum class Refusal : std::uint8_t { none, no_such_request, bad_size, not_in_this_state };

struct Answer {
    Refusal refusal = Refusal::none;
    Result<std::size_t> result = std::size_t{0};
};

// A request with the private copy of its input, the private buffer of its output, and its answer.
struct Exchange {
    std::uint32_t request = 0;
    MutableBytes input;
    MutableBytes output;
    Answer answer;
};

// A row: the request's number and name, the sizes its input may have, the states that permit it
// (of the subject that `state_of` finds from the input), and its handler.
// The handler gets a private copy of the input and a private output buffer, and returns the output's size.
// A request that is worked on together with its like has `join` instead: it finds the subject, judges its state by the
// row (`permits`), and puts the request into the chamber's batch, which gives the answer when it is done; or it refuses
// at once.
template <typename Chamber>
struct Row {
    std::uint32_t request;
    const char* name;
    std::size_t input_bytes_min;
    std::size_t input_bytes_max;
    StateMask states;
    Result<std::uint32_t> (*state_of)(const Chamber&, Bytes input) noexcept; // null: no state needed
    Result<std::size_t> (*handler)(Chamber&, Bytes input, MutableBytes output) noexcept;
    void (*join)(Chamber&, const Row&, Exchange& exchange) noexcept = nullptr;

    template <typename State>
    [[nodiscard]] bool permits(State state) const noexcept
    {
        const auto bit = static_cast<std::uint32_t>(state);
        return bit < 32 && ((states >> bit) & 1U) != 0;
    }
};

// The row that permits the request now; null with an answer that says why there is none.
template <typename Chamber>
const Row<Chamber>* permitted_row(std::span<const Row<Chamber>> table, const Chamber& chamber, std::uint32_t request,
                                  Bytes input, Answer& answer) noexcept
{
    for (const auto& row : table) {
        if (row.request != request) {
            continue;
        }
        if (input.size() < row.input_bytes_min || input.size() > row.input_bytes_max) {
            answer = {Refusal::bad_size, std::size_t{0}};
            return nullptr;
        }
        if (row.state_of != nullptr) {
            const auto state = row.state_of(chamber, input);
            if (!state) {
                answer = {Refusal::none, std::unexpected(state.error())};
                return nullptr;
            }
            if (!row.permits(*state)) {
                answer = {Refusal::not_in_this_state, std::size_t{0}};
                return nullptr;
            }
        }
        return &row;
    }
    answer = {Refusal::no_such_request, std::size_t{0}};
    return nullptr;
}

// Looks the request up and runs its handler if the row allows it. For tables without rows that join.
template <typename Chamber>
Answer dispatch(std::span<const Row<Chamber>> table, Chamber& chamber, std::uint32_t request, Bytes input,
                MutableBytes output) noexcept
{
    Answer answer;
    if (const auto* row = permitted_row<Chamber>(table, chamber, request, input, answer); row != nullptr) {
        answer.result = row->handler(chamber, input, output);
    }
    return answer;
}

// The same for a table with such rows.
template <typename Chamber>
void dispatch(std::span<const Row<Chamber>> table, Chamber& chamber, Exchange& exchange) noexcept
{
    const auto* row = permitted_row<Chamber>(table, chamber, exchange.request, exchange.input, exchange.answer);
    if (row == nullptr) {
        return;
    }
    if (row->join != nullptr) {
        row->join(chamber, *row, exchange);
    } else {
        exchange.answer.result = row->handler(chamber, exchange.input, exchange.output);
    }
}

} // namespace caisson::airlock
