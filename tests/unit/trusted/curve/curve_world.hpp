// What the tests of the curve chamber share: a runtime whose ticks the test sets, a Verifier, and one-line requests.
#pragma once

#include "airlock/entry.hpp"
#include "tests/support/test_arena.hpp"
#include "tests/unit/protocol/signed_documents.hpp"
#include "trusted/curve/chamber.hpp"

#include <memory>

namespace caisson::trusted::curve::test {

using airlock::curve::Request;
using Buffer = std::vector<std::uint8_t>;

// The features of each kernel that this machine has, for choose_box_kernel; none of them: libsodium.
inline std::vector<std::uint32_t> kernels_here()
{
    using airlock::CpuFeature;
    constexpr auto bit = [](CpuFeature feature) { return static_cast<std::uint32_t>(feature); };
    std::vector<std::uint32_t> all{0};
    if (__builtin_cpu_supports("avx2")) {
        all.push_back(bit(CpuFeature::avx2));
    }
    if (__builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2")) {
        all.push_back(bit(CpuFeature::avx2) | bit(CpuFeature::avx512) | bit(CpuFeature::avx512_ifma) |
                      bit(CpuFeature::avx512_vbmi2));
    }
    return all;
}

class CurveRuntime final : public Runtime {
  public:
    explicit CurveRuntime(std::uint8_t machine = 7)
        : seal_key_{machine}
    {
    }
    // The same in each run: what a fuzzer finds comes again.
    void random(MutableBytes bytes) noexcept override
    {
        ByteArray<randombytes_SEEDBYTES> seed{};
        std::memcpy(seed.data(), &drawn_, sizeof drawn_);
        ++drawn_;
        randombytes_buf_deterministic(bytes.data(), bytes.size(), seed.data());
    }
    std::uint64_t ticks() noexcept override { return now += step; }
    Result<std::size_t> seal(SealPolicy, Bytes context, Bytes secret, MutableBytes output) noexcept override
    {
        if (output.size() < secret.size() + overhead) {
            return fail(Kind::exhausted, "test seal: output");
        }
        random(output.first(nonce_size));
        crypto_aead_xchacha20poly1305_ietf_encrypt(output.data() + nonce_size, nullptr, secret.data(), secret.size(),
                                                   context.data(), context.size(), nullptr, output.data(),
                                                   seal_key_.data());
        return secret.size() + overhead;
    }
    Result<std::size_t> unseal(Bytes context, Bytes blob, MutableBytes output, OlderCopy /*older*/) noexcept override
    {
        if (blob.size() < overhead || output.size() < blob.size() - overhead) {
            return fail(Kind::malformed, "test unseal: size");
        }
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(output.data(), nullptr, nullptr, blob.data() + nonce_size,
                                                       blob.size() - nonce_size, context.data(), context.size(),
                                                       blob.data(), seal_key_.data()) != 0) {
            return fail(Kind::unauthentic, "test unseal: tag");
        }
        return blob.size() - overhead;
    }
    protocol::sgx::Report report(const protocol::sgx::TargetInfo&,
                                 const protocol::sgx::ReportData& data) noexcept override
    {
        protocol::sgx::Report report{};
        report.report_data = data;
        return report;
    }
    Status verify_report(const protocol::sgx::Report&) noexcept override { return {}; }
    protocol::sgx::TargetInfo own_target() noexcept override { return {}; }

    std::uint64_t now = 1'000'000'000;
    std::uint64_t step = 0; // what each look at the clock takes

  private:
    static constexpr std::size_t nonce_size = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
    static constexpr std::size_t overhead = nonce_size + crypto_aead_xchacha20poly1305_ietf_ABYTES;
    ByteArray<32> seal_key_;
    std::uint64_t drawn_ = 0;
};

// An answer as a test reads it: bytes, or why not.
struct Said {
    airlock::Refusal refusal = airlock::Refusal::none;
    std::uint8_t kind = 0;
    Buffer bytes;
    [[nodiscard]] bool ok() const { return refusal == airlock::Refusal::none && kind == 0; }
    [[nodiscard]] bool is(Kind expected) const { return kind == static_cast<std::uint8_t>(expected); }
};

