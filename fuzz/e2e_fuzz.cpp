// What a hostile broker puts before the readers of end-to-end packets: true packets of every type, changed and cut, to
// chambers that wait for them, alone and in a group before true ones; and packets that are made up whole. Nothing that
// was changed may be taken, and nothing true be lost for it.
// Input: {packet u8, length u16} and then changes {place u16, mask u8}; packet 0: the rest is the packet.
#include "tests/unit/trusted/curve/e2e_world.hpp"

#include <algorithm>

namespace caisson::trusted::curve::test {
namespace {

void check(bool condition)
{
    if (!condition) {
        __builtin_trap();
    }
}

struct Target {
    Request request;
    Buffer subject;
    Buffer packet;
};

class Stage {
  public:
    Stage()
    {
        choose_box_kernel(kernels_here().back());
        for (auto* key : {&server_, &client_}) {
            Buffer made = say(Request::create_key_pair, join(u32(0), ByteArray<32>{}));
            Buffer loaded = say(Request::import_sealed_private_key, Buffer(made.begin() + 32, made.end()));
            key->id.assign(loaded.begin(), loaded.begin() + 4);
            key->public_key.assign(loaded.begin() + 8, loaded.begin() + 40);
        }
        for (const auto order : {Order::strict, Order::window}) {
            shake_hands(order);
        }
        say(Request::e2e_allow_sender, join(server_.id, client_.public_key));
        targets_.push_back({Request::e2e_process_letter, server_.id,
                            say(Request::e2e_produce_letter,
                                join(client_.id, u64(1), u32(3), u32(1), server_.public_key, bytes_of("a letter")))});
        std::memcpy(prepared_.data(), storage_.data(), storage_.size());
        arena_.keep();
    }

    void begin_again()
    {
        std::memcpy(storage_.data(), prepared_.data(), storage_.size());
        arena_.go_back();
    }

    [[nodiscard]] const std::vector<Target>& targets() const { return targets_; }

    bool takes(const Target& target, Bytes packet)
    {
        auto input = join(target.subject, packet);
        const auto answer = chamber_->answer(static_cast<std::uint32_t>(target.request), input, output_);
        return answer.refusal == airlock::Refusal::none && answer.result.has_value();
    }

    // As the first of a group, before every true packet of messages.
    bool takes_in_group(const Target& target, Bytes packet)
    {
        std::vector<std::pair<Request, Buffer>> asked{{target.request, join(target.subject, packet)}};
        for (const auto& each : targets_) {
            if (each.request == Request::e2e_process_message) {
                asked.emplace_back(each.request, join(each.subject, each.packet));
            }
        }
        outputs_.resize(asked.size(), output_);
        std::vector<airlock::Exchange> group;
        for (auto& [request, input] : asked) {
            group.push_back({static_cast<std::uint32_t>(request), input, outputs_[group.size()], {}});
        }
        chamber_->answer(group);
        const auto taken = [&group](std::size_t index) {
            const auto& answer = group[index].answer;
            return answer.refusal == airlock::Refusal::none && answer.result.has_value();
        };
        std::vector<Buffer> sessions; // one that closes its session ends it for those behind it
        for (std::size_t index = 1; index < group.size(); ++index) {
            const Buffer session(asked[index].second.begin(), asked[index].second.begin() + 4);
            const bool is_first = std::find(sessions.begin(), sessions.end(), session) == sessions.end();
            check(taken(0) || !is_first || taken(index));
            sessions.push_back(session);
        }
        return taken(0);
    }

  private:
    struct Own {
        Buffer id;
        Buffer public_key;
    };

    Buffer say(Request request, Buffer input)
    {
        const auto answer = chamber_->answer(static_cast<std::uint32_t>(request), input, output_);
        check(answer.refusal == airlock::Refusal::none && answer.result);
        return Buffer(output_.begin(), output_.begin() + static_cast<std::ptrdiff_t>(*answer.result));
    }

