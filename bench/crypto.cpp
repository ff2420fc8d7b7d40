// The kernels of core/crypto beside libsodium: boxes of CURVE messages by batches and alone, X25519, and what a server
// computes for handshakes. Thread CPU time of alternating slots, medians; wiping is part of our time.
// usage: crypto [--json] [--quick | --smoke] [--tweetnacl LIBRARY]
//   --tweetnacl   a shared library of TweetNaCl (bench/tweetnacl.sh makes one of Debian's source package): measured too
#include "bench/bar.hpp"
#include "bench/crypto_handshake.hpp"
#include "bench/rivals.hpp"
#include "core/crypto/box_batch.hpp"
#include "core/crypto/x25519.hpp"
#include "tests/support/box_kernels.hpp"

#include <dlfcn.h>
#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace caisson::bench {
namespace {

using crypto::BoxJob;
using crypto::BoxKernel;

constexpr Bar bars[] = {
    {"seal65/batch64", 22},  {"seal65/batch16", 20},       {"seal65/alone", 2.7},   {"open65/batch64", 18},
    {"seal1KiB/batch64", 9}, {"seal64KiB/alone", 3.8},     {"x25519/public64", 50}, {"x25519/shared32", 10},
    {"handshake/8", 15},     {"seal65-avx2/batch64", 5.2},
};

void require(bool condition)
{
    if (!condition) {
        std::fputs("crypto: the two sides differ\n", stderr);
        std::exit(70);
    }
}

// TweetNaCl's functions, where a library of it was named.
struct TweetNacl {
    int (*secretbox)(unsigned char*, const unsigned char*, unsigned long long, const unsigned char*,
                     const unsigned char*) = nullptr;
    int (*public_key)(unsigned char*, const unsigned char*) = nullptr;
    int (*shared)(unsigned char*, const unsigned char*, const unsigned char*) = nullptr;
};

TweetNacl load_tweetnacl(const char* path)
{
    TweetNacl out;
    auto* const library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == nullptr) {
        std::fprintf(stderr, "crypto: %s is no library that can be loaded: %s\n", path, ::dlerror());
        std::exit(66);
    }
    const auto take = [library](auto& function, const char* name) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
        if (function == nullptr) {
            std::fprintf(stderr, "crypto: the library has no %s\n", name);
            std::exit(66);
        }
    };
    take(out.secretbox, "crypto_secretbox");
    take(out.public_key, "crypto_scalarmult_base");
    take(out.shared, "crypto_box_beforenm");
    return out;
}

// One case: our work, the peer's, and TweetNaCl's where there is one. Each is for `count` results.
struct Case {
    std::string name;
    std::size_t count;
    std::function<void()> ours;
    std::function<void()> peer;
    std::function<void()> tweetnacl;
};

struct Pace {
    double slot_ns = 4e6;
    int rounds = 31;
};

struct Row {
    std::string name;
    double ours = 0;
    double peer = 0;
    double tweetnacl = 0;
};

Row run(const Case& one, const Pace& pace)
{
    const auto count = static_cast<double>(one.count);
    const std::function<void()>* works[] = {&one.ours, &one.peer, &one.tweetnacl};
    std::vector<double> times[3];
    std::uint64_t repeats[3] = {};
    for (std::size_t side = 0; side < 3; ++side) {
        repeats[side] = *works[side] ? count_of(*works[side], pace.slot_ns) : 0;
    }
    for (int round = 0; round < pace.rounds; ++round) {
        for (std::size_t side = 0; side < 3; ++side) {
            if (repeats[side] != 0) {
                times[side].push_back(slot_ns(*works[side], repeats[side]));
            }
        }
    }
    Row row{one.name, median(times[0]) / count, median(times[1]) / count, 0};
    if (!times[2].empty()) {
        row.tweetnacl = median(times[2]) / count;
    }
    return row;
}

