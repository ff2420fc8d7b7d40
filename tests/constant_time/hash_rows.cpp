// Hashes over secrets.
#include "core/crypto/sha1.hpp"
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

namespace caisson::tests::constant_time {
namespace {

void hmac_sha1()
{
    ByteArray<20> key{1, 2, 3};
    make_secret(key);
    finish(crypto::hmac_sha1(key, ByteArray<8>{}));
}

void hmac_sha1_long_key()
{
    ByteArray<80> key{1, 2, 3};
    make_secret(key);
    finish(crypto::hmac_sha1(key, ByteArray<8>{}));
}

constexpr Row rows[] = {
    {"HMAC-SHA-1", Needs::any_cpu, hmac_sha1},
    {"HMAC-SHA-1 with a key above a block", Needs::any_cpu, hmac_sha1_long_key},
};

} // namespace

std::span<const Row> hash_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time
