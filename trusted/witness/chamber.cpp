#include "trusted/witness/chamber.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"

#include <sodium.h>

namespace caisson::trusted::witness {
namespace {

using airlock::in_any_state;
using airlock::in_states;
using airlock::witness::Request;
using airlock::witness::State;
namespace requests = airlock::witness;
namespace sgx = protocol::sgx;

constexpr std::string_view identity_context = "caisson witness identity v1";

struct SeedTag;
using Seed = Secret<crypto_sign_SEEDBYTES, SeedTag>;
constexpr std::size_t identity_bytes = Seed::size + protocol::VerifyingKey::size + protocol::BoxKey::size;
struct IdentityTag;
using Identity = Secret<identity_bytes, IdentityTag>; // seed, server_signing_key, server_box_key

static_assert(identity_bytes + seal_overhead_bytes <= requests::sealed_identity_bytes_max);

constexpr auto with_identity = in_states(State::idle, State::measuring, State::done);
constexpr std::size_t keys_bytes = std::size_t{2} * requests::key_bytes;
constexpr std::size_t sealed_policy_bytes_max = protocol::policy_document_bytes_max + protocol::box_seal_overhead_bytes;
constexpr std::size_t absorb_bytes_max = requests::absorb_head_bytes_max + requests::chunk_bytes_max;

// Every result that fits the tables fits the output: the array's head, the path's, type, mode, size, failure, digest.
constexpr std::size_t list_entry_bytes = 1 + 3 + 1 + 3 + 9 + 5 + 2 + sizeof(Digest);
constexpr std::size_t result_head_bytes = 4096;
static_assert(protocol::measurements_max * list_entry_bytes + path_pool_bytes + result_head_bytes <=
              protocol::result_document_bytes_max);
static_assert(protocol::result_document_bytes_max + protocol::box_seal_overhead_bytes <= airlock::payload_bytes_max);
static_assert(absorb_bytes_max <= airlock::payload_bytes_max && sealed_policy_bytes_max <= airlock::payload_bytes_max);

template <auto Handler>
Result<std::size_t> handle(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    return (chamber.*Handler)(input, output);
}

constexpr std::uint32_t number(Request request) noexcept
{
    return static_cast<std::uint32_t>(request);
}

} // namespace

// [MEASURE-3] Numbers, sizes, states: what is not here is not answered.
// clang-format off
const airlock::Row<Chamber> Chamber::table_[] = {
    {number(Request::create_identity), "CreateIdentity", keys_bytes, keys_bytes,
     in_states(State::no_identity), state_of, handle<&Chamber::create_identity>},
    {number(Request::load_identity), "LoadIdentity", 1, requests::sealed_identity_bytes_max,
     in_states(State::no_identity), state_of, handle<&Chamber::load_identity>},
    {number(Request::target_info), "TargetInfo", 0, 0,
     in_any_state, nullptr, handle<&Chamber::target_info>},
    {number(Request::accept_report), "AcceptReport", requests::report_input_bytes, requests::report_input_bytes,
     with_identity, state_of, handle<&Chamber::accept_report>},
    {number(Request::forget_key), "ForgetKey", requests::key_bytes, requests::key_bytes,
     with_identity, state_of, handle<&Chamber::forget_key>},
    {number(Request::evidence), "Evidence", requests::evidence_input_bytes, requests::evidence_input_bytes,
     with_identity, state_of, handle<&Chamber::evidence>},
    {number(Request::open_policy), "OpenPolicy", 1, sealed_policy_bytes_max,
     with_identity, state_of, handle<&Chamber::open_policy>},
    {number(Request::next_measurement), "NextMeasurement", 0, 0,
     in_states(State::measuring, State::done), state_of, handle<&Chamber::next_measurement>},
    {number(Request::absorb), "Absorb", sizeof(std::uint32_t), absorb_bytes_max,
     in_states(State::measuring), state_of, handle<&Chamber::absorb>},
    {number(Request::finish), "Finish", requests::key_bytes, requests::key_bytes,
     in_states(State::done), state_of, handle<&Chamber::finish>},
    {number(Request::quote_report), "QuoteReport", requests::quote_report_input_bytes,
     requests::quote_report_input_bytes, with_identity, state_of, handle<&Chamber::quote_report>},
};
// clang-format on

airlock::Answer Chamber::answer(std::uint32_t request, Bytes input, MutableBytes output) noexcept
{
    return airlock::dispatch<Chamber>(table_, *this, request, input, output);
}

Result<std::uint32_t> Chamber::state_of(const Chamber& chamber, Bytes /*input*/) noexcept
{
    return static_cast<std::uint32_t>(chamber.state_);
}

// Only makes it: the witness speaks for an identity after LoadIdentity, so that a blob that does not load is noticed
// before anybody enrols it.
Result<std::size_t> Chamber::create_identity(Bytes input, MutableBytes output) noexcept
{
    Seed seed;
    runtime_.random(seed.expose());
    protocol::SigningKey signing_key;
    protocol::WitnessKey witness_key;
    crypto_sign_seed_keypair(witness_key.bytes.data(), signing_key.expose().data(), seed.expose().data());

    Identity identity;
    copy_bytes(identity.expose(), seed.expose());
    copy_bytes(identity.expose().subspan(Seed::size), input);
    if (output.size() < witness_key.bytes.size()) {
        return fail(Kind::exhausted, "no room for a new identity");
    }
    copy_bytes(output, witness_key.bytes);
    const auto sealed = TRY(runtime_.seal(SealPolicy::mrsigner, bytes_of(identity_context), identity.expose(),
                                          output.subspan(witness_key.bytes.size())));
    return witness_key.bytes.size() + sealed;
}

Result<std::size_t> Chamber::load_identity(Bytes input, MutableBytes output) noexcept
{
    // A blob under another context could be larger: its size is judged before it is believed.
    if (input.size() > identity_bytes + seal_overhead_bytes) {
        return fail(Kind::malformed, "a sealed identity is too long");
    }
    Identity identity;
    const auto size = TRY(runtime_.unseal(bytes_of(identity_context), input, identity.expose(), OlderCopy::refused));
    if (size != identity_bytes) {
        return fail(Kind::malformed, "a sealed identity has the wrong size");
    }
    Reader reader(identity.expose());
    const auto seed = TRY(reader.read_bytes(Seed::size));
    server_signing_key_.bytes = TRY(reader.read_array<protocol::VerifyingKey::size>());
    server_box_key_.bytes = TRY(reader.read_array<protocol::BoxKey::size>());
    crypto_sign_seed_keypair(witness_key_.bytes.data(), signing_key_.expose().data(), seed.data());
    runtime_.random(policy_secret_key_.expose());
    policy_key_ = box_key_of(policy_secret_key_);

    Writer writer(output);
    writer.write_bytes(witness_key_.bytes);
    writer.write_bytes(policy_key_.bytes);
    const auto written = TRY(writer.finish());
    state_ = State::idle;
    return written;
}

Result<std::size_t> Chamber::target_info(Bytes /*input*/, MutableBytes output) noexcept
{
    const auto target = runtime_.own_target();
    Writer writer(output);
    writer.write_bytes({reinterpret_cast<const std::uint8_t*>(&target), sizeof target});
    return writer.finish();
}

Result<std::size_t> Chamber::accept_report(Bytes input, MutableBytes /*output*/) noexcept
{
    sgx::Report report;
    std::memcpy(&report, input.data(), sizeof report);
    protocol::CurveKey key;
    copy_bytes(key.bytes, input.subspan(sizeof report));

    // [MEASURE-13] The report was made here, for this witness, over this very key.
    TRY(runtime_.verify_report(report));
    if (report.report_data != protocol::curve_key_report_data(key)) {
        return fail(Kind::unauthentic, "a report is not about the key that it came with");
    }
    const auto facts = protocol::identity_of(report);
    const protocol::CurveKeyClaim claim{key,       facts.mrenclave, facts.mrsigner, facts.product,
                                        facts.svn, facts.debug,     facts.platform, facts.root};
    for (std::size_t index = 0; index < key_count_; ++index) {
        if (keys_[index].key == key) {
            keys_[index] = claim;
            return std::size_t{0};
        }
    }
    if (key_count_ == keys_.size()) {
        return fail(Kind::exhausted, "more keys than a witness vouches for");
    }
    keys_[key_count_] = claim;
    ++key_count_;
    return std::size_t{0};
}

Result<std::size_t> Chamber::forget_key(Bytes input, MutableBytes /*output*/) noexcept
{
    for (std::size_t index = 0; index < key_count_; ++index) {
        if (same_bytes(keys_[index].key.bytes, input)) {
            --key_count_;
            keys_[index] = keys_[key_count_];
            return std::size_t{0};
        }
    }
    return fail(Kind::missing, "the witness does not vouch for this key");
}

protocol::ChamberIdentity Chamber::own_identity() noexcept
{
    return protocol::identity_of(runtime_.report(runtime_.own_target(), sgx::ReportData{}));
}

Result<protocol::WitnessEvidence> Chamber::evidence_over(Bytes input) const noexcept
{
    Reader reader(input);
    protocol::WitnessEvidence evidence;
    evidence.witness = witness_key_;
    evidence.policy_key = policy_key_;
    evidence.tls_spki_sha256 = TRY(reader.read_array<sizeof(Digest)>());
    evidence.exporter.bytes = TRY(reader.read_array<protocol::Exporter::size>());
    evidence.nonce.bytes = TRY(reader.read_array<protocol::EvidenceNonce::size>());
    TRY(reader.finish());
    return evidence;
}

Result<std::size_t> Chamber::evidence(Bytes input, MutableBytes output) noexcept
{
    auto evidence = TRY(evidence_over(input));
    evidence.chamber = own_identity();
    return protocol::write_evidence(output, signing_key_, evidence);
}

// [MEASURE-19] For whichever enclave the host names: a report over anything else than this evidence is never made, so
// nobody can take it for a report about a CURVE key.
Result<std::size_t> Chamber::quote_report(Bytes input, MutableBytes output) noexcept
{
    sgx::TargetInfo target;
    std::memcpy(&target, input.data(), sizeof target);
    const auto evidence = TRY(evidence_over(input.subspan(sizeof target)));
    const auto report = runtime_.report(target, protocol::evidence_report_data(evidence));
    Writer writer(output);
    writer.write_bytes({reinterpret_cast<const std::uint8_t*>(&report), sizeof report});
    return writer.finish();
}

Result<std::size_t> Chamber::open_policy(Bytes input, MutableBytes output) noexcept
{
    // A new policy ends the round before it: whoever holds a connection that broke can go on at once.
    round_.clear();
    state_ = State::idle;
    const auto size = TRY(open_box(policy_document_, input, policy_key_, policy_secret_key_));
    const auto started = start_round(Bytes(policy_document_).first(size));
    wipe(policy_document_); // the host must not read it from here either
    if (!started) {
        round_.clear();
        return std::unexpected(started.error());
    }
    state_ = round_.finished() ? State::done : State::measuring;
    Writer writer(output);
    writer.write_le(static_cast<std::uint32_t>(round_.count()));
    return writer.finish();
}

Status Chamber::start_round(Bytes document) noexcept
{
    auto policy = TRY(protocol::verify_policy(document, server_signing_key_));
    // [MEASURE-4] A policy for another witness, sent on by the one it was for, is not ours.
    if (policy.head.witness != witness_key_) {
        return fail(Kind::unauthentic, "a policy is meant for another witness");
    }
    TRY(remember_nonce(policy.head.nonce));
    while (policy.items.left() != 0) {
        const auto item = TRY(policy.items.next());
        TRY(round_.add(*item));
    }
    policy_ = policy.head;
    return {};
}

// [MEASURE-5]
Status Chamber::remember_nonce(const protocol::IterationNonce& nonce) noexcept
{
    const auto known = nonce_count_ < nonces_.size() ? nonce_count_ : nonces_.size();
    for (std::size_t index = 0; index < known; ++index) {
        if (nonces_[index] == nonce) {
            return fail(Kind::conflict, "a policy was used before");
        }
    }
    nonces_[nonce_count_ % nonces_.size()] = nonce;
    ++nonce_count_;
    return {};
}

Result<std::size_t> Chamber::next_measurement(Bytes /*input*/, MutableBytes output) noexcept
{
    if (round_.finished()) {
        return fail(Kind::missing, "everything is measured");
    }
    const auto want = round_.wanted();
    Writer writer(output);
    writer.write_le(want.index);
    writer.write_le(static_cast<std::uint8_t>(want.what));
    writer.write_bytes(bytes_of(want.path));
    return writer.finish();
}

Result<std::size_t> Chamber::absorb(Bytes input, MutableBytes /*output*/) noexcept
{
    Reader reader(input);
    const auto flags = TRY(reader.read_le<std::uint32_t>());
    if ((flags & ~(requests::absorb_last | requests::absorb_error | requests::absorb_mode)) != 0) {
        return fail(Kind::malformed, "a chunk has unknown flags");
    }
    Round::Chunk chunk;
    chunk.last = (flags & requests::absorb_last) != 0;
    if ((flags & requests::absorb_error) != 0) {
        chunk.error = TRY(reader.read_le<std::uint32_t>());
        if (chunk.error == 0 || chunk.error > requests::errno_max) {
            return fail(Kind::malformed, "a chunk has an unknown error");
        }
    }
    if ((flags & requests::absorb_mode) != 0) {
        chunk.st_mode = TRY(reader.read_le<std::uint32_t>());
    }
    chunk.bytes = reader.rest();
    if (chunk.bytes.size() > requests::chunk_bytes_max) {
        return fail(Kind::exhausted, "a chunk is too long");
    }
    const auto status = round_.absorb(chunk);
    if (round_.finished()) {
        state_ = State::done;
    }
    TRY(status);
    return std::size_t{0};
}

Result<std::size_t> Chamber::finish(Bytes input, MutableBytes output) noexcept
{
    if (output.size() < protocol::box_seal_overhead_bytes) {
        return fail(Kind::exhausted, "no room for a result");
    }
    protocol::MeasurementResult head;
    head.policy = policy_.policy;
    head.nonce = policy_.nonce;
    copy_bytes(head.exporter.bytes, input);
    head.policy_key = policy_key_;
    head.witness = own_identity();
    head.keys = keys_;
    head.key_count = key_count_;

    // The document is written where it will be encrypted: no second buffer of its size is needed.
    protocol::ResultWriter writer(output.subspan(protocol::box_seal_overhead_bytes), round_.count());
    for (std::size_t index = 0; index < round_.count(); ++index) {
        writer.write(round_.measurement(index));
    }
    const auto document_size = writer.finish(signing_key_, head);
    if (!document_size) {
        wipe(output);
        return document_size;
    }
    BoxSecretKey ephemeral;
    runtime_.random(ephemeral.expose());
    const auto box = output.first(protocol::box_seal_overhead_bytes + *document_size);
    TRY(seal_box(box, server_box_key_, ephemeral));
    wipe(output.subspan(box.size())); // the list stood further back before it was signed
    round_.clear();
    state_ = State::idle;
    return box.size();
}

} // namespace caisson::trusted::witness
