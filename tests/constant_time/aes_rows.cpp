// AES, its modes, and the comparison of tags.
#include "core/crypto/aes_cbc.hpp"
#include "core/crypto/aes_cmac.hpp"
#include "core/crypto/aes_gcm.hpp"
#include "core/crypto/constant_time.hpp"
#include "tests/constant_time/row.hpp"
#include "tests/constant_time/secrecy.hpp"

namespace caisson::tests::constant_time {
namespace {

using crypto::Aes;
using crypto::AesKernel;

template <typename Key>
Key secret_key()
{
    Key key;
    std::uint8_t next = 1;
    for (auto& byte : key.expose()) {
        byte = next = static_cast<std::uint8_t>(next * 7 + 1);
    }
    make_secret(key.expose());
    return key;
}

ByteArray<100> secret_text()
{
    ByteArray<100> text;
    text.fill(3);
    make_secret(text);
    return text;
}

template <AesKernel kernel, typename Key>
void blocks()
{
    const Aes cipher(secret_key<Key>(), kernel);
    std::array<crypto::AesBlock, 5> some{};
    cipher.encrypt(some);
    finish({some.data()->data(), sizeof some});
    cipher.decrypt(some);
    finish({some.data()->data(), sizeof some});
    cipher.encrypt_repeatedly(some, 3);
    finish({some.data()->data(), sizeof some});
}

template <AesKernel kernel>
void gcm()
{
    const Aes cipher(secret_key<crypto::Aes256Key>(), kernel);
    const auto text = secret_text();
    ByteArray<text.size()> sealed;
    const auto tag = crypto::gcm_encrypt(cipher, {}, bytes_of("context"), text, sealed);
    finish(sealed);
    finish(tag);
    ByteArray<text.size()> opened;
    expect_verdict();
    auto verdict = crypto::gcm_decrypt(cipher, {}, bytes_of("context"), sealed, tag, opened);
    finish(opened);
    make_public_value(verdict); // the host learns it in any case
}

template <AesKernel kernel>
void cbc()
{
    const Aes cipher(secret_key<crypto::Aes256Key>(), kernel);
    const auto text = secret_text();
    ByteArray<crypto::cbc_padded_bytes(text.size())> sealed;
    crypto::cbc_encrypt(cipher, {}, text, sealed);
    finish(sealed);
    ByteArray<sealed.size()> opened;
    expect_verdict();
    auto size = crypto::cbc_decrypt(cipher, {}, sealed, opened);
    finish(opened);
    make_public_value(size);
}

void cmac()
{
    finish(crypto::aes128_cmac(secret_key<crypto::AesCmacKey>(), bytes_of("a message of more than one block")));
}

void equal()
{
    ByteArray<16> tag{1, 2, 3};
    make_secret(tag);
    auto verdict = crypto::equal(tag, ByteArray<16>{1, 2, 4});
    finish({reinterpret_cast<const std::uint8_t*>(&verdict), sizeof verdict});
}

constexpr Row rows[] = {
    {"AES-128, portable", Needs::any_cpu, blocks<AesKernel::portable, crypto::Aes128Key>},
    {"AES-256, portable", Needs::any_cpu, blocks<AesKernel::portable, crypto::Aes256Key>},
    {"AES-256, AES-NI", Needs::aes_ni, blocks<AesKernel::aes_ni, crypto::Aes256Key>},
    {"AES-256-GCM, portable", Needs::any_cpu, gcm<AesKernel::portable>},
    {"AES-256-GCM, AES-NI", Needs::aes_ni, gcm<AesKernel::aes_ni>},
    {"AES-256-CBC, portable", Needs::any_cpu, cbc<AesKernel::portable>},
    {"AES-256-CBC, AES-NI", Needs::aes_ni, cbc<AesKernel::aes_ni>},
    {"AES-128-CMAC", Needs::any_cpu, cmac},
    {"comparison of tags", Needs::any_cpu, equal},
};

} // namespace

std::span<const Row> aes_rows()
{
    return rows;
}

} // namespace caisson::tests::constant_time
