// Enclave: one loaded chamber, whatever guards it. Starts it, speaks through its ring, knows what it is.
// Safe for concurrent use where it says so.
#pragma once

#include "airlock/ring.hpp"
#include "host/fault.hpp"
#include "protocol/image_note.hpp"
#include "protocol/sgx.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace caisson::host::enclave {

class Root; // host/enclave/root.hpp

enum class ChamberKind : std::uint8_t { curve, witness, null }; // null: for tests of what is around a chamber

const char* chamber_name(ChamberKind kind) noexcept; // also the stem of its files: NAME.sgxs, NAME.sig

// How either side of the ring waits for the other.
enum class Waiting : std::uint8_t {
    spin,   // for 10 us, then asleep: fastest while both sides have a CPU of their own
    sleep,  // at once
    beside, // asleep at once, and the chamber runs on the CPU of whoever wakes it: nothing crosses between CPUs, and
            // who waits makes room for the one he waits for. For who waits for each answer (a gateway, libcaisson)
};

struct EnclaveOptions {
    ChamberKind chamber = ChamberKind::curve;
    protocol::sgx::Platform platform = protocol::sgx::Platform::process;
    std::filesystem::path images; // the folder that holds NAME.sgxs, NAME.sig and caisson-loader; empty: find_images()
    // Where the root counts: what this chamber seals is still good after Root::raise_counter...
    bool seals_next = false;
    // ...and blobs of an older copy of the home open: for the owner who puts one back.
    bool accepts_older = false;
    // Tests: a step of the lock-down that shall look as if the kernel lacked it, and the errno it gives.
    std::string missing_step;
    int missing_error = 0;
    Waiting waiting = Waiting::spin; // inproc: always that
};

// One protection of the lock-down, in the order it was applied.
struct Protection {
    std::string name;
    bool active = false;
    std::string reason; // why not, when not active
};

// What this chamber is and what guards it: shown on every screen, part of every status.
struct EnclaveFacts {
    protocol::sgx::Platform platform{};
    protocol::sgx::RootKind root{};
    Digest mrenclave{};
    Digest mrsigner{};
    Digest loader{}; // SHA-256 of the loader; never part of MRENCLAVE
    std::uint16_t product = 0;
    std::uint16_t svn = 0;
    bool debug = false;
    protocol::ImageNote note; // how the image was built: part of MRENCLAVE
    int pid = 0;              // of the locked-down child; 0 for inproc
    std::vector<Protection> protections;
};

class Enclave {
  public:
    // Starts the chamber and waits until it answers. Fails: missing (image), unauthentic (signature, measurement),
    // unavailable (a kernel step is missing and has no substitute; `what` names limit and remedy).
    static Outcome<std::unique_ptr<Enclave>> open(const EnclaveOptions& options, const Root& root);
    virtual ~Enclave() = default;
    Enclave(const Enclave&) = delete;
    Enclave& operator=(const Enclave&) = delete;

    // One request through lane 0. Blocks until it is answered. Safe for concurrent use.
    // Returns the size of the answer. Fails: the kind the chamber gave; forbidden (no such request, or not in this
    // state); unavailable (the chamber has ended or hangs, known within 100 ms); exhausted (output or input too large).
    virtual Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output) = 0;

    // Buffers of somebody else, one behind the other, whose octets cross as if they were one.
    template <typename Piece>
    class Pieces {
      public:
        Pieces() = default;
        explicit Pieces(std::span<const Piece> list)
            : list_(list)
        {
            for (const auto& piece : list) {
                bytes_ += piece.size();
            }
        }
        [[nodiscard]] std::span<const Piece> list() const noexcept { return list_; }
        [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

      private:
        std::span<const Piece> list_;
        std::size_t bytes_ = 0;
    };

    // Many requests with one wake-up; each result is filled in. Safe for concurrent use.
    struct Call {
        std::uint32_t request = 0;
        Bytes input;
        MutableBytes output;
        Result<std::size_t> result = std::size_t{0};
        // How much CPU time the chamber may use for it before it counts as hung. More for what is slow by design.
        std::uint32_t patience_ms = 60;
        // What follows `input`, and where the answer goes on when `output` is full. `result` counts all of it.
        Pieces<Bytes> more_input = {};
        Pieces<MutableBytes> more_output = {};
        // False: what crosses lies in memory of the caller that nobody wipes either, so the ring's copy is left to be
        // written over.
        bool is_wiped = true;
        // Not 0: the answer, so large at most, is copied nowhere. `reap` says in `answer` where in the ring it lies,
        // until `release`; the chamber can change it there, so whoever looks at it copies it first. Where somebody
        // needs the room before that, it is in `kept`.
        std::size_t lent_bytes = 0;
        Bytes answer = {};
        std::vector<std::uint8_t> kept = {};
    };
    virtual void call_many(std::span<Call> calls) = 0;

    // The same in two halves, so that the chamber works on one batch while the next is prepared. Flights are answered
    // in the order of their submission. The calls and their outputs stay where they are until reaped: a result may be
    // filled in any time from `submit` on. The inputs of those taken are read by then.
    struct Flight {
        std::uint64_t number = 0;
        std::size_t taken = 0; // the first so many of the calls; 0: the ring is full, reap an earlier flight first
    };
    [[nodiscard]] virtual Flight submit(std::span<Call> calls) = 0; // does not wait
    virtual void reap(const Flight& flight) = 0;                    // waits until each result of it is filled in
    // The answers that `reap` has lent, of this flight and of those before it, are not looked at any more.
    virtual void release(const Flight& /*flight*/) {}

    [[nodiscard]] virtual const EnclaveFacts& facts() const noexcept = 0;
    [[nodiscard]] virtual bool alive() noexcept = 0;

    // Ends what is left of the chamber and starts it anew, the same image behind the same ring. Whoever shares the ring
    // goes on; what was in flight in any lane is `unavailable`. Ids and sessions are gone, what was sealed opens again.
    // facts() then says the new pid. Safe for concurrent use with calls, not with itself or facts().
    // Fails: as `open`; unavailable (this platform does not restart).
    virtual Done restart(const Root& /*root*/)
    {
        return fault(Kind::unavailable, "a chamber on this platform is not restarted: start its program again");
    }

    // Readable as soon as the chamber has ended, for poll; -1 where there is no such thing. Another one after a
    // restart.
    [[nodiscard]] virtual int ended_fd() const noexcept { return -1; }

    // The ring's file descriptor, to be inherited by a program that shares the chamber (`caisson run`); owned here.
    [[nodiscard]] virtual int ring_fd() const noexcept = 0;

  protected:
    Enclave() = default;
};

// Where NAME.sgxs, NAME.sig and caisson-loader lie: $CAISSON_IMAGES, beside the program, or the installed place.
std::filesystem::path find_images();

} // namespace caisson::host::enclave
