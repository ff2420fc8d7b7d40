// The hop codec of the C interface: each function is one request of the chamber, laid out as airlock/curve/requests.hpp
// says.
#include "core/wire.hpp"
#include "library/chamber.hpp"
#include "protocol/curve.hpp"

#include <algorithm>

namespace {

using namespace caisson;
using host::enclave::CurveMessage;
using library::Buffer;
using library::Done;
using library::fault;
using library::guarded;
using library::null_pointer;
using library::Number;
using library::Request;
using library::view;

struct Output {
    std::uint8_t* bytes;
    std::size_t* size;
};

// The answer goes into the caller's buffer as it is.
int answer(caisson_chamber* chamber, Request request, std::initializer_list<Bytes> parts, Output out) noexcept
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || out.bytes == nullptr || out.size == nullptr) {
            return null_pointer();
        }
        *out.size = TRY(chamber->inside->ask(request, parts, MutableBytes(out.bytes, *out.size)));
        return {};
    });
}

Done copy_out(Bytes bytes, Output out)
{
    if (out.bytes == nullptr || out.size == nullptr) {
        return null_pointer();
    }
    if (*out.size < bytes.size()) {
        return fault(Kind::exhausted, "the buffer for the answer is too small");
    }
    copy_bytes({out.bytes, *out.size}, bytes);
    *out.size = bytes.size();
    return {};
}

void take_items(std::span<const CurveMessage> messages, caisson_batch_item* items)
{
    for (std::size_t index = 0; index < messages.size(); ++index) {
        const auto& message = messages[index];
        auto& item = items[index];
        item.flags = message.flags;
        item.code = guarded([&]() -> Done {
            if (!message.status) {
                return std::unexpected(library::Fault(message.status.error()));
            }
            return copy_out(message.output, {item.output, &item.output_size});
        });
    }
}

template <typename Work>
int batch(caisson_chamber* chamber, caisson_batch_item* items, size_t count, Work work) noexcept
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || (items == nullptr && count > 0)) {
            return null_pointer();
        }
        std::vector<CurveMessage> messages(count);
        for (std::size_t index = 0; index < count; ++index) {
            messages[index].session = items[index].session;
            messages[index].flags = items[index].flags;
            messages[index].input = view(items[index].input, items[index].input_size);
        }
        host::enclave::CurveChamber curve(chamber->inside->enclave());
        work(curve, messages);
        take_items(messages, items);
        return {};
    });
}

} // namespace

extern "C" {

int caisson_open_client(caisson_chamber* chamber, uint32_t key, const uint8_t* server_key, uint32_t* session)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || server_key == nullptr || session == nullptr) {
            return null_pointer();
        }
        ByteArray<sizeof *session> output;
        TRY(chamber->inside->ask(Request::open_client, {Number(key), Bytes(server_key, CAISSON_KEY_BYTES)},
                                 MutableBytes(output)));
        std::memcpy(session, output.data(), sizeof *session);
        return {};
    });
}

int caisson_produce_hello(caisson_chamber* chamber, uint32_t session, uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::produce_hello, {Number(session)}, {out, out_size});
}

int caisson_process_hello(caisson_chamber* chamber, uint32_t key, const uint8_t* hello, size_t hello_size,
                          uint8_t* welcome, size_t* welcome_size)
{
    return answer(chamber, Request::process_hello, {Number(key), view(hello, hello_size)}, {welcome, welcome_size});
}

int caisson_process_welcome(caisson_chamber* chamber, uint32_t session, const uint8_t* welcome, size_t size)
{
    ByteArray<1> none{};
    std::size_t none_size = 0;
    return answer(chamber, Request::process_welcome, {Number(session), view(welcome, size)}, {none.data(), &none_size});
}

int caisson_produce_initiate(caisson_chamber* chamber, uint32_t session, const uint8_t* metadata, size_t metadata_size,
                             uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::produce_initiate, {Number(session), view(metadata, metadata_size)},
                  {out, out_size});
}

