// Voyage: the messages of all links of one turn on their way through the chamber and back, those of a session as one
// request. One thread.
#pragma once

#include "airlock/curve/requests.hpp"
#include "host/enclave/enclave.hpp"
#include "services/gateway/buffer.hpp"

#include <algorithm>
#include <deque>
#include <vector>

namespace caisson::services::gateway {

class Link;

// One frame on its way.
struct Passing {
    std::size_t ticket = 0;
    std::size_t at = 0; // of its frame, in the room
    std::size_t head_bytes = 0;
    std::size_t text_bytes = 0;
    bool counts = false; // the last part of a message, not a command
    bool lent = false;   // its octets lie in the ring, only its head in the room
};

class Voyage {
  public:
    static constexpr std::size_t messages_max = 2048; // of each direction
    // A larger text is a request of its own, whose answer stays in the ring until `clear`: see `lent`.
    static constexpr std::size_t copied_bytes_max = std::size_t{16} << 10U;

    explicit Voyage(host::enclave::Enclave& enclave);
    Voyage(const Voyage&) = delete;
    Voyage& operator=(const Voyage&) = delete;

    // Room for answers.
    [[nodiscard]] Buffer& room(std::size_t bytes);

    using Ticket = std::size_t;

    // From text to MESSAGE body. `first` is an octet before the text, if there is one. Requires: room_for_messages.
    struct Text {
        std::uint32_t session = 0;
        std::uint32_t flags = 0;
        Bytes first;
        Bytes text;
    };
    Ticket produce(const Text& text, MutableBytes body);
    // From MESSAGE body to text.
    Ticket process(std::uint32_t session, Bytes body, MutableBytes text);
    // The same, with so large an answer that stays in the ring. Requires: more than copied_bytes_max of text.
    Ticket produce_lent(const Text& text, std::size_t body_bytes);
    Ticket process_lent(std::uint32_t session, Bytes body, std::size_t text_bytes);
    [[nodiscard]] std::size_t room_for_messages() const noexcept
    {
        return messages_max - std::max(produced_count_, processed_count_);
    }

    // Through the chamber and back.
    void sail();

    // After `sail`. An answer fills what it was given, or it is none.
    [[nodiscard]] Status outcome(Ticket ticket) const;
    [[nodiscard]] std::uint32_t flags(Ticket ticket) const noexcept; // of a text
    // Where in the ring the body or text is, until `clear`. The chamber may write there: copy before you look.
    [[nodiscard]] Bytes lent(Ticket ticket) const noexcept;

    void clear();

    std::vector<Link*> links;     // whoever is to be told then
    std::vector<Passing> passing; // of all links

  private:
    struct Message {
        std::size_t run = 0;
        std::size_t answer_end = 0; // in the answer to its run
        ByteArray<9> head{};        // before its octets: size, flags, an octet more
        ByteArray<4> flags{};       // of a text, as the chamber says
        std::size_t lent_from = 0;  // in the answer, where it is lent
    };
    // A request.
    struct Run {
        airlock::curve::Request request{};
        std::uint32_t session = 0;
        std::size_t messages = 0;
        std::size_t input_bytes = 0;
        std::size_t answer_bytes = 0;
        bool lent = false;
        std::size_t first_input = 0; // of the pieces
        std::size_t first_output = 0;
    };

    Message& add(airlock::curve::Request request, std::uint32_t session, std::size_t input_bytes,
                 std::size_t answer_bytes);
    Message& add_text(const Text& text, std::size_t body_bytes);
    Message& add_body(std::uint32_t session, Bytes body, std::size_t text_bytes);
    void make_calls();
    void take_lent_flags();

    host::enclave::Enclave& enclave_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
    std::vector<Message> messages_;   // these five are never moved: they have their largest size from the start
    std::vector<Run> runs_;
    std::vector<Bytes> inputs_;
    std::vector<MutableBytes> outputs_;
    std::vector<host::enclave::Enclave::Call> calls_;
    std::deque<Buffer> rooms_;
    std::size_t produced_count_ = 0;
    std::size_t processed_count_ = 0;
    host::enclave::Enclave::Flight last_; // whose answers are lent
    bool has_lent_ = false;
};

} // namespace caisson::services::gateway