// Messages of one session, one size: sealed by all sides into the same memory, opened out of it.
class Messages {
  public:
    Messages(BoxKernel kernel, std::size_t size, std::size_t count)
        : kernel_(kernel)
        , size_(size)
        , texts_(count * size, 0x5a)
        , boxes_(count * (size + crypto::box_tag_bytes))
        , opened_(count * size)
        , verdicts_(std::make_unique<bool[]>(count))
        , padded_(size + 32)
    {
        randombytes_buf(key_.data(), key_.size());
        subkey_ = crypto::derive_box_subkey(key_, std::span(nonce_).first<16>());
        for (std::size_t index = 0; index < count; ++index) {
            auto* const box = boxes_.data() + index * (size + crypto::box_tag_bytes);
            seal_.push_back({&subkey_, index + 1, texts_.data() + index * size, box, size});
            open_.push_back({&subkey_, index + 1, box, opened_.data() + index * size, size});
        }
        seal();
        const auto ours = boxes_;
        std::fill(boxes_.begin(), boxes_.end(), std::uint8_t{0});
        seal_by_sodium();
        require(boxes_ == ours);
        open();
        require(opened_ == texts_);
    }

    void seal()
    {
        if (seal_.size() == 1) {
            const auto& job = seal_[0];
            crypto::seal_box(kernel_, {*job.key, job.counter}, {job.from, job.size}, job.to);
        } else {
            crypto::seal_boxes(kernel_, seal_);
        }
    }
    void open()
    {
        crypto::open_boxes(kernel_, open_, {verdicts_.get(), open_.size()});
        require(verdicts_[open_.size() - 1]);
    }
    void seal_by_sodium()
    {
        for (const auto& job : seal_) {
            crypto_box_easy_afternm(job.to, job.from, job.size, nonce_of(job.counter), key_.data());
        }
    }
    void open_by_sodium()
    {
        for (const auto& job : open_) {
            require(crypto_box_open_easy_afternm(job.to, job.from, job.size + crypto::box_tag_bytes,
                                                 nonce_of(job.counter), key_.data()) == 0);
        }
    }
    // Into its own layout, with 32 octets of zeros before the text, as TweetNaCl wants it.
    void seal_by(const TweetNacl& tweetnacl)
    {
        for (const auto& job : seal_) {
            std::memset(padded_.data(), 0, 32);
            tweetnacl.secretbox(padded_.data(), padded_.data(), padded_.size(), nonce_of(job.counter), key_.data());
        }
    }

  private:
    const std::uint8_t* nonce_of(std::uint64_t counter)
    {
        counter = __builtin_bswap64(counter);
        std::memcpy(nonce_.data() + 16, &counter, sizeof counter);
        return nonce_.data();
    }

    BoxKernel kernel_;
    std::size_t size_;
    ByteArray<32> key_{};
    ByteArray<24> nonce_{'C', 'u', 'r', 'v', 'e', 'Z', 'M', 'Q', 'M', 'E', 'S', 'S', 'A', 'G', 'E', 'C'};
    crypto::BoxSubkey subkey_;
    std::vector<std::uint8_t> texts_, boxes_, opened_;
    std::vector<BoxJob> seal_, open_;
    std::unique_ptr<bool[]> verdicts_;
    std::vector<std::uint8_t> padded_;
};

