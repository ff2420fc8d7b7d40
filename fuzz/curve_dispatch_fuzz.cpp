// The curve chamber's door: any requests in any order, alone and in groups, with keys loaded, the gate open for a few
// messages, sessions in every state and the shim's keys half-way. Input: {request u8, subject u8, size u16, bytes}
// each; a subject is a number or handle that the chamber gave, put before the bytes. With `follow` the bytes change the
// chamber's last answer, so that a handshake can go on from it. Request 0 lets time pass; behind request 255 so many as
// its subject says are one group.
#include "core/wire.hpp"
#include "tests/unit/trusted/curve/curve_world.hpp"

#include <algorithm>
#include <map>

namespace caisson::trusted::curve::test {
namespace {

constexpr std::uint8_t follow = 0x80;
constexpr std::size_t subjects_max = 64;
constexpr std::size_t group_max = 8;
constexpr std::uint32_t messages_permitted = 6; // of the gated session, between two looks of a run at its gate
constexpr ByteArray<32> raw_secret{8, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};

void check(bool condition)
{
    if (!condition) {
        __builtin_trap();
    }
}

class Door {
  public:
    Door()
    {
        choose_box_kernel(kernels_here().back());
        rest_.subjects.reserve(subjects_max);
        outputs_.assign(group_max, Buffer(airlock::payload_bytes_max));
        load_keys();
        open_gate();
        open_sessions();
        open_shim();
        std::memcpy(prepared_.data(), storage_.data(), storage_.size());
        arena_.keep();
        prepared_rest_ = rest_;
    }

    // Back to where the constructor left it: as bytes at the same place, for 40 key exchanges take too long.
    void begin_again()
    {
        std::memcpy(storage_.data(), prepared_.data(), storage_.size());
        arena_.go_back();
        rest_ = prepared_rest_;
    }

    void pass_time(std::uint8_t amount) { rest_.runtime.now += std::uint64_t{1} << (amount % 40); }

    // The next ones wait, and are one group.
    void wait_for(std::uint8_t count)
    {
        answer_group();
        awaited_ = 1 + count % group_max;
    }

    void answer_group()
    {
        std::vector<airlock::Exchange> group;
        std::vector<Buffer> inputs;
        for (auto& [request, input] : waiting_) {
            inputs.push_back(input);
            group.push_back({static_cast<std::uint32_t>(request), input, outputs_[group.size()], {}});
        }
        awaited_ = 0;
        chamber_->answer(group);
        for (std::size_t index = 0; index < group.size(); ++index) {
            take_answer(waiting_[index].first, inputs[index], group[index].answer, outputs_[index]);
        }
        waiting_.clear();
    }

    void ask(std::uint8_t request, std::uint8_t subject, Bytes bytes)
    {
        Buffer body = (subject & follow) != 0 ? changed(bytes) : Buffer(bytes.begin(), bytes.end());
        const auto place = static_cast<std::size_t>(subject & ~follow) % (rest_.subjects.size() + 1);
        const auto& before = place == 0 ? nothing_ : rest_.subjects[place - 1];
        body.insert(body.begin(), before.begin(), before.end());
        if (awaited_ == 0) {
            say(static_cast<Request>(request), body);
            return;
        }
        waiting_.emplace_back(static_cast<Request>(request), std::move(body));
        if (waiting_.size() == awaited_) {
            answer_group();
        }
    }

  private:
    // The last answer, with {place u16, mask u8} changes.
    [[nodiscard]] Buffer changed(Bytes changes) const
    {
        Buffer body = rest_.last;
        for (; changes.size() >= 3 && !body.empty(); changes = changes.subspan(3)) {
            body[(changes[0] | std::size_t{changes[1]} << 8U) % body.size()] ^= changes[2];
        }
        return body;
    }

    Buffer must(Request request, const Buffer& input)
    {
        answered_ = false;
        auto said = say(request, input);
        check(answered_);
        return said;
    }

    Buffer say(Request request, const Buffer& input)
    {
        Buffer copy(input); // as the ring server's: the chamber works in it
        const auto answer = chamber_->answer(static_cast<std::uint32_t>(request), copy, outputs_[0]);
        return take_answer(request, input, answer, outputs_[0]);
    }