template <typename... Parts>
Buffer join(const Parts&... parts)
{
    Buffer out;
    const auto add = [&out](Bytes part) { out.insert(out.end(), part.begin(), part.end()); };
    (add(Bytes(parts)), ...);
    return out;
}

inline ByteArray<4> u32(std::uint32_t value)
{
    ByteArray<4> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

struct World {
    CurveRuntime runtime;
    tests::TestArena arena;
    std::unique_ptr<Chamber> chamber = std::make_unique<Chamber>(runtime, arena.arena());
    protocol::test::Signer verifier{1};
    // One for all: a new one for each request took most of the time.
    Buffer answer_bytes = Buffer(airlock::payload_bytes_max);

    // Another start of the chamber.
    void restart()
    {
        chamber.reset();
        arena.clear();
        chamber = std::make_unique<Chamber>(runtime, arena.arena());
    }

    Said ask(Request request, Buffer input)
    {
        const auto answer = chamber->answer(static_cast<std::uint32_t>(request), input, answer_bytes);
        Said said;
        said.refusal = answer.refusal;
        if (said.refusal == airlock::Refusal::none) {
            if (answer.result) {
                said.bytes.assign(answer_bytes.begin(),
                                  answer_bytes.begin() + static_cast<std::ptrdiff_t>(*answer.result));
            } else {
                said.kind = static_cast<std::uint8_t>(answer.result.error().kind);
            }
        }
        return said;
    }

    struct Key {
        ByteArray<4> id{};
        CurveKey public_key;
        Handle handle;
    };
    Key new_key(bool gated)
    {
        const ByteArray<32> none{};
        const auto made =
            ask(Request::create_key_pair, join(u32(gated ? 1 : 0), gated ? Bytes(verifier.key.bytes) : Bytes(none)));
        EXPECT_TRUE(made.ok());
        const auto loaded = ask(Request::import_sealed_private_key, Buffer(made.bytes.begin() + 32, made.bytes.end()));
        EXPECT_TRUE(loaded.ok());
        Key key;
        copy_bytes(key.id, Bytes(loaded.bytes).first(4));
        copy_bytes(key.public_key.bytes, Bytes(loaded.bytes).subspan(8, 32));
        copy_bytes(key.handle.bytes, Bytes(loaded.bytes).subspan(40, 32));
        return key;
    }
};

// A client and a server of one chamber.
struct Talk : World {
    Key server = new_key(false);
    Key client = new_key(false);
    ByteArray<4> client_session{};
    ByteArray<4> server_session{};

    Buffer open_to_initiate(const Buffer& metadata = {})
    {
        const auto opened = ask(Request::open_client, join(client.id, server.public_key.bytes));
        copy_bytes(client_session, opened.bytes);
        const auto hello = ask(Request::produce_hello, join(client_session));
        const auto welcome = ask(Request::process_hello, join(server.id, hello.bytes));
        EXPECT_TRUE(ask(Request::process_welcome, join(client_session, welcome.bytes)).ok());
        return ask(Request::produce_initiate, join(client_session, metadata)).bytes;
    }
    void complete()
    {
        const auto accepted = ask(Request::process_initiate, join(server.id, open_to_initiate()));
        ASSERT_TRUE(accepted.ok());
        ASSERT_EQ(Buffer(accepted.bytes.begin() + 4, accepted.bytes.begin() + 36), join(client.public_key.bytes));
        copy_bytes(server_session, Bytes(accepted.bytes).first(4));
        const auto ready = ask(Request::produce_ready, join(server_session));
        ASSERT_TRUE(ask(Request::process_ready, join(client_session, ready.bytes)).ok());
    }
    Buffer message(std::string_view text)
    {
        return ask(Request::produce_message, join(client_session, u32(0), bytes_of(text))).bytes;
    }
};

} // namespace caisson::trusted::curve::test
