// A key file is whatever somebody put there: it is read or refused, and what is read is written back the same.
#include "host/store/key_store.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace caisson::host::store;
    const auto record = read_key_record(caisson::text_of({data, size}), "fuzz");
    if (record) {
        const auto again = read_key_record(key_record_text(*record), "fuzz");
        if (!again || *again != *record) {
            std::abort();
        }
    }
    return 0;
}
