#include "tests/null_chamber/chamber.hpp"

#include "core/check.hpp"
#include "tests/null_chamber/requests.hpp"

#include <sodium.h>

#include <algorithm>

namespace caisson::tests::null_chamber {
namespace {

using trusted::OlderCopy;
using trusted::SealPolicy;

Result<std::size_t> echo(Chamber& /*chamber*/, Bytes input, MutableBytes output) noexcept
{
    if (output.size() < input.size()) {
        return fail(Kind::exhausted, "echo");
    }
    copy_bytes(output, input);
    return input.size();
}

Result<std::size_t> seal(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    return chamber.runtime.seal(SealPolicy::mrsigner, bytes_of("null v1"), input, output);
}

Result<std::size_t> seal_for_image(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    return chamber.runtime.seal(SealPolicy::mrenclave, bytes_of("null v1"), input, output);
}

Result<std::size_t> unseal(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    return chamber.runtime.unseal(bytes_of("null v1"), input, output, OlderCopy::refused);
}

Result<std::size_t> random(Chamber& chamber, Bytes /*input*/, MutableBytes output) noexcept
{
    const auto bytes = output.first(std::min<std::size_t>(output.size(), 32));
    chamber.runtime.random(bytes);
    return bytes.size();
}

Result<std::size_t> report(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    protocol::sgx::TargetInfo target;
    std::memcpy(&target, input.data(), sizeof target);
    const auto made = chamber.runtime.report(target, {});
    std::memcpy(output.data(), &made, sizeof made);
    return sizeof made;
}

Result<std::size_t> verify(Chamber& chamber, Bytes input, MutableBytes /*output*/) noexcept
{
    protocol::sgx::Report made;
    std::memcpy(&made, input.data(), sizeof made);
    TRY(chamber.runtime.verify_report(made));
    return std::size_t{0};
}

Result<std::size_t> target(Chamber& chamber, Bytes /*input*/, MutableBytes output) noexcept
{
    const auto own = chamber.runtime.own_target();
    std::memcpy(output.data(), &own, sizeof own);
    return sizeof own;
}

// Keeps the input in its memory, for those who then look for it from outside.
Result<std::size_t> keep(Chamber& chamber, Bytes input, MutableBytes /*output*/) noexcept
{
    copy_bytes(chamber.kept, input);
    __asm__ volatile("" : : "r"(chamber.kept.data()) : "memory");
    return std::size_t{0};
}

Result<std::size_t> where_kept(Chamber& chamber, Bytes /*input*/, MutableBytes output) noexcept
{
    const auto address = reinterpret_cast<std::uint64_t>(chamber.kept.data());
    if (output.size() < sizeof address) {
        return fail(Kind::exhausted, "where_kept");
    }
    std::memcpy(output.data(), &address, sizeof address);
    return sizeof address;
}

Result<std::size_t> fail_check(Chamber& /*chamber*/, Bytes /*input*/, MutableBytes /*output*/) noexcept
{
    CHECK(false);
}

Result<std::size_t> fault(Chamber& /*chamber*/, Bytes /*input*/, MutableBytes /*output*/) noexcept
{
    __builtin_trap();
}

Result<std::size_t> hang(Chamber& /*chamber*/, Bytes /*input*/, MutableBytes /*output*/) noexcept
{
    while (true) {
        __asm__ volatile("pause");
    }
}

// getpid, spelled so that the disassembly check (which an honest image must pass) does not see it: what an attacker
// who runs code inside would do.
Result<std::size_t> system_call(Chamber& /*chamber*/, Bytes /*input*/, MutableBytes /*output*/) noexcept
{
    std::uint64_t result = 39;
    __asm__ volatile(".byte 0xeb, 0x01, 0xb8, 0x0f, 0x05, 0x90, 0x90" : "+a"(result) : : "rcx", "r11", "memory");
    return static_cast<std::size_t>(result != 0 ? 0 : 1);
}

Result<std::size_t> box(Chamber& chamber, Bytes input, MutableBytes output) noexcept
{
    const auto size = input.size() + crypto_secretbox_MACBYTES;
    if (output.size() < size) {
        return fail(Kind::exhausted, "box");
    }
    ByteArray<crypto_secretbox_NONCEBYTES> nonce{};
    ++chamber.boxes;
    std::memcpy(nonce.data() + nonce.size() - sizeof chamber.boxes, &chamber.boxes, sizeof chamber.boxes);
    crypto_secretbox_easy(output.data(), input.data(), input.size(), nonce.data(), chamber.box_key.data());
    return size;
}

constexpr std::size_t any = airlock::payload_bytes_max;
constexpr airlock::Row<Chamber> table[] = {
    {static_cast<std::uint32_t>(Request::echo), "Echo", 0, any, 0, nullptr, echo},
    {static_cast<std::uint32_t>(Request::seal), "Seal", 0, 256, 0, nullptr, seal},
    {static_cast<std::uint32_t>(Request::seal_for_image), "SealForImage", 0, 256, 0, nullptr, seal_for_image},
    {static_cast<std::uint32_t>(Request::unseal), "Unseal", 0, 512, 0, nullptr, unseal},
    {static_cast<std::uint32_t>(Request::random), "Random", 0, 0, 0, nullptr, random},
    {static_cast<std::uint32_t>(Request::report), "Report", 512, 512, 0, nullptr, report},
    {static_cast<std::uint32_t>(Request::verify), "Verify", 432, 432, 0, nullptr, verify},
    {static_cast<std::uint32_t>(Request::target), "Target", 0, 0, 0, nullptr, target},
    {static_cast<std::uint32_t>(Request::keep), "Keep", 0, 64, 0, nullptr, keep},
    {static_cast<std::uint32_t>(Request::fail_check), "FailCheck", 0, 0, 0, nullptr, fail_check},
    {static_cast<std::uint32_t>(Request::fault), "Fault", 0, 0, 0, nullptr, fault},
    {static_cast<std::uint32_t>(Request::hang), "Hang", 0, 0, 0, nullptr, hang},
    {static_cast<std::uint32_t>(Request::system_call), "SystemCall", 0, 0, 0, nullptr, system_call},
    {static_cast<std::uint32_t>(Request::where_kept), "WhereKept", 0, 0, 0, nullptr, where_kept},
    {static_cast<std::uint32_t>(Request::box), "Box", 0, 4096, 0, nullptr, box},
};

} // namespace

airlock::Answer Chamber::answer(std::uint32_t request, Bytes input, MutableBytes output) noexcept
{
    return airlock::dispatch<Chamber>(table, *this, request, input, output);
}

} // namespace caisson::tests::null_chamber