// Key pairs and shared secrets. Ours where the CPU has the lanes; else there is nothing of ours to measure.
class Keys {
  public:
    explicit Keys(std::size_t count)
        : secrets_(count)
        , points_(count)
        , ours_(count)
        , theirs_(count)
    {
        for (std::size_t index = 0; index < count; ++index) {
            randombytes_buf(secrets_[index].data(), 32);
            ByteArray<32> other;
            randombytes_buf(other.data(), other.size());
            crypto_scalarmult_base(points_[index].data(), other.data());
            jobs_.push_back({secrets_[index].data(), points_[index].data(), ours_[index].data()});
        }
        make_public();
        public_by_sodium();
        require(ours_ == theirs_);
        share();
        share_by_sodium();
        require(ours_ == theirs_);
    }
    void make_public() { crypto::make_public_keys(jobs_); }
    void share() { crypto::make_shared_secrets(jobs_); }
    void public_by_sodium()
    {
        for (std::size_t index = 0; index < secrets_.size(); ++index) {
            crypto_scalarmult_base(theirs_[index].data(), secrets_[index].data());
        }
    }
    void share_by_sodium()
    {
        for (std::size_t index = 0; index < secrets_.size(); ++index) {
            require(crypto_scalarmult(theirs_[index].data(), secrets_[index].data(), points_[index].data()) == 0);
        }
    }
    void public_by(const TweetNacl& tweetnacl)
    {
        for (std::size_t index = 0; index < secrets_.size(); ++index) {
            tweetnacl.public_key(theirs_[index].data(), secrets_[index].data());
        }
    }
    void share_by(const TweetNacl& tweetnacl)
    {
        for (std::size_t index = 0; index < secrets_.size(); ++index) {
            tweetnacl.shared(theirs_[index].data(), points_[index].data(), secrets_[index].data());
        }
    }

  private:
    std::vector<ByteArray<32>> secrets_, points_, ours_, theirs_;
    std::vector<crypto::X25519Job> jobs_;
};

class Bench {
  public:
    Bench(const Pace& pace, const TweetNacl& tweetnacl)
        : pace_(pace)
        , tweetnacl_(tweetnacl)
    {
    }

    void seal(const char* name, BoxKernel kernel, std::size_t size, std::size_t count)
    {
        Messages messages(kernel, size, count);
        Case one{name, count, [&] { messages.seal(); }, [&] { messages.seal_by_sodium(); }, {}};
        if (tweetnacl_.secretbox != nullptr) {
            one.tweetnacl = [&] { messages.seal_by(tweetnacl_); };
        }
        rows_.push_back(run(one, pace_));
    }
    void open(const char* name, BoxKernel kernel, std::size_t size, std::size_t count)
    {
        Messages messages(kernel, size, count);
        rows_.push_back(run({name, count, [&] { messages.open(); }, [&] { messages.open_by_sodium(); }, {}}, pace_));
    }
    void x25519()
    {
        Keys many(64);
        Case publics{"x25519/public64", 64, [&] { many.make_public(); }, [&] { many.public_by_sodium(); }, {}};
        Keys some(32);
        Case shared{"x25519/shared32", 32, [&] { some.share(); }, [&] { some.share_by_sodium(); }, {}};
        if (tweetnacl_.public_key != nullptr) {
            publics.tweetnacl = [&] { many.public_by(tweetnacl_); };
            shared.tweetnacl = [&] { some.share_by(tweetnacl_); };
        }
        rows_.push_back(run(publics, pace_));
        rows_.push_back(run(shared, pace_));
        Keys single(1);
        rows_.push_back(
            run({"x25519/public1", 1, [&] { single.make_public(); }, [&] { single.public_by_sodium(); }, {}}, pace_));
        rows_.push_back(
            run({"x25519/shared1", 1, [&] { single.share(); }, [&] { single.share_by_sodium(); }, {}}, pace_));
    }
    void handshakes(BoxKernel kernel)
    {
        Handshakes eight(kernel);
        require(eight.sides_agree());
        rows_.push_back(run({"handshake/8", 8, [&] { eight.serve(); }, [&] { eight.serve_as_libzmq(); }, {}}, pace_));
    }

