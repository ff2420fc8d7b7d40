// One step of a handshake, in parts: it reads what came, names the product of two keys that it lacks, and goes on when
// that is there; so the products of several steps can be made together.
// Spec: docs/spec/curve.md. One thread.
#pragma once

#include "core/inplace_vector.hpp"
#include "trusted/curve/session.hpp"
#include "trusted/curve/transients.hpp"

#include <array>
#include <span>

namespace caisson::trusted::curve {

// What the steps of all handshakes of a chamber draw from.
struct Sources {
    Runtime& runtime;       // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    Cookies& cookies;       // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    Transients& transients; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
};

struct HandshakeStep {
    // Given, as the step needs them.
    Bytes body; // of the command that came, or the metadata of one to be written
    MutableBytes output;
    Session* session = nullptr; // a client's
    const LongTermKey* own = nullptr;

    // What is lacking, and who goes on with `key`. He may name the next; else the step is complete.
    const CurveKey* theirs = nullptr;
    const CurveSecretKey* secret = nullptr;
    SharedKey key;
    Status (*go_on)(Sources&, HandshakeStep&) noexcept = nullptr;

    std::size_t written = 0; // of the output, when it is complete

    // A server's, whom INITIATE has proved, with the metadata at the front of the output.
    CurveKey client;
    SharedKey session_key;
    std::uint64_t counter = 0;

    // And on its way there.
    CurveKey client_transient;
    Cookies::Opened cookie;
    Bytes box;
};

// Each begins the step of that name. They fail as the step; process_initiate has used the cookie up by then.
[[nodiscard]] Status begin_produce_hello(Sources& sources, HandshakeStep& step) noexcept;
[[nodiscard]] Status begin_process_hello(HandshakeStep& step) noexcept;
[[nodiscard]] Status begin_process_welcome(HandshakeStep& step) noexcept;
[[nodiscard]] Status begin_produce_initiate(HandshakeStep& step) noexcept;
[[nodiscard]] Status begin_process_initiate(Sources& sources, HandshakeStep& step) noexcept;

// Goes on with the product, or fails: there is none, for one of the keys is a point of low order.
[[nodiscard]] Status go_on(Sources& sources, HandshakeStep& step, bool has_key) noexcept;

// The products of all who wait with a `step` are made together, and again as long as somebody names a next one;
// `advance` goes on with each.
template <typename Waiting, std::size_t most, typename Advance>
void go_on_together(InplaceVector<Waiting, most>& all, Advance advance) noexcept
{
    std::array<SharedKeyJob, most> jobs;
    std::array<Waiting*, most> whose{};
    while (true) {
        std::size_t count = 0;
        for (auto& waiting : all) {
            auto& step = waiting.step;
            if (step.go_on != nullptr) {
                jobs[count] = {step.theirs, step.secret, &step.key};
                whose[count++] = &waiting;
            }
        }
        if (count == 0) {
            return;
        }
        make_shared_keys(std::span(jobs).first(count));
        for (std::size_t index = 0; index < count; ++index) {
            advance(*whose[index], jobs[index].made);
        }
    }
}

} // namespace caisson::trusted::curve
