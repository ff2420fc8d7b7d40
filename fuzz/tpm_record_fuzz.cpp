// The record of a TPM root on disk.
#include "host/tpm/root_record.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size)
{
    using namespace caisson;
    const auto record = host::tpm::read_record(text_of({bytes, size}), "a record");
    // What is accepted is written back as it is meant.
    if (record) {
        const auto text = host::tpm::record_text(*record);
        const auto again = host::tpm::read_record(text, "a record");
        if (!again || host::tpm::record_text(*again) != text) {
            std::abort();
        }
    }
    return 0;
}
