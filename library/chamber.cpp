#include "library/chamber.hpp"

#include "core/text.hpp"
#include "core/wire.hpp"
#include "host/enclave/platform_text.hpp"
#include "host/enclave/root.hpp"
#include "host/store/durable_file.hpp"
#include "host/store/key_store.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include <dlfcn.h>
#include <unistd.h>

namespace caisson::library {
namespace {

using host::enclave::Enclave;
using host::enclave::LoadedCurveKey;

constexpr std::chrono::milliseconds fed_wait{2000};

std::filesystem::path default_home()
{
    if (const char* given = std::getenv("CAISSON_HOME"); given != nullptr && *given != '\0') {
        return given;
    }
    const char* user_home = std::getenv("HOME");
    if (::geteuid() == 0 || user_home == nullptr) {
        return "/var/lib/caisson";
    }
    return std::filesystem::path(user_home) / ".local" / "share" / "caisson";
}

// Beside this library, as in a build, or in the folder `caisson` beside it, as installed.
std::filesystem::path images_folder()
{
    if (const char* given = std::getenv("CAISSON_IMAGES"); given != nullptr && *given != '\0') {
        return given;
    }
    Dl_info facts{};
    std::error_code error;
    if (::dladdr(reinterpret_cast<const void*>(&caisson_version), &facts) != 0 && facts.dli_fname != nullptr) {
        const auto folder = std::filesystem::canonical(facts.dli_fname, error).parent_path();
        for (const auto& candidate : {folder, folder / "caisson"}) {
            if (std::filesystem::exists(candidate / "caisson-loader", error)) {
                return candidate;
            }
        }
    }
    return host::enclave::find_images();
}

} // namespace

Outcome<std::unique_ptr<Chamber>> Chamber::open(std::filesystem::path home)
{
    if (home.empty()) {
        home = default_home();
    }
    TRY(host::store::make_folder(home, 0700));
    const auto root = TRY(host::enclave::Root::open_file(home / "root.key"));
    host::enclave::EnclaveOptions options;
    options.images = images_folder();
    options.waiting = host::enclave::Waiting::beside; // who calls waits for each answer
    auto enclave = TRY(Enclave::open(options, root));
    return std::unique_ptr<Chamber>(new Chamber(std::move(home), std::move(enclave)));
}

Outcome<std::size_t> Chamber::ask(Request request, std::initializer_list<Bytes> parts, MutableBytes output)
{
    std::size_t size = 0;
    for (const auto& part : parts) {
        size += part.size();
    }
    Buffer input(size);
    Writer writer(input);
    for (const auto& part : parts) {
        writer.write_bytes(part);
    }
    return TRY(enclave_->call(static_cast<std::uint32_t>(request), input, output));
}

Outcome<Buffer> Chamber::ask(Request request, std::initializer_list<Bytes> parts, std::size_t room)
{
    Buffer output(room);
    output.resize(TRY(ask(request, parts, MutableBytes(output))));
    return output;
}

Outcome<LoadedCurveKey> Chamber::import_sealed(Bytes sealed)
{
    auto key = TRY(host::enclave::CurveChamber(*enclave_).import_sealed(sealed));
    note(key);
    return key;
}

Outcome<LoadedCurveKey> Chamber::load_key(const std::string& name)
{
    const auto record = TRY(host::store::KeyStore(home_).load(name));
    auto key = import_sealed(record.sealed);
    if (!key) {
        return fault(key.error().kind, "key " + name + ": " + key.error().what);
    }
    return key;
}

void Chamber::note(const LoadedCurveKey& key)
{
    const std::scoped_lock lock(mutex_);
    keys_[key.id] = {key.public_key, key.gated};
    if (!key.gated) {
        return;
    }
    const host::net::FedKey fed{key.id, key.public_key};
    if (feeder_ == nullptr) {
        feeder_ = std::make_unique<host::net::TrustFeeder>(*enclave_, home_ / "agent" / "agent.sock",
                                                           std::vector<host::net::FedKey>{fed});
        feeder_->wait_until_fed(fed_wait); // without an agent the gate stays shut, and says so
    } else {
        feeder_->add_key(fed);
    }
}

Outcome<KeyFacts> Chamber::facts_of(std::uint32_t key)
{
    const std::scoped_lock lock(mutex_);
    const auto found = keys_.find(key);
    if (found == keys_.end()) {
        return fault(Kind::missing, "there is no such key in the chamber; load one first");
    }
    return found->second;
}

void Chamber::forget(std::uint32_t key)
{
    const std::scoped_lock lock(mutex_);
    keys_.erase(key);
}

std::string Chamber::describe() const
{
    return guard_text(guard_of(enclave_->facts()));
}

host::net::TrustFeeder* Chamber::feeder_of(std::uint32_t own_key)
{
    const std::scoped_lock lock(mutex_);
    const auto found = keys_.find(own_key);
    return found != keys_.end() && found->second.gated ? feeder_.get() : nullptr;
}

void Chamber::keep_peer(std::uint32_t own_key, const CurveKey& peer)
{
    if (auto* feeder = feeder_of(own_key); feeder != nullptr) {
        feeder->keep_peer(peer);
    }
}

void Chamber::release_peer(std::uint32_t own_key, const CurveKey& peer)
{
    if (auto* feeder = feeder_of(own_key); feeder != nullptr) {
        feeder->release_peer(peer);
    }
}

void Chamber::want_peer(std::uint32_t own_key, const CurveKey& peer)
{
    if (auto* feeder = feeder_of(own_key); feeder != nullptr) {
        feeder->want_peer(peer);
    }
}

} // namespace caisson::library

