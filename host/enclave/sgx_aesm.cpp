#include "host/enclave/sgx_aesm.hpp"

#include "core/wire.hpp"
#include "host/enclave/shared_memory.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

namespace caisson::host::enclave {
namespace {

using Buffer = std::vector<std::uint8_t>;

constexpr std::uint32_t message_bytes_max = 65536;
constexpr std::uint32_t quote_bytes_max = 32768;
constexpr std::uint32_t timeout_us = 15'000'000; // the first quote makes a key and may fetch collateral
constexpr time_t socket_timeout_s = 20;

// Field numbers of Intel's messages; a request and its response have the same.
constexpr std::uint32_t init_quote_ex = 15;
constexpr std::uint32_t get_quote_size_ex = 16;
constexpr std::uint32_t get_quote_ex = 17;
constexpr std::uint32_t timeout_field = 9;
constexpr std::uint32_t certification_pck_chain = 5;

// ECDSA P-256 by Intel's quoting enclave (sgx_ql_att_key_id_t with algorithm 2, in sgx_att_key_id_ext_t).
ByteArray<256> ecdsa_key_id() noexcept
{
    constexpr ByteArray<32> qe_signer{0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f,
                                      0x77, 0xc6, 0x8a, 0x82, 0x9a, 0x00, 0x56, 0xac, 0x8d, 0xed, 0x70,
                                      0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
    ByteArray<256> id{};
    Writer writer(id);
    writer.write_le<std::uint16_t>(0);  // id
    writer.write_le<std::uint16_t>(0);  // version
    writer.write_le<std::uint16_t>(32); // length of the signer
    writer.write_bytes(qe_signer);
    writer.advance(16);                // up to 48 octets of signer
    writer.write_le<std::uint32_t>(1); // product of the quoting enclave
    writer.advance(16 + 64 + 16);      // extended product, config id, family id
    writer.write_le<std::uint32_t>(2); // ECDSA P-256
    return id;
}

class Message {
  public:
    void number(std::uint32_t field, std::uint64_t value)
    {
        varint(std::uint64_t{field} << 3U);
        varint(value);
    }
    void bytes(std::uint32_t field, Bytes value)
    {
        varint(std::uint64_t{field} << 3U | 2U);
        varint(value.size());
        out_.insert(out_.end(), value.begin(), value.end());
    }
    [[nodiscard]] const Buffer& written() const noexcept { return out_; }

  private:
    void varint(std::uint64_t value)
    {
        for (; value >= 0x80; value >>= 7U) {
            out_.push_back(static_cast<std::uint8_t>(value | 0x80U));
        }
        out_.push_back(static_cast<std::uint8_t>(value));
    }

    Buffer out_;
};

Result<std::uint64_t> read_varint(Reader& reader) noexcept
{
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const auto octet = TRY(reader.read_le<std::uint8_t>());
        value |= std::uint64_t{octet & 0x7fU} << shift;
        if ((octet & 0x80U) == 0) {
            return value;
        }
    }
    return fail(Kind::malformed, "AESM: a number that does not end");
}

struct Field {
    std::uint64_t number = 0;
    Bytes bytes;
    bool there = false;
};

// The last field of this number; numbers and byte strings are all that AESM's messages have.
Result<Field> field_of(Bytes message, std::uint32_t wanted) noexcept
{
    Field found;
    Reader reader(message);
    while (!reader.rest().empty()) {
        const auto key = TRY(read_varint(reader));
        Field field;
        field.there = true;
        field.number = TRY(read_varint(reader));
        if ((key & 7U) == 2) {
            field.bytes = TRY(reader.read_bytes(field.number));
        } else if ((key & 7U) != 0) {
            return fail(Kind::malformed, "AESM: a field of a type that its messages do not have");
        }
        if (key >> 3U == wanted) {
            found = field;
        }
    }
    return found;
}

// The response inside, its error code looked at.
Outcome<Bytes> response_of(Bytes message, std::uint32_t kind)
{
    const auto response = TRY(field_of(message, kind));
    const auto code = TRY(field_of(response.bytes, 1));
    if (!response.there || !code.there) {
        return fault(Kind::malformed, "AESM answered something that was not asked");
    }
    if (code.number != 0) {
        return fault(Kind::unavailable, "AESM refuses with error " + std::to_string(code.number) +
                                            "; look at the log of aesmd, and whether libsgx-aesm-ecdsa-plugin and a "
                                            "default quote provider (PCCS) are installed");
    }
    return response.bytes;
}

bool send_all(int socket, Bytes bytes) noexcept
{
    while (!bytes.empty()) {
        const auto sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
}

bool receive_all(int socket, MutableBytes bytes) noexcept
{
    while (!bytes.empty()) {
        const auto received = ::recv(socket, bytes.data(), bytes.size(), 0);
        if (received <= 0) {
            return false;
        }
        bytes = bytes.subspan(static_cast<std::size_t>(received));
    }
    return true;
}

Buffer request_of(std::uint32_t kind, const Message& inner)
{
    Message request;
    request.bytes(kind, inner.written());
    return request.written();
}

} // namespace

Outcome<std::vector<std::uint8_t>> Aesm::over_socket(const std::filesystem::path& place, Bytes request)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = place.string();
    if (path.size() >= sizeof address.sun_path) {
        return fault(Kind::malformed, "the path of the AESM socket is too long: " + path);
    }
    path.copy(address.sun_path, path.size());
    const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval timeout{socket_timeout_s, 0};
    ::setsockopt(socket.number(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    ::setsockopt(socket.number(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (::connect(socket.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fault(Kind::unavailable, "connecting to AESM at " + path + ": " + std::strerror(errno) +
                                            "; install and start aesmd (package sgx-aesm-service of Intel)");
    }
    ByteArray<4> head{};
    Writer(head).write_le(static_cast<std::uint32_t>(request.size()));
    if (!send_all(socket.number(), head) || !send_all(socket.number(), request) ||
        !receive_all(socket.number(), head)) {
        return fault(Kind::unavailable, "AESM at " + path + " does not answer");
    }
    const auto size = TRY(Reader(head).read_le<std::uint32_t>());
    if (size == 0 || size > message_bytes_max) {
        return fault(Kind::malformed, "AESM's answer has " + std::to_string(size) + " bytes; at most " +
                                          std::to_string(message_bytes_max) + " are expected");
    }
    Buffer answer(size);
    if (!receive_all(socket.number(), answer)) {
        return fault(Kind::truncated, "AESM's answer ends too early");
    }
    return answer;
}

Outcome<protocol::sgx::TargetInfo> Aesm::target() const
{
    // Once for the size of the public key's id, once for the id itself: then the attestation key exists.
    std::uint64_t id_bytes = 0;
    for (const bool with_id : {false, true}) {
        Message inner;
        inner.bytes(1, ecdsa_key_id());
        inner.number(2, certification_pck_chain);
        inner.number(3, 0); // do not make a new key
        inner.number(4, with_id ? 1 : 0);
        if (with_id) {
            inner.number(5, id_bytes);
        }
        inner.number(timeout_field, timeout_us);
        const auto answer = TRY(exchange_(request_of(init_quote_ex, inner)));
        const auto response = TRY(response_of(answer, init_quote_ex));
        if (!with_id) {
            const auto size = TRY(field_of(response, 3));
            if (!size.there || size.number > 1024) {
                return fault(Kind::malformed, "AESM: the id of a key has no size, or an impossible one");
            }
            id_bytes = size.number;
            continue;
        }
        const auto target = TRY(field_of(response, 2));
        protocol::sgx::TargetInfo info{};
        if (target.bytes.size() != sizeof info) {
            return fault(Kind::malformed, "AESM: a TARGETINFO has 512 bytes");
        }
        std::memcpy(&info, target.bytes.data(), sizeof info);
        return info;
    }
    return fault(Kind::unavailable, "AESM gave no target");
}

Outcome<std::vector<std::uint8_t>> Aesm::quote(const protocol::sgx::Report& report) const
{
    Message size_inner;
    size_inner.bytes(1, ecdsa_key_id());
    size_inner.number(2, certification_pck_chain);
    size_inner.number(timeout_field, timeout_us);
    const auto size_answer = TRY(exchange_(request_of(get_quote_size_ex, size_inner)));
    const auto size_response = TRY(response_of(size_answer, get_quote_size_ex));
    const auto size = TRY(field_of(size_response, 2));
    if (!size.there || size.number == 0 || size.number > quote_bytes_max) {
        return fault(Kind::malformed, "AESM: a quote has an impossible size");
    }
    Message inner;
    inner.bytes(1, {reinterpret_cast<const std::uint8_t*>(&report), sizeof report});
    inner.bytes(2, ecdsa_key_id());
    inner.number(4, size.number);
    inner.number(timeout_field, timeout_us);
    const auto answer = TRY(exchange_(request_of(get_quote_ex, inner)));
    const auto response = TRY(response_of(answer, get_quote_ex));
    const auto quote = TRY(field_of(response, 2));
    if (quote.bytes.empty() || quote.bytes.size() > quote_bytes_max) {
        return fault(Kind::malformed, "AESM: there is no quote in the answer");
    }
    return Buffer(quote.bytes.begin(), quote.bytes.end());
}

} // namespace caisson::host::enclave
