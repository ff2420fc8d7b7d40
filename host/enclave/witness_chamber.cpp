#include "host/enclave/witness_chamber.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"

#include <cstring>

namespace caisson::host::enclave {
namespace {

using airlock::witness::Request;
using airlock::witness::Wanted;
namespace requests = airlock::witness;

using Buffer = std::vector<std::uint8_t>;

constexpr std::size_t small_answer_bytes_max = 4096;

Outcome<Buffer> ask(Enclave& enclave, Request request, const char* doing, Bytes input, std::size_t answer_bytes_max)
{
    Buffer output(answer_bytes_max);
    const auto size = enclave.call(static_cast<std::uint32_t>(request), input, output);
    if (!size) {
        return fault(size.error().kind, std::string("witness chamber: ") + doing + ": " + size.error().what);
    }
    output.resize(*size);
    return output;
}

Buffer joined(std::initializer_list<Bytes> parts)
{
    Buffer all;
    for (const auto part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

} // namespace

Outcome<NewIdentity> WitnessChamber::create_identity(const protocol::VerifyingKey& server_signing_key,
                                                     const protocol::BoxKey& server_box_key)
{
    const auto answer = TRY(ask(enclave_, Request::create_identity, "making an identity",
                                joined({server_signing_key.bytes, server_box_key.bytes}), small_answer_bytes_max));
    Reader reader(answer);
    NewIdentity identity;
    identity.witness_key.bytes = TRY(reader.read_array<protocol::WitnessKey::size>());
    identity.sealed.assign(reader.rest().begin(), reader.rest().end());
    return identity;
}

Outcome<LoadedIdentity> WitnessChamber::load_identity(Bytes sealed)
{
    const auto answer =
        TRY(ask(enclave_, Request::load_identity, "loading the sealed identity", sealed, small_answer_bytes_max));
    Reader reader(answer);
    LoadedIdentity identity;
    identity.witness_key.bytes = TRY(reader.read_array<protocol::WitnessKey::size>());
    identity.policy_key.bytes = TRY(reader.read_array<protocol::BoxKey::size>());
    return identity;
}

Outcome<protocol::sgx::TargetInfo> WitnessChamber::target_info()
{
    const auto answer = TRY(ask(enclave_, Request::target_info, "target info", {}, small_answer_bytes_max));
    protocol::sgx::TargetInfo target;
    if (answer.size() != sizeof target) {
        return fault(Kind::malformed, "witness chamber: target info: wrong size");
    }
    std::memcpy(&target, answer.data(), sizeof target);
    return target;
}

Done WitnessChamber::accept_report(Bytes report, const protocol::CurveKey& key)
{
    TRY(ask(enclave_, Request::accept_report, "accepting a key's report", joined({report, key.bytes}),
            small_answer_bytes_max));
    return {};
}

Done WitnessChamber::forget_key(const protocol::CurveKey& key)
{
    TRY(ask(enclave_, Request::forget_key, "forgetting a key", key.bytes, small_answer_bytes_max));
    return {};
}

Outcome<Buffer> WitnessChamber::evidence(const Digest& tls_spki_sha256, const protocol::Exporter& exporter,
                                         const protocol::EvidenceNonce& nonce)
{
    return ask(enclave_, Request::evidence, "evidence", joined({tls_spki_sha256, exporter.bytes, nonce.bytes}),
               small_answer_bytes_max);
}

Outcome<protocol::sgx::Report> WitnessChamber::quote_report(const protocol::sgx::TargetInfo& target,
                                                            const Digest& tls_spki_sha256,
                                                            const protocol::Exporter& exporter,
                                                            const protocol::EvidenceNonce& nonce)
{
    const Bytes target_bytes(reinterpret_cast<const std::uint8_t*>(&target), sizeof target);
    const auto answer =
        TRY(ask(enclave_, Request::quote_report, "a report to be quoted",
                joined({target_bytes, tls_spki_sha256, exporter.bytes, nonce.bytes}), small_answer_bytes_max));
    protocol::sgx::Report report;
    if (answer.size() != sizeof report) {
        return fault(Kind::malformed, "witness chamber: a report to be quoted: wrong size");
    }
    std::memcpy(&report, answer.data(), sizeof report);
    return report;
}

Outcome<std::uint32_t> WitnessChamber::open_policy(Bytes sealed_policy)
{
    const auto answer =
        TRY(ask(enclave_, Request::open_policy, "opening the policy", sealed_policy, small_answer_bytes_max));
    Reader reader(answer);
    return TRY(reader.read_le<std::uint32_t>());
}

Outcome<WantedMeasurement> WitnessChamber::next_measurement()
{
    const auto answer = TRY(ask(enclave_, Request::next_measurement, "next measurement", {}, small_answer_bytes_max));
    Reader reader(answer);
    WantedMeasurement wanted;
    wanted.index = TRY(reader.read_le<std::uint32_t>());
    const auto what = TRY(reader.read_le<std::uint8_t>());
    if (what > static_cast<std::uint8_t>(Wanted::link_target)) {
        return fault(Kind::malformed, "witness chamber: next measurement: unknown kind");
    }
    wanted.what = static_cast<Wanted>(what);
    wanted.path = text_of(reader.rest());
    return wanted;
}

Done WitnessChamber::absorb(Bytes chunk, bool last)
{
    return absorb_with_mode(chunk, 0, last);
}

Done WitnessChamber::absorb_with_mode(Bytes chunk, std::uint32_t st_mode, bool last)
{
    CHECK(chunk.size() <= requests::chunk_bytes_max);
    Buffer input(requests::absorb_head_bytes_max + chunk.size());
    Writer writer(input);
    writer.write_le((last ? requests::absorb_last : 0U) | (st_mode != 0 ? requests::absorb_mode : 0U));
    if (st_mode != 0) {
        writer.write_le(st_mode);
    }
    writer.write_bytes(chunk);
    TRY(ask(enclave_, Request::absorb, "absorbing what was read", writer.written(), small_answer_bytes_max));
    return {};
}

Done WitnessChamber::absorb_error(int error_number)
{
    const bool known = error_number > 0 && static_cast<std::uint32_t>(error_number) <= requests::errno_max;
    ByteArray<2 * sizeof(std::uint32_t)> input;
    Writer writer(input);
    writer.write_le(requests::absorb_error | requests::absorb_last);
    writer.write_le(known ? static_cast<std::uint32_t>(error_number) : requests::errno_max);
    TRY(ask(enclave_, Request::absorb, "noting an error", input, small_answer_bytes_max));
    return {};
}

Outcome<Buffer> WitnessChamber::finish(const protocol::Exporter& exporter)
{
    return ask(enclave_, Request::finish, "the signed result", exporter.bytes,
               protocol::result_document_bytes_max + protocol::box_seal_overhead_bytes);
}

} // namespace caisson::host::enclave
