// The end-to-end codec of the C interface: each function is one request of the chamber (docs/spec/e2e.md).
#include "core/wire.hpp"
#include "library/packets.hpp"
#include "protocol/e2e.hpp"

#include <algorithm>

namespace {

using namespace caisson;
using library::Buffer;
using library::Done;
using library::fault;
using library::guarded;
using library::LongNumber;
using library::null_pointer;
using library::Number;
using library::Request;
using library::view;
namespace e2e = protocol::e2e;

struct Output {
    std::uint8_t* bytes;
    std::size_t* size;
};

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

int say(caisson_chamber* chamber, Request request, std::initializer_list<Bytes> parts) noexcept
{
    ByteArray<1> none{};
    std::size_t none_size = 0;
    return answer(chamber, request, parts, {none.data(), &none_size});
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

Bytes key_view(const std::uint8_t* key) noexcept
{
    return view(key, CAISSON_KEY_BYTES);
}

} // namespace

extern "C" {

int caisson_e2e_read_packet(const uint8_t* packet, size_t size, int* type, uint8_t* id)
{
    return guarded([&]() -> Done {
        if (packet == nullptr || type == nullptr || id == nullptr) {
            return null_pointer();
        }
        const auto read = TRY(e2e::read_packet({packet, size}));
        *type = static_cast<int>(read.type);
        std::copy(read.id.bytes.begin(), read.id.bytes.end(), id);
        return {};
    });
}

int caisson_e2e_open_client(caisson_chamber* chamber, uint32_t key, int order, const uint8_t* server_key,
                            uint32_t* session)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || server_key == nullptr || session == nullptr) {
            return null_pointer();
        }
        ByteArray<sizeof *session> output;
        TRY(chamber->inside->ask(Request::e2e_open_client,
                                 {Number(key), Number(static_cast<std::uint32_t>(order)), key_view(server_key)},
                                 MutableBytes(output)));
        std::memcpy(session, output.data(), sizeof *session);
        return {};
    });
}

int caisson_e2e_produce_hello(caisson_chamber* chamber, uint32_t session, uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::e2e_produce_hello, {Number(session)}, {out, out_size});
}

int caisson_e2e_process_hello(caisson_chamber* chamber, uint32_t key, const uint8_t* hello, size_t hello_size,
                              uint8_t* welcome, size_t* welcome_size)
{
    return answer(chamber, Request::e2e_process_hello, {Number(key), view(hello, hello_size)}, {welcome, welcome_size});
}

int caisson_e2e_process_welcome(caisson_chamber* chamber, uint32_t session, const uint8_t* welcome, size_t size)
{
    return say(chamber, Request::e2e_process_welcome, {Number(session), view(welcome, size)});
}

int caisson_e2e_produce_initiate(caisson_chamber* chamber, uint32_t session, int order, const uint8_t* metadata,
                                 size_t metadata_size, uint8_t* out, size_t* out_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || out == nullptr || out_size == nullptr) {
            return null_pointer();
        }
        const auto property = library::own_property(static_cast<e2e::Order>(order == CAISSON_WINDOW ? 1 : 0));
        *out_size = TRY(chamber->inside->ask(Request::e2e_produce_initiate,
                                             {Number(session), property, view(metadata, metadata_size)},
                                             MutableBytes(out, *out_size)));
        return {};
    });
}

int caisson_e2e_process_initiate(caisson_chamber* chamber, uint32_t key, const uint8_t* initiate, size_t size,
                                 uint32_t* session, uint8_t* client_key, uint8_t* id, uint8_t* metadata,
                                 size_t* metadata_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || session == nullptr || client_key == nullptr || id == nullptr) {
            return null_pointer();
        }
        const auto initiated = TRY(library::process_initiate(*chamber->inside, key, view(initiate, size)));
        *session = initiated.session;
        std::copy(initiated.client.bytes.begin(), initiated.client.bytes.end(), client_key);
        std::copy(initiated.id.bytes.begin(), initiated.id.bytes.end(), id);
        return copy_out(initiated.metadata, {metadata, metadata_size});
    });
}

int caisson_e2e_produce_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* metadata, size_t metadata_size,
                              uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::e2e_produce_ready, {Number(session), view(metadata, metadata_size)},
                  {out, out_size});
}