    void print_table() const
    {
        std::printf("%-22s %12s %12s %8s %8s %-6s %14s %8s\n", "case (ns each, CPU)", "ours", "libsodium", "times",
                    "bar", "", "TweetNaCl -O2", "times");
        for (const auto& row : rows_) {
            const auto times = row.peer / row.ours;
            std::printf("%-22s %12.1f %12.1f %8.2f %s", row.name.c_str(), row.ours, row.peer, times,
                        bar_text(bar_of(bars, row.name), times).c_str());
            if (row.tweetnacl > 0) {
                std::printf(" %14.1f %8.1f", row.tweetnacl, row.tweetnacl / row.ours);
            }
            std::printf("\n");
        }
        print_verdict();
    }
    void print_json(const char* kernel) const
    {
        std::printf(R"({"bench": "crypto", "machine": {"cpu": "%s", "kernel": "%s"}, "cases": [)", cpu_name().c_str(),
                    kernel);
        const char* separator = "";
        for (const auto& row : rows_) {
            std::printf(R"(%s{"name": "%s", "ours": %.1f, "peer": %.1f, "unit": "ns", "ratio": %.4f, )"
                        R"("times": %.2f, "better": "lower")",
                        separator, row.name.c_str(), row.ours, row.peer, row.ours / row.peer, row.peer / row.ours);
            if (row.tweetnacl > 0) {
                std::printf(R"(, "tweetnacl": %.1f)", row.tweetnacl);
            }
            std::printf("%s}", bar_json(bar_of(bars, row.name), row.peer / row.ours).c_str());
            separator = ", ";
        }
        std::printf("]}\n");
    }

  private:
    void print_verdict() const
    {
        std::size_t met = 0;
        std::string without; // what this CPU has no kernel for
        for (const auto& bar : bars) {
            const auto row =
                std::find_if(rows_.begin(), rows_.end(), [&](const Row& one) { return one.name == bar.name; });
            if (row == rows_.end()) {
                without += (without.empty() ? "; not measured on this CPU: " : ", ") + std::string(bar.name);
            } else {
                met += row->peer / row->ours >= bar.times ? 1 : 0;
            }
        }
        std::printf("bars: %zu of %zu met%s\n", met, std::size(bars), without.c_str());
    }

    Pace pace_;
    TweetNacl tweetnacl_;
    std::vector<Row> rows_;
};

void measure_all(Bench& bench)
{
    const auto best = crypto::kernels_here().back();
    bench.seal("seal65/batch64", best, 65, 64);
    bench.seal("seal65/batch16", best, 65, 16);
    bench.seal("seal65/alone", best, 65, 1);
    bench.open("open65/batch64", best, 65, 64);
    bench.seal("seal1KiB/batch64", best, 1024, 64);
    bench.seal("seal64KiB/alone", best, 65536, 1);
    if (__builtin_cpu_supports("avx2")) {
        bench.seal("seal65-avx2/batch64", BoxKernel::avx2, 65, 64);
    }
    if (crypto::has_avx512_kernels()) {
        bench.x25519();
        bench.handshakes(best);
    }
}

const char* name_of(BoxKernel kernel)
{
    switch (kernel) {
    case BoxKernel::avx512: return "AVX-512 IFMA";
    case BoxKernel::avx2: return "AVX2";
    case BoxKernel::portable: break;
    }
    return "portable";
}

} // namespace
} // namespace caisson::bench

int main(int count, char** arguments)
{
    namespace bench = caisson::bench;
    bool json = false;
    bench::Pace pace;
    bench::TweetNacl tweetnacl;
    for (int index = 1; index < count; ++index) {
        const std::string_view word = arguments[index];
        if (word == "--json") {
            json = true;
        } else if (word == "--quick") {
            pace.rounds = 15;
        } else if (word == "--smoke") {
            pace = {1e5, 3};
        } else if (word == "--tweetnacl" && index + 1 < count) {
            tweetnacl = bench::load_tweetnacl(arguments[++index]);
        } else {
            std::fputs("usage: crypto [--json] [--quick | --smoke] [--tweetnacl LIBRARY]\n", stderr);
            return 64;
        }
    }
    if (sodium_init() < 0) {
        return 70;
    }
    bench::Bench all(pace, tweetnacl);
    bench::measure_all(all);
    const auto* const kernel = bench::name_of(caisson::crypto::kernels_here().back());
    if (json) {
        all.print_json(kernel);
    } else {
        std::printf("kernel: %s\n", kernel);
        all.print_table();
    }
}
