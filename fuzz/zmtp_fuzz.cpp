// What a peer sends before and around CURVE: greeting, frames, metadata. A frame must not depend on how much more is
// buffered behind it, and must come out again as it was read.
#include "protocol/zmtp.hpp"

#include <vector>

namespace {

using namespace caisson;
namespace zmtp = protocol::zmtp;

constexpr std::size_t body_bytes_max = 4096;

void check(bool condition)
{
    if (!condition) {
        __builtin_trap();
    }
}

void read_greeting(Bytes input)
{
    if (input.size() < zmtp::greeting_bytes) {
        return;
    }
    ByteArray<zmtp::greeting_bytes> bytes;
    copy_bytes(bytes, input.first(bytes.size()));
    const auto greeting = zmtp::read_greeting(bytes);
    if (greeting) {
        const auto again = zmtp::read_greeting(zmtp::write_greeting(*greeting));
        check(again && again->mechanism == greeting->mechanism && again->minor == greeting->minor);
    }
}

void read_metadata(Bytes metadata)
{
    std::vector<std::uint8_t> copy(metadata.size());
    Writer writer(copy);
    Reader reader(metadata);
    while (true) {
        const auto property = zmtp::read_property(reader);
        if (!property) {
            return;
        }
        if (!*property) {
            break;
        }
        zmtp::write_property(writer, (*property)->name, (*property)->value);
    }
    check(same_bytes(copy, metadata));
}

void read_commands(Bytes body)
{
    if (const auto command = zmtp::read_command(body)) {
        check(command->rest.size() <= body.size());
        check(command->kind != zmtp::Command::Kind::ping || command->rest.size() <= zmtp::ping_context_bytes_max);
    }
    if (const auto credentials = zmtp::read_plain_hello(body)) {
        std::vector<std::uint8_t> copy(body.size());
        Writer writer(copy);
        check(zmtp::write_plain_hello(writer, *credentials) && same_bytes(writer.written(), body));
    }
    std::vector<std::uint8_t> copy(body.size());
    Writer writer(copy);
    zmtp::copy_ends_properties(writer, body);
    check(writer.finish().has_value() && zmtp::find_property(writer.written(), "X-Caisson-Key").empty());
}

void check_frame(Bytes buffered, const zmtp::Frame& frame)
{
    check(frame.body.size() <= body_bytes_max && frame.wire_bytes <= buffered.size());
    for (const auto size : {frame.wire_bytes, frame.wire_bytes - 1}) {
        const auto shorter = zmtp::read_frame(buffered.first(size), body_bytes_max);
        check(shorter && shorter->has_value() == (size == frame.wire_bytes));
    }
    std::vector<std::uint8_t> wire(zmtp::frame_head_bytes_max + frame.body.size());
    ByteArray<zmtp::frame_head_bytes_max> head;
    const auto head_bytes = zmtp::write_frame_head(head, frame.flags, frame.body.size());
    copy_bytes(wire, Bytes(head).first(head_bytes));
    copy_bytes(MutableBytes(wire).subspan(head_bytes), frame.body);
    const auto again = zmtp::read_frame(wire, body_bytes_max);
    check(again && *again && (*again)->flags == frame.flags && same_bytes((*again)->body, frame.body));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    Bytes rest(input, size);
    read_greeting(rest);
    while (true) {
        const auto frame = zmtp::read_frame(rest, body_bytes_max);
        if (!frame || !*frame) {
            return 0;
        }
        check_frame(rest, **frame);
        read_metadata((*frame)->body);
        read_commands((*frame)->body);
        if (const auto metadata = zmtp::read_null_ready((*frame)->body)) {
            read_metadata(*metadata);
        }
        rest = rest.subspan((*frame)->wire_bytes);
    }
}
