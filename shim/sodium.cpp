#include "shim/sodium.hpp"

#include "airlock/curve/requests.hpp"
#include "shim/door.hpp"
#include "shim/large.hpp"
#include "shim/notice.hpp"
#include "shim/raw_keys.hpp"

#include <cstring>

#include <sys/prctl.h>

namespace caisson::shim {
namespace {

using airlock::curve::Request;

constexpr std::size_t key_bytes = 32;
constexpr std::size_t nonce_bytes = 24;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t message_zero_bytes = 32; // NaCl: before a message
constexpr std::size_t box_zero_bytes = 16;     // NaCl: before a box
constexpr int done = 0;
constexpr int refused = -1;

// [SHIM-6] Stands for a key the chamber would not make. It is no handle of the chamber: those are random, or digests.
constexpr char dead_handle[key_bytes + 1] = "caisson: the chamber refused key";

constinit Door door{RingPlace{}};

void before_fork()
{
    door.before_fork();
}
void after_fork_in_parent()
{
    door.after_fork_in_parent();
}
void after_fork_in_child()
{
    door.after_fork_in_child();
}

// The environment is read before the program can change it; nothing is mapped before the first call.
[[gnu::constructor]] void begin() noexcept
{
    door.place_at(ring_place_from_environment());
    read_whether_raw_keys_are_allowed();
    ::pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

struct Keys {
    const unsigned char* handle;
    const unsigned char* public_key; // null: `handle` is the shared key of a pair
};

Bytes key_view(const unsigned char* key) noexcept
{
    return {key, key_bytes};
}

bool is_dead(const unsigned char* handle) noexcept
{
    return std::memcmp(handle, dead_handle, key_bytes) == 0;
}

// [SHIM-15] The key was of a chamber that has ended, or the request was with it when it ended.
bool is_lost(Kind kind) noexcept
{
    return (kind == Kind::missing || kind == Kind::unavailable) && door.was_restarted();
}

// [SHIM-4] A secret the chamber does not know is `missing`, and that never passes. A shared key it does not know any
// more had to give way to others.
bool is_passing(Kind kind, Request request) noexcept
{
    return kind == Kind::expired || kind == Kind::exhausted || is_lost(kind) ||
           (kind == Kind::missing && request == Request::box_afternm);
}

// [SHIM-15] A libzmq client for which a message does not open gives its connection up for good. What stands here
// instead of a message that nobody can open any more is a PING that wants an answer within 100 ms: the answer is a box
// of zeros, at which the server closes, or nothing comes, and either way the client connects anew. For want of room, a
// command without a name, which libzmq passes over.
bool write_ping(MutableBytes text) noexcept
{
    constexpr ByteArray<8> ping{2, 4, 'P', 'I', 'N', 'G', 0, 1}; // flags: a command; its time to live last
    constexpr std::size_t nameless = 2;
    if (text.size() < nameless) {
        return false;
    }
    std::memset(text.data(), 0, text.size());
    copy_bytes(text, Bytes(ping).first(text.size() < ping.size() ? 1 : ping.size()));
    return true;
}

// READY is metadata: one property without a name, whose value fills it. libzmq takes that for an open connection, and
// closes none for good; what is sealed or comes there ends it as above.
bool write_empty_property(MutableBytes metadata) noexcept
{
    constexpr std::size_t head = 1 + sizeof(std::uint32_t); // sizes of name and value
    if (metadata.size() < head) {
        return false;
    }
    std::memset(metadata.data(), 0, metadata.size());
    const auto value_bytes = __builtin_bswap32(static_cast<std::uint32_t>(metadata.size() - head));
    std::memcpy(&metadata[1], &value_bytes, sizeof value_bytes);
    return true;
}

// The same for WELCOME, which brings a key and a cookie: with zeros for them the client's INITIATE is refused.
bool write_stand_in(const unsigned char* nonce, const Keys& keys, MutableBytes text) noexcept
{
    constexpr char message[] = "CurveZMQMESSAGES"; // to a client
    constexpr char ready[] = "CurveZMQREADY---";
    constexpr char welcome[] = "WELCOME-";
    if (keys.public_key == nullptr && std::memcmp(nonce, message, sizeof message - 1) == 0) {
        return write_ping(text);
    }
    if (keys.public_key == nullptr && std::memcmp(nonce, ready, sizeof ready - 1) == 0) {
        return write_empty_property(text);
    }
    if (keys.public_key != nullptr && std::memcmp(nonce, welcome, sizeof welcome - 1) == 0) {
        std::memset(text.data(), 0, text.size());
        return true;
    }
    return false;
}

void tell(Kind kind, Request request) noexcept
{
    if (is_passing(kind, request)) {
        return notice_once(Notice::refused);
    }
    switch (kind) {
    case Kind::unavailable: return notice_once(Notice::no_chamber);
    case Kind::missing: return notice_once(Notice::unknown_secret);
    case Kind::unauthentic: return; // a box that does not open is a peer's affair
    default: return notice_once(Notice::refused);
    }
}

Result<std::size_t> ask(Request request, std::initializer_list<Bytes> parts,
                        std::initializer_list<MutableBytes> outputs) noexcept
{
    auto answer = door.ask(number(request), parts, outputs);
    if (!answer) {
        tell(answer.error().kind, request);
    }
    return answer;
}

// [SHIM-4] Whether a secret that the chamber does not know is used as it is, and by whom: by the chamber, as a
// long-term key, where CURVE uses one; here where CURVE has no part.
enum class RawUse : std::uint8_t { none, in_chamber, here };

RawUse raw_use(const Error& error, Request request, const unsigned char* nonce) noexcept
{
    if (!raw_keys_allowed() || error.kind != Kind::missing) {
        return RawUse::none;
    }
    const bool with_secret = request == Request::box || request == Request::box_open;
    switch (nonce_use(nonce)) {
    case NonceUse::long_term: return with_secret ? RawUse::in_chamber : RawUse::none;
    case NonceUse::none: return RawUse::here;
    case NonceUse::other_curve: break; // a handle whose key has ended is no key
    }
    return RawUse::none;
}

Result<std::size_t> ask_seal(Request request, const Keys& keys, const unsigned char* nonce, Bytes message,
                             MutableBytes tag, MutableBytes ciphertext) noexcept
{
    const Bytes nonce_view{nonce, nonce_bytes};
    return keys.public_key == nullptr
               ? door.ask(number(request), {key_view(keys.handle), nonce_view, message}, {tag, ciphertext})
               : door.ask(number(request), {key_view(keys.handle), key_view(keys.public_key), nonce_view, message},
                          {tag, ciphertext});
}

Result<std::size_t> ask_open(Request request, const Keys& keys, const unsigned char* nonce, Bytes tag, Bytes ciphertext,
                             MutableBytes message) noexcept
{
    const Bytes nonce_view{nonce, nonce_bytes};
    return keys.public_key == nullptr
               ? door.ask(number(request), {key_view(keys.handle), nonce_view, tag, ciphertext}, {message})
               : door.ask(number(request),
                          {key_view(keys.handle), key_view(keys.public_key), nonce_view, tag, ciphertext}, {message});
}

bool import_raw(const Keys& keys) noexcept
{
    return door.ask(number(Request::import_raw), {key_view(keys.handle)}, {}).has_value();
}

// [SHIM-3] Tag and ciphertext of `message`, which may lie where they go.
int encrypt(unsigned char* tag, unsigned char* ciphertext, Bytes message, const unsigned char* nonce,
            const Keys& keys) noexcept
{
    const auto request = keys.public_key == nullptr ? Request::box_afternm : Request::box;
    const MutableBytes tag_view{tag, tag_bytes};
    const MutableBytes ciphertext_view{ciphertext, message.size()};
    const bool large = message.size() > request_text_bytes_max;
    Result<std::size_t> answer = fail(Kind::expired, "a key the chamber refused to make");
    if (!is_dead(keys.handle)) {
        const auto seal = [&] {
            return large ? seal_large(door, {key_view(keys.handle), {nonce, nonce_bytes}, keys.public_key != nullptr},
                                      message, tag_view, ciphertext_view)
                         : ask_seal(request, keys, nonce, message, tag_view, ciphertext_view);
        };
        answer = seal();
        const auto use = answer ? RawUse::none : raw_use(answer.error(), request, nonce);
        if (use == RawUse::here) {
            return raw_seal(tag, ciphertext, message, nonce, {keys.handle, keys.public_key});
        }
        if (use == RawUse::in_chamber && import_raw(keys)) {
            answer = seal();
        }
    }
    if (answer) {
        return *answer == tag_bytes + message.size() ? done : refused;
    }
    tell(answer.error().kind, request);
    // [SHIM-6] libzmq aborts the program when encryption fails. What has to end is the connection: its peer gets
    // zeros, which no key opens.
    std::memset(tag, 0, tag_bytes);
    if (!message.empty()) {
        std::memset(ciphertext, 0, message.size());
    }
    return is_passing(answer.error().kind, request) ? done : refused;
}

int decrypt(unsigned char* message, const unsigned char* tag, Bytes ciphertext, const unsigned char* nonce,
            const Keys& keys) noexcept
{
    if (is_dead(keys.handle)) {
        return refused;
    }
    const auto request = keys.public_key == nullptr ? Request::box_open_afternm : Request::box_open;
    const Bytes tag_view{tag, tag_bytes};
    const MutableBytes message_view{message, ciphertext.size()};
    const auto open = [&] {
        return ciphertext.size() > request_text_bytes_max
                   ? open_large(door, {key_view(keys.handle), {nonce, nonce_bytes}, keys.public_key != nullptr},
                                tag_view, ciphertext, message_view)
                   : ask_open(request, keys, nonce, tag_view, ciphertext, message_view);
    };
    auto answer = open();
    const auto use = answer ? RawUse::none : raw_use(answer.error(), request, nonce);
    if (use == RawUse::here) {
        return raw_open(message, tag, ciphertext, nonce, {keys.handle, keys.public_key});
    }
    if (use == RawUse::in_chamber && import_raw(keys)) {
        answer = open();
    }
    if (!answer) {
        tell(answer.error().kind, request);
        if (is_lost(answer.error().kind) && write_stand_in(nonce, keys, message_view)) {
            return done;
        }
    }
    return answer && *answer == ciphertext.size() ? done : refused;
}

int encrypt_nacl(unsigned char* box, const unsigned char* message, unsigned long long size, const unsigned char* nonce,
                 const Keys& keys) noexcept
{
    if (size < message_zero_bytes) {
        return refused;
    }
    const Bytes text{message + message_zero_bytes, size - message_zero_bytes};
    const int result = encrypt(box + box_zero_bytes, box + box_zero_bytes + tag_bytes, text, nonce, keys);
    std::memset(box, 0, box_zero_bytes);
    return result;
}

int decrypt_nacl(unsigned char* message, const unsigned char* box, unsigned long long size, const unsigned char* nonce,
                 const Keys& keys) noexcept
{
    if (size < box_zero_bytes + tag_bytes) {
        return refused;
    }
    const unsigned char* tag = box + box_zero_bytes;
    const Bytes ciphertext{tag + tag_bytes, size - box_zero_bytes - tag_bytes};
    const int result = decrypt(message + message_zero_bytes, tag, ciphertext, nonce, keys);
    if (result == done) {
        std::memset(message, 0, message_zero_bytes);
    }
    return result;
}

int decrypt_easy(unsigned char* message, const unsigned char* box, unsigned long long size, const unsigned char* nonce,
                 const Keys& keys) noexcept
{
    return size < tag_bytes ? refused : decrypt(message, box, {box + tag_bytes, size - tag_bytes}, nonce, keys);
}

// [SHIM-12] libzmq makes transient keys on its own threads, which it names; a key to keep is made on a program's.
bool is_libzmq_thread() noexcept
{
    constexpr char libzmq_name[] = "ZMQbg";
    char name[16] = {};
    return ::prctl(PR_GET_NAME, name) == 0 && std::memcmp(name, libzmq_name, sizeof libzmq_name - 1) == 0;
}

} // namespace
} // namespace caisson::shim

using caisson::Bytes;
using caisson::Kind;
using caisson::MutableBytes;
using caisson::airlock::curve::Request;
namespace shim = caisson::shim;

int crypto_box_keypair(unsigned char* public_key, unsigned char* handle)
{
    const MutableBytes public_view{public_key, shim::key_bytes};
    const MutableBytes handle_view{handle, shim::key_bytes};
    const std::uint32_t flags = shim::is_libzmq_thread() ? 0 : caisson::airlock::curve::keypair_lasting;
    const Bytes flags_view{reinterpret_cast<const std::uint8_t*>(&flags), sizeof flags};
    const auto answer = shim::ask(Request::box_keypair, {flags_view}, {public_view, handle_view});
    if (answer) {
        return *answer == 2 * shim::key_bytes ? shim::done : shim::refused;
    }
    std::memset(public_key, 0, shim::key_bytes);
    std::memcpy(handle, shim::dead_handle, shim::key_bytes);
    return shim::is_passing(answer.error().kind, Request::box_keypair) ? shim::done : shim::refused; // [SHIM-6]
}

int crypto_scalarmult_base(unsigned char* public_key, const unsigned char* handle)
{
    std::memset(public_key, 0, shim::key_bytes); // zmq_curve_public does not look at what is returned
    if (shim::is_dead(handle)) {
        return shim::refused;
    }
    const auto answer = shim::door.ask(shim::number(Request::scalarmult_base), {shim::key_view(handle)},
                                       {MutableBytes{public_key, shim::key_bytes}});
    if (!answer && answer.error().kind == Kind::missing && shim::raw_keys_allowed()) {
        return shim::raw_public_key(public_key, handle);
    }
    if (!answer) {
        shim::tell(answer.error().kind, Request::scalarmult_base);
    }
    return answer && *answer == shim::key_bytes ? shim::done : shim::refused;
}

int crypto_box_beforenm(unsigned char* shared, const unsigned char* public_key, const unsigned char* handle)
{
    if (!shim::is_dead(handle)) {
        const auto answer =
            shim::door.ask(shim::number(Request::beforenm), {shim::key_view(handle), shim::key_view(public_key)},
                           {MutableBytes{shared, shim::key_bytes}});
        if (answer) {
            return *answer == shim::key_bytes ? shim::done : shim::refused;
        }
        if (answer.error().kind == Kind::missing && shim::raw_keys_allowed()) {
            return shim::raw_shared_key(shared, public_key, handle); // CURVE makes none with a long-term key
        }
        shim::tell(answer.error().kind, Request::beforenm);
        const bool known = answer.error().kind != Kind::missing && answer.error().kind != Kind::unavailable;
        if (!known && !shim::is_lost(answer.error().kind)) {
            return shim::refused;
        }
    }
    // [SHIM-6] The public key is the peer's choice, and libzmq aborts when this fails: a peer must not stop the
    // program.
    std::memcpy(shared, shim::dead_handle, shim::key_bytes);
    return shim::done;
}

int crypto_box(unsigned char* box, const unsigned char* message, unsigned long long size, const unsigned char* nonce,
               const unsigned char* public_key, const unsigned char* handle)
{
    return shim::encrypt_nacl(box, message, size, nonce, {handle, public_key});
}

int crypto_box_open(unsigned char* message, const unsigned char* box, unsigned long long size,
                    const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle)
{
    return shim::decrypt_nacl(message, box, size, nonce, {handle, public_key});
}

int crypto_box_afternm(unsigned char* box, const unsigned char* message, unsigned long long size,
                       const unsigned char* nonce, const unsigned char* shared)
{
    return shim::encrypt_nacl(box, message, size, nonce, {shared, nullptr});
}

int crypto_box_open_afternm(unsigned char* message, const unsigned char* box, unsigned long long size,
                            const unsigned char* nonce, const unsigned char* shared)
{
    return shim::decrypt_nacl(message, box, size, nonce, {shared, nullptr});
}

int crypto_box_easy(unsigned char* box, const unsigned char* message, unsigned long long size,
                    const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle)
{
    return shim::encrypt(box, box + shim::tag_bytes, {message, size}, nonce, {handle, public_key});
}

int crypto_box_open_easy(unsigned char* message, const unsigned char* box, unsigned long long size,
                         const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle)
{
    return shim::decrypt_easy(message, box, size, nonce, {handle, public_key});
}

int crypto_box_easy_afternm(unsigned char* box, const unsigned char* message, unsigned long long size,
                            const unsigned char* nonce, const unsigned char* shared)
{
    return shim::encrypt(box, box + shim::tag_bytes, {message, size}, nonce, {shared, nullptr});
}

int crypto_box_open_easy_afternm(unsigned char* message, const unsigned char* box, unsigned long long size,
                                 const unsigned char* nonce, const unsigned char* shared)
{
    return shim::decrypt_easy(message, box, size, nonce, {shared, nullptr});
}

int crypto_box_detached(unsigned char* box, unsigned char* tag, const unsigned char* message, unsigned long long size,
                        const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle)
{
    return shim::encrypt(tag, box, {message, size}, nonce, {handle, public_key});
}

int crypto_box_open_detached(unsigned char* message, const unsigned char* box, const unsigned char* tag,
                             unsigned long long size, const unsigned char* nonce, const unsigned char* public_key,
                             const unsigned char* handle)
{
    return shim::decrypt(message, tag, {box, size}, nonce, {handle, public_key});
}

int crypto_box_detached_afternm(unsigned char* box, unsigned char* tag, const unsigned char* message,
                                unsigned long long size, const unsigned char* nonce, const unsigned char* shared)
{
    return shim::encrypt(tag, box, {message, size}, nonce, {shared, nullptr});
}

int crypto_box_open_detached_afternm(unsigned char* message, const unsigned char* box, const unsigned char* tag,
                                     unsigned long long size, const unsigned char* nonce, const unsigned char* shared)
{
    return shim::decrypt(message, tag, {box, size}, nonce, {shared, nullptr});
}
