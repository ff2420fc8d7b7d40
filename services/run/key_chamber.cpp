#include "services/run/key_chamber.hpp"

#include "airlock/curve/requests.hpp"
#include "core/secret.hpp"
#include "core/wire.hpp"
#include "host/enclave/root.hpp"
#include "host/store/access_signer.hpp"
#include "host/store/durable_file.hpp"
#include "host/tpm/tpm_root.hpp"

#include <chrono>

namespace caisson::services::run {
namespace {

using airlock::curve::Request;
using host::Done;
using host::Fault;
using host::fault;
using host::Outcome;
using host::enclave::Enclave;
using host::store::KeyRecord;
using host::store::VerifierKey;

constexpr std::size_t answer_bytes_max = 4096;
constexpr std::size_t keys_of_one_chamber = 32;       // it holds 64 at once and forgets none: for more, another one
constexpr std::chrono::seconds others_change_max{30}; // what another process may take to change the keys
using airlock::curve::key_gated;
using airlock::curve::key_listed;

Outcome<std::vector<std::uint8_t>> ask(Enclave& enclave, Request request, const std::string& doing, Bytes input)
{
    std::vector<std::uint8_t> output(answer_bytes_max);
    const auto size = enclave.call(static_cast<std::uint32_t>(request), input, output);
    if (!size) {
        return fault(size.error().kind, doing + ": " + size.error().what);
    }
    output.resize(*size);
    return output;
}

struct LoadedKey {
    std::uint32_t id = 0;
    KeyRecord record;
};

// key, flags, public key, handle, verifier key, list key: what the chamber says of a key it has opened.
Result<LoadedKey> read_loaded(Bytes answer)
{
    Reader reader(answer);
    LoadedKey loaded;
    loaded.id = TRY(reader.read_le<std::uint32_t>());
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    loaded.record.gated = (flags & key_gated) != 0;
    loaded.record.listed = (flags & key_listed) != 0;
    loaded.record.public_key.bytes = TRY(reader.read_array<32>());
    loaded.record.handle.bytes = TRY(reader.read_array<32>());
    loaded.record.verifier_key.bytes = TRY(reader.read_array<32>());
    loaded.record.list_key.bytes = TRY(reader.read_array<32>());
    TRY(reader.finish());
    return loaded;
}

Outcome<LoadedKey> open_sealed(Enclave& enclave, const std::string& name, Bytes sealed)
{
    const auto doing = "key " + name;
    const auto answer = ask(enclave, Request::import_sealed_private_key, doing, sealed);
    if (!answer && answer.error().kind == Kind::unacceptable) {
        return fault(Kind::unacceptable, doing + ": is of an older copy of this home than the counter in the TPM "
                                                 "permits: keys were made or removed since; put the current files "
                                                 "back, or, as the TPM's owner, take it in with \"caisson root restore "
                                                 "--owner FILE\" or \"caisson key import --owner FILE\"");
    }
    if (!answer && answer.error().kind != Kind::unavailable && answer.error().kind != Kind::exhausted) {
        return fault(Kind::unauthentic, doing + ": does not open in this chamber (" + answer.error().what +
                                            "); it was sealed on another machine or under another root, or altered");
    }
    if (!answer && answer.error().kind == Kind::exhausted) {
        return fault(Kind::exhausted, doing + ": the chamber holds no more keys at once; choose some with --key");
    }
    if (!answer) {
        return std::unexpected(answer.error());
    }
    auto loaded = TRY(read_loaded(*answer));
    loaded.record.name = name;
    loaded.record.sealed.assign(sealed.begin(), sealed.end());
    return loaded;
}

void write_pins(Writer& writer, const Pins& pins)
{
    writer.write_le<std::uint32_t>((pins.gate ? key_gated : 0U) | (pins.list ? key_listed : 0U));
    writer.write_bytes(pins.gate ? pins.gate->bytes : VerifierKey{}.bytes);
    if (pins.list) {
        writer.write_bytes(pins.list->bytes);
    }
}

// The answer of CreateKeyPair and ImportPrivateKey: public key, then the sealed blob.
Outcome<KeyRecord> record_of_new(Enclave& enclave, const std::string& name, Bytes answer)
{
    Reader reader(answer);
    const auto public_key = TRY(reader.read_array<32>());
    auto loaded = TRY(open_sealed(enclave, name, reader.rest()));
    if (loaded.record.public_key.bytes != public_key) {
        return fault(Kind::unauthentic, "key " + name + ": the chamber answered for another key");
    }
    return std::move(loaded.record);
}

} // namespace

Outcome<KeyChamber> KeyChamber::open(const std::filesystem::path& home)
{
    TRY(host::store::make_folder(home, 0700));
    KeyChamber chamber(home);
    TRY(chamber.open_anew());
    return chamber;
}

Done KeyChamber::open_anew()
{
    const auto root = TRY(host::enclave::Root::open(home_));
    host::enclave::EnclaveOptions options;
    options.seals_next = change_.has_value();
    options.accepts_older = change_ && change_->accepts_older;
    if (change_) {
        change_->counter = root.counter(options.chamber);
    }
    enclave_.reset();
    enclave_ = TRY(Enclave::open(options, root));
    return {};
}

Outcome<KeyChamber> KeyChamber::open_to_change(const std::filesystem::path& home)
{
    if (TRY(host::enclave::Root::kind_of(home)) == protocol::sgx::RootKind::file) {
        return open(home);
    }
    const auto folder = home / "keys";
    TRY(host::store::make_folder(folder, 0700));
    KeyChamber chamber(home);
    chamber.change_.emplace(Change{TRY(host::store::FolderLock::take(folder, others_change_max))});
    TRY(chamber.open_anew());
    return chamber;
}

Done KeyChamber::carry_over(const host::store::KeyStore& store)
{
    if (!change_) {
        return {};
    }
    std::size_t sealed = 0;
    for (const auto& name : TRY(store.names())) {
        if (sealed != 0 && sealed % keys_of_one_chamber == 0) {
            TRY(open_anew());
        }
        ++sealed;
        const auto record = TRY(store.load(name));
        const auto anew = TRY(reseal(record));
        TRY(store.replace(anew));
    }
    return {};
}

Done KeyChamber::conclude()
{
    if (!change_) {
        return {};
    }
    const auto raised = host::enclave::Root::raise_counter(home_, host::enclave::ChamberKind::curve, change_->counter);
    if (!raised) {
        return fault(raised.error().kind,
                     "the change of the keys is done, but older copies of them still open: " + raised.error().what);
    }
    ++change_->counter;
    return {};
}

Done KeyChamber::accept_older(const std::filesystem::path& owner)
{
    if (!change_) {
        return fault(Kind::conflict,
                     "this home has a file root, which has no counter: every older copy opens as it is");
    }
    {
        auto tpm = TRY(host::tpm::TpmRoot::open(home_)); // a software TPM serves one connection at a time
        TRY(tpm.expect_owner(owner));
    }
    change_->accepts_older = true;
    return open_anew();
}

Outcome<KeyRecord> KeyChamber::make(const std::string& name, const Pins& pins)
{
    ByteArray<4 + 32 + 32> input;
    Writer writer(input);
    write_pins(writer, pins);
    TRY(writer.finish());
    return record_of_new(*enclave_, name,
                         TRY(ask(*enclave_, Request::create_key_pair, "key " + name, writer.written())));
}

Outcome<KeyRecord> KeyChamber::take_secret(const std::string& name, const Pins& pins, Bytes secret)
{
    ByteArray<4 + 32 + 32 + 32> input;
    Writer writer(input);
    write_pins(writer, pins);
    writer.write_bytes(secret);
    const auto written = writer.finish();
    auto answer = ask(*enclave_, Request::import_private_key, "key " + name, writer.written());
    wipe(input);
    TRY(written);
    return record_of_new(*enclave_, name, TRY(std::move(answer)));
}

Outcome<KeyRecord> KeyChamber::take_sealed(const std::string& name, Bytes sealed)
{
    auto loaded = TRY(open_sealed(*enclave_, name, sealed));
    return change_ ? reseal(loaded.record) : Outcome<KeyRecord>(std::move(loaded.record));
}

Outcome<std::uint32_t> KeyChamber::load(const KeyRecord& record)
{
    const auto loaded = TRY(open_sealed(*enclave_, record.name, record.sealed));
    if (loaded.record != record) {
        return fault(Kind::unauthentic, "key " + record.name +
                                            ": the public key, handle or gate in its file is not the one that is "
                                            "sealed; restore the file from a backup");
    }
    return loaded.id;
}

Outcome<KeyRecord> KeyChamber::reseal(const KeyRecord& record)
{
    const auto id = TRY(load(record));
    ByteArray<4> input;
    Writer writer(input);
    writer.write_le(id);
    TRY(writer.finish());
    auto resealed = record;
    resealed.sealed = TRY(ask(*enclave_, Request::export_sealed_private_key, "key " + record.name, input));
    return resealed;
}

// Two that begin in a new home at once: the first to store it wins, and both use that one.
host::Done KeyChamber::load_handle_key(const std::filesystem::path& home)
{
    const auto path = home / "handles.key";
    const std::string doing = "run: " + path.string();
    auto stored = host::store::load_file(path, airlock::curve::sealed_key_bytes_max);
    if (!stored && stored.error().kind == Kind::missing) {
        const auto made = TRY(ask(*enclave_, Request::create_handle_key, doing, {}));
        const auto kept = host::store::store_file(path, made, 0600, host::store::Existing::keep);
        if (!kept && kept.error().kind != Kind::conflict) {
            return kept;
        }
        stored = host::store::load_file(path, airlock::curve::sealed_key_bytes_max);
    }
    const auto sealed = TRY(std::move(stored));
    const auto taken = ask(*enclave_, Request::import_handle_key, doing, sealed);
    if (!taken) {
        return fault(Kind::unauthentic,
                     doing + ": does not open in this chamber (" + taken.error().what +
                         "); restore it with the root.key it was made under, or remove it: handles of keys that "
                         "programs made themselves are then void");
    }
    return {};
}

Outcome<host::enclave::AcceptedAccessList> KeyChamber::take_access_list(const std::filesystem::path& path)
{
    const auto document = TRY(host::store::load_access_file(path));
    host::enclave::CurveChamber chamber(*enclave_);
    return chamber.accept_access_list(document, path.string());
}

} // namespace caisson::services::run