int caisson_process_initiate(caisson_chamber* chamber, uint32_t key, const uint8_t* initiate, size_t size,
                             uint32_t* session, uint8_t* client_key, uint8_t* metadata, size_t* metadata_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || session == nullptr || client_key == nullptr) {
            return null_pointer();
        }
        host::enclave::CurveChamber curve(chamber->inside->enclave());
        const auto initiated = TRY(curve.process_initiate(key, view(initiate, size)));
        *session = initiated.admitted ? initiated.session : 0;
        std::copy(initiated.client.bytes.begin(), initiated.client.bytes.end(), client_key);
        return copy_out(initiated.metadata, {metadata, metadata_size});
    });
}

int caisson_produce_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* metadata, size_t metadata_size,
                          uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::produce_ready, {Number(session), view(metadata, metadata_size)}, {out, out_size});
}

int caisson_process_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* ready, size_t size,
                          uint8_t* metadata, size_t* metadata_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr) {
            return null_pointer();
        }
        const auto read =
            TRY(chamber->inside->ask(Request::process_ready, {Number(session), view(ready, size)}, size + 64));
        return copy_out(read, {metadata, metadata_size});
    });
}

int caisson_produce_message(caisson_chamber* chamber, uint32_t session, uint32_t flags, const uint8_t* text,
                            size_t text_size, uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::produce_message, {Number(session), Number(flags), view(text, text_size)},
                  {out, out_size});
}

int caisson_process_message(caisson_chamber* chamber, uint32_t session, const uint8_t* message, size_t size,
                            uint32_t* flags, uint8_t* text, size_t* text_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || flags == nullptr) {
            return null_pointer();
        }
        std::vector<CurveMessage> one(1);
        one[0].session = session;
        one[0].input = view(message, size);
        host::enclave::CurveChamber(chamber->inside->enclave()).process_messages(one);
        TRY(Status(one[0].status));
        *flags = one[0].flags;
        return copy_out(one[0].output, {text, text_size});
    });
}

int caisson_produce_error(const char* reason, uint8_t* out, size_t* out_size)
{
    return guarded([&]() -> Done {
        if (reason == nullptr || out == nullptr || out_size == nullptr) {
            return null_pointer();
        }
        const std::string_view text(reason);
        if (text.size() > 255) {
            return fault(Kind::malformed, "a reason has at most 255 octets");
        }
        Writer writer(MutableBytes(out, *out_size));
        writer.write_bytes(bytes_of(protocol::curve::ERROR));
        writer.write_le(static_cast<std::uint8_t>(text.size()));
        writer.write_bytes(bytes_of(text));
        *out_size = TRY(writer.finish());
        return {};
    });
}

int caisson_process_error(caisson_chamber* chamber, uint32_t session, const uint8_t* error, size_t size, char* reason,
                          size_t* reason_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || reason == nullptr || reason_size == nullptr || *reason_size == 0) {
            return null_pointer();
        }
        const auto text = TRY(chamber->inside->ask(Request::process_error, {Number(session), view(error, size)}, 256));
        const auto kept = std::min(text.size(), *reason_size - 1);
        std::copy_n(text.begin(), kept, reason);
        reason[kept] = '\0';
        *reason_size = kept;
        return {};
    });
}

int caisson_close_session(caisson_chamber* chamber, uint32_t session)
{
    ByteArray<1> none{};
    std::size_t none_size = 0;
    return answer(chamber, Request::close_session, {Number(session)}, {none.data(), &none_size});
}

int caisson_produce_messages(caisson_chamber* chamber, caisson_batch_item* items, size_t count)
{
    return batch(chamber, items, count,
                 [](auto& curve, auto& messages) { curve.produce_messages(std::span(messages)); });
}

int caisson_process_messages(caisson_chamber* chamber, caisson_batch_item* items, size_t count)
{
    return batch(chamber, items, count,
                 [](auto& curve, auto& messages) { curve.process_messages(std::span(messages)); });
}
}
