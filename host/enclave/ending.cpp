#include "host/enclave/ending.hpp"

#include "host/enclave/loader/report.hpp"

#include <cstring>

#include <sys/wait.h>

namespace caisson::host::enclave {
namespace {

constexpr const char* without_page =
    ": the kernel had no page for it, of secret memory perhaps; is the machine, or its cgroup, out of memory?";

std::string signal_text(int number)
{
    const auto name = std::string("the loader was ended by ") + ::strsignal(number);
    switch (number) {
    case SIGBUS: return name + without_page;
    case SIGKILL:
        return name + ": by the kernel for want of memory (dmesg says so), by its guard's end, or by somebody";
    case SIGSYS:
        return name + ": a system call that is not permitted to it; please report this with the kernel's version";
    default: return name + "; please report this";
    }
}

} // namespace

std::string ending_text(const ::siginfo_t& ended)
{
    if (ended.si_code != CLD_EXITED) {
        return signal_text(ended.si_status);
    }
    if (ended.si_status == loader::status_without_page) {
        return std::string("the loader gave up") + without_page;
    }
    return "the loader ended without a word, with status " + std::to_string(ended.si_status) + "; please report this";
}

} // namespace caisson::host::enclave
