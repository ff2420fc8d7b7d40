// A Runtime for tests of the witness: real sealing and MACs under keys of its own, randomness from a seed.
#pragma once

#include "trusted/runtime/runtime.hpp"

#include <sodium.h>

namespace caisson::trusted::witness {

class WitnessRuntime final : public Runtime {
  public:
    explicit WitnessRuntime(std::uint8_t seed, std::uint8_t machine = 0, std::uint8_t image = 0xe2) noexcept
        : machine_(machine)
        , image_(image)
    {
        seed_[0] = seed;
    }

    void random(MutableBytes bytes) noexcept override
    {
        randombytes_buf_deterministic(bytes.data(), bytes.size(), seed_.data());
        sodium_increment(seed_.data() + 8, seed_.size() - 8);
    }
    std::uint64_t ticks() noexcept override { return ++ticks_; }

    Result<std::size_t> seal(SealPolicy policy, Bytes context, Bytes secret, MutableBytes output) noexcept override
    {
        if (output.size() < secret.size() + head_bytes + tag_bytes) {
            return fail(Kind::exhausted, "test seal: output");
        }
        output[0] = static_cast<std::uint8_t>(policy);
        random(output.subspan(1, nonce_bytes));
        const auto key = seal_key(output[0]);
        crypto_aead_xchacha20poly1305_ietf_encrypt(output.data() + head_bytes, nullptr, secret.data(), secret.size(),
                                                   context.data(), context.size(), nullptr, output.data() + 1,
                                                   key.data());
        return secret.size() + head_bytes + tag_bytes;
    }
    Result<std::size_t> unseal(Bytes context, Bytes blob, MutableBytes output, OlderCopy /*older*/) noexcept override
    {
        if (blob.size() < head_bytes + tag_bytes) {
            return fail(Kind::malformed, "test unseal: size");
        }
        const auto size = blob.size() - head_bytes - tag_bytes;
        if (size > output.size()) {
            return fail(Kind::exhausted, "test unseal: output");
        }
        const auto key = seal_key(blob[0]);
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(output.data(), nullptr, nullptr, blob.data() + head_bytes,
                                                       blob.size() - head_bytes, context.data(), context.size(),
                                                       blob.data() + 1, key.data()) != 0) {
            return fail(Kind::unauthentic, "test unseal: tag");
        }
        return size;
    }

    protocol::sgx::Report report(const protocol::sgx::TargetInfo& target,
                                 const protocol::sgx::ReportData& data) noexcept override
    {
        protocol::sgx::Report report{};
        copy_bytes(report.cpusvn, protocol::sgx::emulated_cpusvn_prefix);
        report.cpusvn[8] = static_cast<std::uint8_t>(protocol::sgx::Platform::inproc);
        report.cpusvn[9] = static_cast<std::uint8_t>(protocol::sgx::RootKind::file);
        report.mrenclave.fill(image_);
        report.mrsigner.fill(0x51);
        report.isv_prod_id = image_ & 0xfU;
        report.isv_svn = 1;
        report.attributes.flags = debug ? 7 : 5;
        report.report_data = data;
        report.mac = mac_for(target.mrenclave, report);
        return report;
    }
    Status verify_report(const protocol::sgx::Report& report) noexcept override
    {
        if (report.mac != mac_for(own_target().mrenclave, report)) {
            return fail(Kind::unauthentic, "test report: mac");
        }
        return {};
    }
    protocol::sgx::TargetInfo own_target() noexcept override
    {
        protocol::sgx::TargetInfo target{};
        target.mrenclave.fill(image_);
        return target;
    }

    bool debug = false;

  private:
    static constexpr std::size_t nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
    static constexpr std::size_t head_bytes = 1 + nonce_bytes;
    static constexpr std::size_t tag_bytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
    static_assert(head_bytes + tag_bytes <= seal_overhead_bytes);

    [[nodiscard]] ByteArray<32> seal_key(std::uint8_t policy) const noexcept
    {
        ByteArray<32> key{};
        key[0] = machine_;
        key[1] = policy;
        key[2] = policy == static_cast<std::uint8_t>(SealPolicy::mrenclave) ? image_ : 0;
        return key;
    }
    [[nodiscard]] ByteArray<16> mac_for(const Digest& target, const protocol::sgx::Report& report) const noexcept
    {
        ByteArray<sizeof(Digest) + 1> key;
        copy_bytes(key, target);
        key[sizeof(Digest)] = machine_;
        ByteArray<16> mac;
        crypto_generichash(mac.data(), mac.size(), reinterpret_cast<const std::uint8_t*>(&report),
                           protocol::sgx::report_maced_bytes, key.data(), key.size());
        return mac;
    }

    ByteArray<randombytes_SEEDBYTES> seed_{};
    std::uint8_t machine_;
    std::uint8_t image_;
    std::uint64_t ticks_ = 0;
};

} // namespace caisson::trusted::witness
