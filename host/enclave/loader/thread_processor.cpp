// The one place of the emulator's traps and crossings that uses thread-local storage.
#include "host/enclave/loader/trap.hpp"

namespace caisson::host::enclave::loader {

Trap::Processor*& Trap::own() noexcept
{
    static thread_local Processor* cpu = nullptr;
    return cpu;
}

} // namespace caisson::host::enclave::loader
