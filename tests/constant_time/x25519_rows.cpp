// X25519 in lanes.
#include "core/crypto/x25519.hpp"
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

namespace caisson::tests::constant_time {
namespace {

constexpr std::size_t count = 11; // a full group of lanes, and one with three

struct Keys {
    std::array<ByteArray<32>, count> secret{};
    std::array<ByteArray<32>, count> point{};
    std::array<ByteArray<32>, count> out{};
    std::array<crypto::X25519Job, count> jobs;

    Keys()
    {
        for (std::size_t index = 0; index < count; ++index) {
            secret[index].fill(static_cast<std::uint8_t>(3 * index + 1));
            point[index].fill(static_cast<std::uint8_t>(index));
            make_secret(secret[index]);
            jobs[index] = {secret[index].data(), point[index].data(), out[index].data()};
        }
    }
    void finish_all() const
    {
        for (const auto& one : out) {
            finish(one);
        }
    }
};

void public_keys()
{
    Keys keys;
    crypto::make_public_keys(keys.jobs);
    keys.finish_all();
}

void shared_secrets()
{
    Keys keys;
    crypto::make_shared_secrets(keys.jobs);
    keys.finish_all();
}

constexpr Row rows[] = {
    {"X25519 public keys, AVX-512", Needs::avx512, public_keys},
    {"X25519 shared secrets, AVX-512", Needs::avx512, shared_secrets},
};

} // namespace

std::span<const Row> x25519_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time