    Buffer take_answer(Request request, const Buffer& input, const airlock::Answer& answer, const Buffer& output)
    {
        Buffer said;
        if (answer.refusal == airlock::Refusal::none && answer.result) {
            check(*answer.result <= output.size());
            said.assign(output.begin(), output.begin() + static_cast<std::ptrdiff_t>(*answer.result));
            check(std::search(said.begin(), said.end(), raw_secret.begin(), raw_secret.end()) == said.end());
            answered_ = true;
            note(request, input, said);
        }
        return said;
    }

    void note(Request request, const Buffer& input, const Buffer& said)
    {
        const auto front = [&said](std::size_t at, std::size_t size) {
            return Buffer(said.begin() + static_cast<std::ptrdiff_t>(at),
                          said.begin() + static_cast<std::ptrdiff_t>(at + size));
        };
        rest_.last = said;
        switch (request) {
        case Request::import_sealed_private_key:
            add(front(0, 4));
            add(front(40, 32));
            break;
        case Request::create_key_pair:
        case Request::import_private_key: rest_.last = Buffer(said.begin() + 32, said.end()); break;
        case Request::open_client: add(said); break;
        case Request::begin_client:
        case Request::process_initiate: add(front(0, 4)); break;
        case Request::box_keypair: add(front(32, 32)); break;
        case Request::beforenm: add(said); break;
        case Request::produce_message: note_counter(input, said); break;
        default: break;
        }
    }

    // No counter comes twice in a session.
    void note_counter(const Buffer& input, const Buffer& said)
    {
        Reader reader(Bytes(said).subspan(protocol::curve::MESSAGE.size()));
        const auto counter = *reader.read_be<std::uint64_t>();
        auto& last = rest_.counters[Buffer(input.begin(), input.begin() + 4)];
        check(counter > last);
        last = counter;
    }

    void add(const Buffer& subject)
    {
        if (rest_.subjects.size() < subjects_max) {
            rest_.subjects.push_back(subject);
        }
    }

    void load_keys()
    {
        const ByteArray<32> none{};
        must(Request::import_private_key, join(u32(0), none, raw_secret));
        const auto plain = must(Request::import_sealed_private_key, rest_.last);
        must(Request::create_key_pair, join(u32(1), verifier_.key.bytes));
        const auto gated = must(Request::import_sealed_private_key, rest_.last);
        copy_bytes(server_.bytes, Bytes(plain).subspan(8, 32));
        copy_bytes(gated_server_.bytes, Bytes(gated).subspan(8, 32));
    }

    void open_gate()
    {
        protocol::TimeNonce nonce;
        copy_bytes(nonce.bytes, must(Request::time_nonce, {}));
        Buffer token(protocol::time_token_bytes_max);
        token.resize(*protocol::write_time_token(token, verifier_.secret, {nonce, 10'000, 30'000, messages_permitted}));
        must(Request::accept_time_token, token);
        protocol::AttestationResult result;
        result.issued_ms = 9'000;
        result.expires_ms = 60'000;
        result.status = protocol::TrustTier::affirming;
        result.key_count = 1;
        result.keys[0].key = server_;
        result.keys[0].platform = protocol::sgx::Platform::process;
        Buffer document(protocol::attestation_result_bytes_max);
        document.resize(*protocol::write_attestation_result(document, verifier_.secret, result));
        must(Request::accept_result, document);
    }

    // One session for each state of the handshake, the last ones open; and two more open ones, the server's gated.
    void open_sessions()
    {
        const auto plain = rest_.subjects[0];
        for (int steps = 0; steps <= 4; ++steps) {
            open_session(steps, plain, server_);
        }
        open_session(4, rest_.subjects[2], gated_server_);
    }

    void open_session(int steps, const Buffer& server, const CurveKey& server_key)
    {
        const auto session = must(Request::open_client, join(rest_.subjects[0], server_key.bytes));
        if (steps > 0) {
            must(Request::produce_hello, session);
        }
        if (steps > 1) {
            must(Request::process_welcome, join(session, must(Request::process_hello, join(server, rest_.last))));
        }
        if (steps > 2) {
            must(Request::produce_initiate, session);
        }
        if (steps > 3) {
            const auto accepted = must(Request::process_initiate, join(server, rest_.last));
            const auto ready = must(Request::produce_ready, Buffer(accepted.begin(), accepted.begin() + 4));
            must(Request::process_ready, join(session, ready));
        }
    }

