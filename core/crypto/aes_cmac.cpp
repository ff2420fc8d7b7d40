#include "core/crypto/aes_cmac.hpp"

namespace caisson::crypto {
namespace {

constexpr std::size_t block_bytes = aes_block_bytes;
using Block = AesBlock;

Block doubled(const Block& value) noexcept
{
    Block out;
    for (std::size_t index = 0; index < block_bytes; ++index) {
        const unsigned next = index + 1 < block_bytes ? value[index + 1] : 0U;
        out[index] = static_cast<std::uint8_t>((static_cast<unsigned>(value[index]) << 1U) | (next >> 7U));
    }
    const auto carry = static_cast<std::uint8_t>(-(value[0] >> 7U));
    out[block_bytes - 1] = static_cast<std::uint8_t>(out[block_bytes - 1] ^ (carry & 0x87U));
    return out;
}

void add_bytes(Block& block, Bytes bytes) noexcept
{
    for (std::size_t index = 0; index < bytes.size(); ++index) {
        block[index] = static_cast<std::uint8_t>(block[index] ^ bytes[index]);
    }
}

} // namespace

AesCmacTag aes128_cmac(const AesCmacKey& key, Bytes message) noexcept
{
    const Aes cipher(key, AesKernel::portable);
    Block subkey{};
    cipher.encrypt({&subkey, 1});
    subkey = doubled(subkey);

    Block state{};
    while (message.size() > block_bytes) {
        add_bytes(state, message.first(block_bytes));
        cipher.encrypt({&state, 1});
        message = message.subspan(block_bytes);
    }
    add_bytes(state, message);
    if (message.size() < block_bytes) {
        state[message.size()] = static_cast<std::uint8_t>(state[message.size()] ^ 0x80U);
        subkey = doubled(subkey);
    }
    add_bytes(state, subkey);
    cipher.encrypt({&state, 1});
    wipe(subkey);
    return state;
}

} // namespace caisson::crypto
