// Boxes of CURVE messages, one a call: core/crypto/box against libsodium's crypto_box_easy_afternm and open.
// `alone` derives the subkey with every message, as trusted/curve does and libsodium too; `kept` keeps it.
// usage: curve_box [--json] [--quick | --smoke]
#include "bench/rivals.hpp"
#include "core/crypto/box.hpp"

#include <sodium.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace caisson::bench {
namespace {

using crypto::BoxKernel;

BoxKernel best_kernel()
{
    const bool has_all = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                         __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2");
    return has_all ? BoxKernel::avx512 : BoxKernel::portable;
}

void require(bool condition)
{
    if (!condition) {
        std::fputs("curve_box: the two sides differ\n", stderr);
        std::exit(70);
    }
}

// One size of text, sealed and opened by either side under one key and nonce.
class Boxes {
  public:
    Boxes(std::size_t size, BoxKernel kernel)
        : kernel_(kernel)
        , text_(size, 0x5a)
        , box_(size + crypto::box_tag_bytes)
        , theirs_(box_.size())
        , opened_(size)
    {
        randombytes_buf(key_.data(), key_.size());
        std::memcpy(nonce_.data(), "CurveZMQMESSAGEC", 16);
        nonce_[nonce_.size() - 1] = 1;
        subkey_ = derive();
        seal_kept();
        seal_by_peer();
        require(box_ == theirs_);
        open();
        require(opened_ == text_);
    }

    void seal() { crypto::seal_box(kernel_, {derive(), 1}, text_, box_.data()); }
    void seal_kept() { crypto::seal_box(kernel_, {subkey_, 1}, text_, box_.data()); }
    void open() { require(crypto::open_box(kernel_, {derive(), 1}, box_, opened_.data())); }
    void seal_by_peer()
    {
        require(crypto_box_easy_afternm(theirs_.data(), text_.data(), text_.size(), nonce_.data(), key_.data()) == 0);
    }
    void open_by_peer()
    {
        require(crypto_box_open_easy_afternm(opened_.data(), theirs_.data(), theirs_.size(), nonce_.data(),
                                             key_.data()) == 0);
    }

  private:
    crypto::BoxSubkey derive() { return crypto::derive_box_subkey(key_, std::span(nonce_).first<16>()); }

    BoxKernel kernel_;
    ByteArray<32> key_{};
    ByteArray<24> nonce_{};
    crypto::BoxSubkey subkey_;
    std::vector<std::uint8_t> text_, box_, theirs_, opened_;
};

struct Size {
    const char* name;
    std::size_t bytes;
};

std::vector<Measured> measure_all(BoxKernel kernel, double slot, int rounds)
{
    std::vector<Measured> out;
    // 65: 64 octets and the flags octet of MESSAGE.
    for (const auto& size :
         {Size{"65", 65}, Size{"256", 256}, Size{"1KiB", 1024}, Size{"8KiB", 8192}, Size{"64KiB", 65536}}) {
        Boxes boxes(size.bytes, kernel);
        const std::string name = size.name;
        const auto by_peer = [&boxes] { boxes.seal_by_peer(); };
        out.push_back(measure({"seal" + name + "/alone", [&boxes] { boxes.seal(); }, by_peer}, slot, rounds));
        out.push_back(measure({"seal" + name + "/kept", [&boxes] { boxes.seal_kept(); }, by_peer}, slot, rounds));
        out.push_back(measure(
            {"open" + name + "/alone", [&boxes] { boxes.open(); }, [&boxes] { boxes.open_by_peer(); }}, slot, rounds));
    }
    return out;
}

} // namespace
} // namespace caisson::bench

int main(int count, char** arguments)
{
    namespace bench = caisson::bench;
    bool json = false;
    double slot = 4e6;
    int rounds = 31;
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--quick") {
            rounds = 11;
        } else if (word == "--smoke") {
            slot = 1e5;
            rounds = 3;
        } else {
            std::fputs("usage: curve_box [--json] [--quick | --smoke]\n", stderr);
            return 64;
        }
    }
    if (sodium_init() < 0) {
        return 70;
    }
    const auto kernel = bench::best_kernel();
    const auto cases = bench::measure_all(kernel, slot, rounds);
    const char* const name = kernel == caisson::crypto::BoxKernel::avx512 ? "AVX-512" : "portable";
    if (json) {
        bench::print_json("curve_box", name, cases);
    } else {
        std::printf("kernel: %s\n", name);
        bench::print_table("libsodium", cases);
    }
}