int caisson_e2e_process_ready(caisson_chamber* chamber, uint32_t session, const uint8_t* ready, size_t size,
                              uint8_t* id, uint8_t* metadata, size_t* metadata_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || id == nullptr) {
            return null_pointer();
        }
        const auto read =
            TRY(chamber->inside->ask(Request::e2e_process_ready, {Number(session), view(ready, size)}, size + 64));
        std::copy_n(read.begin(), CAISSON_E2E_ID_BYTES, id);
        return copy_out(Bytes(read).subspan(CAISSON_E2E_ID_BYTES), {metadata, metadata_size});
    });
}

int caisson_e2e_produce_message(caisson_chamber* chamber, uint32_t session, uint32_t flags, const uint8_t* text,
                                size_t text_size, uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::e2e_produce_message, {Number(session), Number(flags), view(text, text_size)},
                  {out, out_size});
}

int caisson_e2e_process_message(caisson_chamber* chamber, uint32_t session, const uint8_t* packet, size_t size,
                                uint32_t* flags, uint64_t* counter, uint8_t* text, size_t* text_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || flags == nullptr || counter == nullptr) {
            return null_pointer();
        }
        const auto opened =
            TRY(chamber->inside->ask(Request::e2e_process_message, {Number(session), view(packet, size)}, size + 64));
        Reader reader(opened);
        *flags = TRY(reader.read_le<std::uint32_t>());
        *counter = TRY(reader.read_le<std::uint64_t>());
        return copy_out(reader.rest(), {text, text_size});
    });
}

int caisson_e2e_produce_fanout(caisson_chamber* chamber, const uint32_t* sessions, size_t session_count, uint32_t flags,
                               const uint8_t* text, size_t text_size, uint8_t* out, size_t* out_size)
{
    static_assert(sizeof(std::uint32_t) == sizeof *sessions);
    const Bytes numbers(reinterpret_cast<const std::uint8_t*>(sessions),
                        sessions == nullptr ? 0 : session_count * sizeof *sessions);
    return answer(chamber, Request::e2e_produce_fanout,
                  {Number(flags), Number(static_cast<std::uint32_t>(session_count)), numbers, view(text, text_size)},
                  {out, out_size});
}

int caisson_e2e_rekey(caisson_chamber* chamber, uint32_t session)
{
    return say(chamber, Request::e2e_rekey, {Number(session)});
}

int caisson_e2e_close_session(caisson_chamber* chamber, uint32_t session)
{
    return say(chamber, Request::e2e_close_session, {Number(session)});
}

int caisson_e2e_allow_sender(caisson_chamber* chamber, uint32_t key, const uint8_t* sender)
{
    return say(chamber, Request::e2e_allow_sender, {Number(key), key_view(sender)});
}

int caisson_e2e_refuse_sender(caisson_chamber* chamber, uint32_t key, const uint8_t* sender)
{
    return say(chamber, Request::e2e_refuse_sender, {Number(key), key_view(sender)});
}

int caisson_e2e_produce_letter(caisson_chamber* chamber, uint32_t key, const uint8_t* recipients,
                               size_t recipient_count, uint32_t flags, const uint8_t* text, size_t text_size,
                               uint8_t* out, size_t* out_size)
{
    return answer(chamber, Request::e2e_produce_letter,
                  {Number(key), LongNumber(library::clock_us()), Number(flags),
                   Number(static_cast<std::uint32_t>(recipient_count)),
                   view(recipients, recipient_count * CAISSON_KEY_BYTES), view(text, text_size)},
                  {out, out_size});
}

int caisson_e2e_process_letter(caisson_chamber* chamber, uint32_t key, const uint8_t* letter, size_t size,
                               uint8_t* sender, uint64_t* number, uint32_t* flags, uint8_t* text, size_t* text_size)
{
    return guarded([&]() -> Done {
        if (chamber == nullptr || sender == nullptr || number == nullptr || flags == nullptr) {
            return null_pointer();
        }
        const auto opened = TRY(library::process_letter(*chamber->inside, key, view(letter, size)));
        std::copy(opened.sender.bytes.begin(), opened.sender.bytes.end(), sender);
        *number = opened.number;
        *flags = opened.flags;
        return copy_out(opened.text, {text, text_size});
    });
}

int caisson_e2e_seal_sender(caisson_chamber* chamber, uint32_t key, const uint8_t* sender, uint8_t* out,
                            size_t* out_size)
{
    return answer(chamber, Request::e2e_seal_sender, {Number(key), key_view(sender)}, {out, out_size});
}

int caisson_e2e_unseal_sender(caisson_chamber* chamber, uint32_t key, const uint8_t* sender, const uint8_t* sealed,
                              size_t sealed_size)
{
    return say(chamber, Request::e2e_unseal_sender, {Number(key), key_view(sender), view(sealed, sealed_size)});
}
}
