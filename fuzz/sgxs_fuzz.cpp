// Enclave images and signatures as a stranger may hand them to the loader.
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/image/sigstruct.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson::host::enclave::image;
    const caisson::Bytes bytes(input, size);
    if (auto reader = SgxsReader::open(bytes)) {
        while (!reader->done()) {
            const auto page = reader->read_page();
            if (!page) {
                break;
            }
            if (page->offset >= reader->header().size ||
                (page->measured && (page->chunks[15] < input || page->chunks[15] + 256 > input + size))) {
                __builtin_trap();
            }
        }
    }
    if (const auto sigstruct = read_sigstruct(bytes)) {
        static_cast<void>(verify_sigstruct(*sigstruct));
    }
    return 0;
}