    // Of the shim: a server with a session key, another that has said WELCOME, a client with a session key after HELLO.
    void open_shim()
    {
        using namespace protocol::curve;
        const auto server = welcomed_pair();
        const auto initiate_box = short_nonce(initiate_nonce, 2);
        const auto vouch_box = long_nonce(vouch_nonce, ByteArray<long_nonce_bytes>{});
        const auto handle = Bytes(server).subspan(key_bytes);
        must(Request::box_open, join(handle, client_.key, initiate_box, boxed(client_.key, initiate_box, server)));
        must(Request::box_open,
             join(handle, client_.key, vouch_box, boxed(join(client_.key, server_.bytes), vouch_box, server)));
        must(Request::beforenm, join(handle, client_.key));
        welcomed_pair();
        const auto client = must(Request::box_keypair, {});
        must(Request::box, join(Bytes(client).subspan(key_bytes), server_.bytes, short_nonce(hello_nonce, 1),
                                ByteArray<hello_zeros_bytes>{}));
        must(Request::beforenm, join(Bytes(client).subspan(key_bytes), client_.key));
    }

    // Public key and handle of a server's transient key.
    Buffer welcomed_pair()
    {
        using namespace protocol::curve;
        const auto pair = must(Request::box_keypair, {});
        must(Request::box,
             join(rest_.subjects[1], client_.key, long_nonce(welcome_nonce, ByteArray<long_nonce_bytes>{}),
                  Bytes(pair).first(key_bytes), ByteArray<cookie_bytes>{}));
        return pair;
    }

    // By the client outside, to the transient key at the front of `pair`.
    Buffer boxed(Bytes text, const protocol::curve::Nonce& nonce, const Buffer& pair) const
    {
        Buffer box(text.size() + protocol::curve::tag_bytes);
        check(crypto_box_easy(box.data(), text.data(), text.size(), nonce.data(), pair.data(), client_.secret.data()) ==
              0);
        return box;
    }

    // Transient and long-term key in one, and not in the chamber.
    struct Outside {
        ByteArray<32> key;
        ByteArray<32> secret;
        Outside()
        {
            const ByteArray<32> seed{3};
            crypto_box_seed_keypair(key.data(), secret.data(), seed.data());
        }
    };

    struct Rest {
        CurveRuntime runtime;
        std::vector<Buffer> subjects;
        Buffer last;
        std::map<Buffer, std::uint64_t> counters;
    };

    alignas(Chamber) ByteArray<sizeof(Chamber)> storage_;
    ByteArray<sizeof(Chamber)> prepared_;
    Rest rest_;
    Rest prepared_rest_;
    tests::TestArena arena_;
    Chamber* const chamber_ = new (storage_.data()) Chamber(rest_.runtime, arena_.arena());
    const protocol::test::Signer verifier_{1};
    const Outside client_;
    CurveKey server_;
    CurveKey gated_server_;
    const Buffer nothing_;
    bool answered_ = false;
    std::size_t awaited_ = 0; // 0: each is answered at once
    std::vector<std::pair<Request, Buffer>> waiting_;
    std::vector<Buffer> outputs_;
};

} // namespace
} // namespace caisson::trusted::curve::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    static trusted::curve::test::Door door;
    door.begin_again();
    Reader reader(Bytes(input, size));
    while (true) {
        const auto request = reader.read_le<std::uint8_t>();
        const auto subject = reader.read_le<std::uint8_t>();
        const auto bytes = reader.read_le<std::uint16_t>();
        if (!request || !subject || !bytes) {
            door.answer_group();
            return 0;
        }
        const auto body = reader.read_bytes(std::min<std::size_t>(*bytes, reader.rest().size()));
        if (*request == 0) {
            door.pass_time(*subject);
        } else if (*request == 255) {
            door.wait_for(*subject);
        } else {
            door.ask(*request, *subject, *body);
        }
    }
}