    // A handshake, with each packet kept for somebody who waits for it still.
    void shake_hands(Order order)
    {
        const auto open = join(client_.id, u32(static_cast<std::uint32_t>(order)), server_.public_key);
        const auto waiting = say(Request::e2e_open_client, open);
        const auto hello = say(Request::e2e_produce_hello, waiting);
        targets_.push_back({Request::e2e_process_hello, server_.id, hello});
        targets_.push_back(
            {Request::e2e_process_welcome, waiting, say(Request::e2e_process_hello, join(server_.id, hello))});
        targets_.push_back({Request::e2e_process_initiate, server_.id, initiate(open, order).second});
        const auto [unready, unready_initiate] = initiate(open, order);
        const auto accepted = say(Request::e2e_process_initiate, join(server_.id, unready_initiate));
        targets_.push_back({Request::e2e_process_ready, unready,
                            say(Request::e2e_produce_ready, Buffer(accepted.begin(), accepted.begin() + 4))});
        const auto [client, initiate_packet] = initiate(open, order);
        const auto opened = say(Request::e2e_process_initiate, join(server_.id, initiate_packet));
        const Buffer server(opened.begin(), opened.begin() + 4);
        say(Request::e2e_process_ready, join(client, say(Request::e2e_produce_ready, server)));
        targets_.push_back({Request::e2e_process_message, server,
                            say(Request::e2e_produce_message, join(client, u32(7), bytes_of("text")))});
        if (order == Order::window) { // in strict order the packet before is due first
            targets_.push_back({Request::e2e_process_message, server,
                                say(Request::e2e_produce_fanout, join(u32(7), u32(1), client, bytes_of("text")))});
        }
    }

    std::pair<Buffer, Buffer> initiate(const Buffer& open, Order order)
    {
        const auto session = say(Request::e2e_open_client, open);
        const auto hello = say(Request::e2e_produce_hello, session);
        say(Request::e2e_process_welcome, join(session, say(Request::e2e_process_hello, join(server_.id, hello))));
        return {session, say(Request::e2e_produce_initiate, join(session, own_property(order)))};
    }

    alignas(Chamber) ByteArray<sizeof(Chamber)> storage_;
    ByteArray<sizeof(Chamber)> prepared_;
    CurveRuntime runtime_;
    tests::TestArena arena_;
    Chamber* const chamber_ = new (storage_.data()) Chamber(runtime_, arena_.arena());
    Buffer output_ = Buffer(airlock::payload_bytes_max);
    std::vector<Buffer> outputs_;
    Own server_;
    Own client_;
    std::vector<Target> targets_;
};

void read_freely(Bytes bytes)
{
    const auto packet = e2e::read_packet(bytes);
    if (!packet) {
        return;
    }
    const auto count = e2e::count_slots(*packet);
    for (std::size_t index = 0; count && index < *count; ++index) {
        static_cast<void>(e2e::slot_of(*packet, index));
    }
    if (count) {
        check(e2e::content_of(*packet).size() >= e2e::tag_bytes);
    }
}

} // namespace
} // namespace caisson::trusted::curve::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    using namespace caisson::trusted::curve::test;
    static Stage stage;
    stage.begin_again();
    Reader reader(Bytes(input, size));
    const auto which = reader.read_le<std::uint8_t>();
    const auto length = reader.read_le<std::uint16_t>();
    if (!which || !length) {
        return 0;
    }
    const auto& target = stage.targets()[*which % stage.targets().size()];
    if (*which == 0) {
        read_freely(reader.rest());
        for (const auto& each : stage.targets()) {
            check(reader.rest().size() < 100 || same_bytes(reader.rest(), each.packet) ||
                  !stage.takes(each, reader.rest()));
        }
        return 0;
    }
    auto packet = target.packet;
    packet.resize(std::min<std::size_t>(packet.size(), *length));
    while (true) {
        const auto place = reader.read_le<std::uint16_t>();
        const auto mask = reader.read_le<std::uint8_t>();
        if (!place || !mask || packet.empty()) {
            break;
        }
        packet[*place % packet.size()] ^= *mask;
    }
    read_freely(packet);
    check(stage.takes(target, packet) == (packet == target.packet));
    stage.begin_again();
    check(stage.takes_in_group(target, packet) == (packet == target.packet));
    return 0;
}
