// What the loader tells the host before the chamber answers: in the ring's scratch page, once, then never again.
// Hostile to the host as everything in the ring: bounded when it is read.
#pragma once

#include "airlock/ring.hpp"
#include "core/bytes.hpp"

#include <array>
#include <atomic>

namespace caisson::host::enclave::loader {

enum class LoaderState : std::uint32_t { starting = 0, ready = 1, failed = 2 };

inline constexpr std::size_t steps_max = 48;

struct Step {
    std::array<char, 56> name{}; // zero-terminated
    std::int32_t error = 0;      // errno, 0 when it took effect
};

struct Report {
    std::atomic<LoaderState> state;
    std::uint32_t failure_kind; // caisson::Kind
    std::array<char, 240> failure;
    std::uint32_t arena_bytes; // what the chamber may grow into; less than airlock::arena_bytes where memory is short
    std::uint32_t step_count;
    std::array<Step, steps_max> steps;
};
static_assert(sizeof(Report) <= sizeof(airlock::Ring::scratch));

inline Report& report_of(airlock::Ring& ring) noexcept
{
    return *reinterpret_cast<Report*>(ring.scratch);
}

// How it ends when it can say nothing more.
inline constexpr int status_gave_up = 70;
inline constexpr int status_without_page = 71; // the kernel had none for memory that was mapped

// The descriptors the loader is started with.
inline constexpr int ring_descriptor = 3;
inline constexpr int image_descriptor = 4;
inline constexpr int sigstruct_descriptor = 5;
inline constexpr int start_descriptor = 6; // a pipe with StartFacts, then StartSecrets

// For this one start. Read first; nothing in it is secret.
struct StartFacts {
    std::uint32_t platform = 0;
    std::uint32_t root = 0;
    std::uint32_t features = 0; // airlock::CpuFeature bits
    std::uint32_t spin_budget_ticks = 0;
    std::uint64_t counter_least = 0; // as in airlock::EntryFacts
    std::uint64_t counter_sealed = 0;
    // Tests only: the name of a lock-down step that shall fail, and with which errno; empty otherwise.
    std::array<char, 56> missing_step{};
    std::int32_t missing_error = 0;
    std::uint32_t reserved = 0;
};

// Read when nobody can look in any more, straight into secret memory; then the pipe is gone.
struct StartSecrets {
    ByteArray<32> seal_enclave{};
    ByteArray<32> seal_signer{};
    ByteArray<32> report{};
};

} // namespace caisson::host::enclave::loader
