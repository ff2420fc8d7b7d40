// Enclave files of strangers, as `caisson enclave measure` walks them: SGXS streams of other tools, with pages in any
// order and any chunk of them measured, and ELF files with the metadata of Intel's SDK.
#include "host/enclave/image/sdk_elf.hpp"

namespace {

// A few octets may describe 4 GiB of pages, which is lawful and takes its time: enough of them is enough.
struct Enough {};
constexpr std::size_t pages_looked_at = 512;

class Look {
  public:
    void operator()(const caisson::host::enclave::image::Page& page)
    {
        if (page.offset % caisson::protocol::sgx::page_bytes != 0) {
            __builtin_trap();
        }
        if (++pages_ > pages_looked_at) {
            throw Enough();
        }
    }

  private:
    std::size_t pages_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson::host::enclave::image;
    const caisson::Bytes bytes(input, size);
    try {
        static_cast<void>(walk_sgxs(bytes, Look()));
    } catch (const Enough&) {
    }
    const auto elf = SdkElf::open(bytes);
    if (!elf) {
        return 0;
    }
    for (const auto& metadata : elf->metadata()) {
        try {
            static_cast<void>(elf->walk(metadata, Look()));
        } catch (const Enough&) {
        }
    }
    return 0;
}
