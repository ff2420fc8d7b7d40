// What a node with a TPM root sends its server: read, verified, and the same bytes when written again.
#include "protocol/evidence/root_evidence.hpp"

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    namespace evidence = protocol::evidence;
    const Bytes bytes(input, size);
    const auto read = evidence::read_root_evidence(bytes);
    if (!read) {
        return 0;
    }
    if (read->image_count > evidence::registered_images_max || read->pcr_values > evidence::pcr_count) {
        __builtin_trap();
    }
    std::vector<std::uint8_t> again(size + 16);
    const auto written = evidence::write_root_evidence(again, *read);
    if (!written || !same_bytes(Bytes(again).first(*written), bytes)) {
        __builtin_trap(); // two encodings of one piece of evidence
    }
    static_cast<void>(evidence::verify_root_evidence(*read, bytes, {}, {}));
    return 0;
}
