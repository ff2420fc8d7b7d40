#include "core/crypto/aes_cmac.hpp"

#include "core/text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace caisson::crypto {
namespace {

std::vector<std::uint8_t> from_hex(std::string_view text)
{
    std::vector<std::uint8_t> bytes(text.size() / 2);
    EXPECT_EQ(read_hex(bytes, text).value_or(0), bytes.size());
    return bytes;
}

std::string cmac_hex(std::string_view message)
{
    AesCmacKey key;
    copy_bytes(key.expose(), from_hex("2b7e151628aed2a6abf7158809cf4f3c"));
    const auto tag = aes128_cmac(key, from_hex(message));
    std::string text(32, '\0');
    write_hex(text, tag);
    return text;
}

// RFC 4493, section 4: examples 1 to 4.
TEST(AesCmac, agrees_with_rfc_4493)
{
    EXPECT_EQ(cmac_hex(""), "bb1d6929e95937287fa37d129b756746");
    EXPECT_EQ(cmac_hex("6bc1bee22e409f96e93d7e117393172a"), "070a16b46b4d4144f79bdd9dd04a287c");
    EXPECT_EQ(cmac_hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"),
              "dfa66747de9ae63030ca32611497c827");
    EXPECT_EQ(cmac_hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                       "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"),
              "51f0bebf7e3b9d92fc49741779363cfe");
}

} // namespace
} // namespace caisson::crypto
