// A witness and the server it serves, both in the test: policies are signed and encrypted, results opened and verified.
#pragma once

#include "core/wire.hpp"
#include "tests/unit/trusted/witness/witness_runtime.hpp"
#include "trusted/witness/chamber.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace caisson::trusted::witness {

using Buffer = std::vector<std::uint8_t>;
using airlock::Refusal;
using airlock::witness::Request;
using airlock::witness::Wanted;
using protocol::PolicyItem;
using protocol::PolicyItemKind;

inline constexpr std::uint32_t regular = 0100000;
inline constexpr std::uint32_t folder = 0040000;
inline constexpr std::uint32_t link = 0120000;
inline constexpr std::uint32_t fifo = 0010000;

inline Buffer joined(std::initializer_list<Bytes> parts)
{
    Buffer all;
    for (const auto part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

inline Digest sha256_of(std::string_view text)
{
    Digest digest;
    crypto_hash_sha256(digest.data(), bytes_of(text).data(), text.size());
    return digest;
}

inline Buffer listed(std::initializer_list<std::pair<std::string_view, std::uint32_t>> entries)
{
    Buffer buffer(65536);
    Writer writer(buffer);
    for (const auto& [path, mode] : entries) {
        writer.write_le(static_cast<std::uint16_t>(path.size()));
        writer.write_le(mode);
        writer.write_bytes(bytes_of(path));
    }
    buffer.resize(*writer.finish());
    return buffer;
}

struct Server {
    protocol::SigningKey signing_key;
    protocol::VerifyingKey verifying_key;
    protocol::BoxKey box_key;
    ByteArray<32> box_secret{};

    explicit Server(std::uint8_t seed)
    {
        ByteArray<32> bytes{};
        bytes[0] = seed;
        crypto_sign_seed_keypair(verifying_key.bytes.data(), signing_key.expose().data(), bytes.data());
        crypto_box_seed_keypair(box_key.bytes.data(), box_secret.data(), bytes.data());
    }

    [[nodiscard]] Buffer open(Bytes box) const
    {
        Buffer message(box.size());
        if (box.size() < crypto_box_SEALBYTES || crypto_box_seal_open(message.data(), box.data(), box.size(),
                                                                      box_key.bytes.data(), box_secret.data()) != 0) {
            return {};
        }
        message.resize(box.size() - crypto_box_SEALBYTES);
        return message;
    }
};

inline protocol::IterationNonce nonce(std::uint8_t number)
{
    protocol::IterationNonce nonce;
    nonce.bytes.fill(number);
    return nonce;
}

struct Answered {
    airlock::Answer answer;
    Buffer output;
    [[nodiscard]] bool good() const { return answer.refusal == Refusal::none && answer.result.has_value(); }
    [[nodiscard]] Kind kind() const { return answer.result.has_value() ? Kind{} : answer.result.error().kind; }
};

class World {
  public:
    explicit World(std::uint8_t seed = 1)
        : runtime(seed)
        , chamber(std::make_unique<Chamber>(runtime))
    {
        exporter.bytes.fill(0xee);
    }

    Answered ask(Request request, Bytes input = {}, std::size_t room = airlock::payload_bytes_max)
    {
        Answered answered;
        answered.output.resize(room);
        answered.answer = chamber->answer(static_cast<std::uint32_t>(request), input, answered.output);
        answered.output.resize(answered.good() ? *answered.answer.result : 0);
        return answered;
    }

    void enrol()
    {
        const auto made = ask(Request::create_identity, joined({server.verifying_key.bytes, server.box_key.bytes}));
        ASSERT_TRUE(made.good());
        sealed.assign(made.output.begin() + 32, made.output.end());
        load();
    }
    void load()
    {
        const auto loaded = ask(Request::load_identity, sealed);
        ASSERT_TRUE(loaded.good());
        ASSERT_EQ(loaded.output.size(), 64U);
        copy_bytes(witness.bytes, Bytes(loaded.output).first(32));
        copy_bytes(policy_key.bytes, Bytes(loaded.output).last(32));
    }
    void restart()
    {
        chamber = std::make_unique<Chamber>(runtime);
        load();
    }

    Buffer policy_document(std::span<const PolicyItem> items, std::uint8_t round, const Server& by)
    {
        Buffer document(protocol::policy_document_bytes_max + 8192);
        protocol::MeasurementPolicy head;
        head.policy = sha256_of("policy");
        head.nonce = nonce(round);
        head.witness = witness;
        const auto size = protocol::write_policy(document, by.signing_key, head, items);
        document.resize(size ? *size : 0);
        return document;
    }
    [[nodiscard]] Buffer boxed(Bytes document) const
    {
        Buffer box(document.size() + crypto_box_SEALBYTES);
        crypto_box_seal(box.data(), document.data(), document.size(), policy_key.bytes.data());
        return box;
    }
    Answered open_policy(std::span<const PolicyItem> items, std::uint8_t round = 1)
    {
        return ask(Request::open_policy, boxed(policy_document(items, round, server)));
    }
    Answered open_policy(std::initializer_list<PolicyItem> items, std::uint8_t round = 1)
    {
        return open_policy(std::span(items.begin(), items.size()), round);
    }

    struct Want {
        bool any = false;
        std::uint32_t index = 0;
        Wanted what{};
        std::string path;
    };
    Want next()
    {
        const auto answered = ask(Request::next_measurement);
        Want want;
        if (answered.good()) {
            Reader reader(answered.output);
            want.any = true;
            want.index = *reader.read_le<std::uint32_t>();
            want.what = static_cast<Wanted>(*reader.read_le<std::uint8_t>());
            want.path = text_of(reader.rest());
        }
        return want;
    }

    Answered absorb(Bytes bytes, std::uint32_t st_mode = 0, bool last = true)
    {
        Buffer input(bytes.size() + 64);
        Writer writer(input);
        writer.write_le((last ? airlock::witness::absorb_last : 0U) |
                        (st_mode != 0 ? airlock::witness::absorb_mode : 0U));
        if (st_mode != 0) {
            writer.write_le(st_mode);
        }
        writer.write_bytes(bytes);
        return ask(Request::absorb, writer.written());
    }
    Answered absorb(std::string_view text, std::uint32_t st_mode = 0, bool last = true)
    {
        return absorb(bytes_of(text), st_mode, last);
    }
    Answered absorb_error(std::uint32_t error)
    {
        ByteArray<8> input;
        Writer writer(input);
        writer.write_le(airlock::witness::absorb_error | airlock::witness::absorb_last);
        writer.write_le(error);
        return ask(Request::absorb, input);
    }

    // The signed result, opened and verified as the server does it.
    struct Found {
        bool verified = false;
        protocol::MeasurementResult head;
        std::map<std::string, protocol::Measurement, std::less<>> measurements;
    };
    Found finish()
    {
        Found found;
        const auto answered = ask(Request::finish, exporter.bytes);
        last_document = server.open(answered.output);
        auto result = protocol::verify_result(last_document, witness);
        if (!answered.good() || !result) {
            return found;
        }
        found.verified = true;
        found.head = result->head;
        while (result->measurements.left() != 0) {
            const auto measurement = **result->measurements.next();
            found.measurements.emplace(std::string(measurement.path), measurement);
        }
        return found;
    }

    WitnessRuntime runtime;
    std::unique_ptr<Chamber> chamber;
    Server server{7};
    Buffer sealed;
    Buffer last_document; // of the last result: `Found` holds views into it
    protocol::WitnessKey witness;
    protocol::BoxKey policy_key;
    protocol::Exporter exporter;
};

} // namespace caisson::trusted::witness