namespace {

using namespace caisson;
using library::guarded;
using library::Number;
using library::Request;

} // namespace

extern "C" {

int caisson_open(const char* home, caisson_chamber** out)
{
    return guarded([&]() -> library::Done {
        if (out == nullptr) {
            return library::null_pointer();
        }
        *out = nullptr;
        auto inside = TRY(library::Chamber::open(home == nullptr ? "" : home));
        *out = new caisson_chamber{std::move(inside)};
        return {};
    });
}

void caisson_close(caisson_chamber* chamber)
{
    delete chamber;
}

int caisson_describe(caisson_chamber* chamber, char* out, size_t* out_size)
{
    return guarded([&]() -> library::Done {
        if (chamber == nullptr || out == nullptr || out_size == nullptr) {
            return library::null_pointer();
        }
        const auto text = chamber->inside->describe();
        if (*out_size <= text.size()) {
            return library::fault(Kind::exhausted, "the buffer for the description is too small");
        }
        std::memcpy(out, text.c_str(), text.size() + 1);
        *out_size = text.size();
        return {};
    });
}

int caisson_load_key(caisson_chamber* chamber, const char* name, uint32_t* key, uint8_t* public_key)
{
    return guarded([&]() -> library::Done {
        if (chamber == nullptr || name == nullptr || key == nullptr || public_key == nullptr) {
            return library::null_pointer();
        }
        const auto loaded = TRY(chamber->inside->load_key(name));
        *key = loaded.id;
        std::copy(loaded.public_key.bytes.begin(), loaded.public_key.bytes.end(), public_key);
        return {};
    });
}

int caisson_create_key_pair(caisson_chamber* chamber, const uint8_t* verifier, uint8_t* public_key, uint8_t* sealed,
                            size_t* sealed_size)
{
    return guarded([&]() -> library::Done {
        if (chamber == nullptr || public_key == nullptr || sealed == nullptr || sealed_size == nullptr) {
            return library::null_pointer();
        }
        const ByteArray<CAISSON_KEY_BYTES> none{};
        const auto gate = verifier == nullptr ? Bytes(none) : Bytes(verifier, CAISSON_KEY_BYTES);
        const auto answer =
            TRY(chamber->inside->ask(Request::create_key_pair, {Number(verifier != nullptr ? 1 : 0), gate},
                                     CAISSON_KEY_BYTES + airlock::curve::sealed_key_bytes_max));
        if (answer.size() < CAISSON_KEY_BYTES || *sealed_size < answer.size() - CAISSON_KEY_BYTES) {
            return library::fault(Kind::exhausted, "the buffer for the sealed key is too small");
        }
        std::copy_n(answer.begin(), CAISSON_KEY_BYTES, public_key);
        std::copy(answer.begin() + CAISSON_KEY_BYTES, answer.end(), sealed);
        *sealed_size = answer.size() - CAISSON_KEY_BYTES;
        return {};
    });
}

int caisson_import_sealed_private_key(caisson_chamber* chamber, const uint8_t* sealed, size_t sealed_size,
                                      uint32_t* key, uint8_t* public_key)
{
    return guarded([&]() -> library::Done {
        if (chamber == nullptr || sealed == nullptr || key == nullptr || public_key == nullptr) {
            return library::null_pointer();
        }
        const auto loaded = TRY(chamber->inside->import_sealed({sealed, sealed_size}));
        *key = loaded.id;
        std::copy(loaded.public_key.bytes.begin(), loaded.public_key.bytes.end(), public_key);
        return {};
    });
}

int caisson_export_sealed_private_key(caisson_chamber* chamber, uint32_t key, uint8_t* sealed, size_t* sealed_size)
{
    return guarded([&]() -> library::Done {
        if (chamber == nullptr || sealed == nullptr || sealed_size == nullptr) {
            return library::null_pointer();
        }
        *sealed_size = TRY(chamber->inside->ask(Request::export_sealed_private_key, {Number(key)},
                                                MutableBytes(sealed, *sealed_size)));
        return {};
    });
}

int caisson_forget_key(caisson_chamber* chamber, uint32_t key)
{
    return guarded([&]() -> library::Done {
        if (chamber == nullptr) {
            return library::null_pointer();
        }
        TRY(chamber->inside->ask(Request::forget_key, {Number(key)}, 0));
        chamber->inside->forget(key);
        return {};
    });
}

int caisson_z85_decode(const char* text, uint8_t* out, size_t* out_size)
{
    return guarded([&]() -> library::Done {
        if (text == nullptr || out == nullptr || out_size == nullptr) {
            return library::null_pointer();
        }
        *out_size = TRY(read_z85(MutableBytes(out, *out_size), text));
        return {};
    });
}

int caisson_z85_encode(const uint8_t* bytes, size_t size, char* out, size_t* out_size)
{
    return guarded([&]() -> library::Done {
        if (bytes == nullptr || out == nullptr || out_size == nullptr) {
            return library::null_pointer();
        }
        if (size % 4 != 0 || *out_size < size / 4 * 5 + 1) {
            return library::fault(Kind::malformed, "Z85 takes 4 octets into 5 letters, and a final zero");
        }
        std::string text(size / 4 * 5, '\0');
        write_z85(text, {bytes, size});
        std::memcpy(out, text.c_str(), text.size() + 1);
        *out_size = text.size();
        return {};
    });
}
}
