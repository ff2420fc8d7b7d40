// The SGX driver without SGX: measures what it is given as the CPU would, from the calls alone, judges EINIT, and lets
// a chamber of this process stand behind the entry. What it cannot show is that a CPU agrees.
#pragma once

#include "airlock/arena.hpp"
#include "airlock/entry.hpp"
#include "host/enclave/emulated_leaves.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/enclave/inproc_enclave.hpp"
#include "host/enclave/sgx_device.hpp"

#include <sodium.h>

#include <cerrno>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace caisson::tests {

class FakeSgxDevice final : public host::enclave::SgxDevice {
  public:
    // `chamber` answers behind the entry; `seed` stands for RDRAND.
    FakeSgxDevice(std::unique_ptr<host::enclave::InprocChamber> chamber, const host::enclave::Root& root,
                  std::uint8_t seed)
        : chamber_(std::move(chamber))
        , root_(root)
        , seed_(seed)
    {
    }
    ~FakeSgxDevice() override
    {
        chamber_.reset(); // its tables lie in the arena
        const std::scoped_lock lock(mutex());
        devices().erase(base_);
    }

    // What was called, in order: "create", "add", "init", "map", ...
    std::vector<std::string> calls;
    // Bytes that were mapped, by permissions.
    std::map<std::uint64_t, std::uint64_t> mapped;
    std::string refuse;  // a call that shall fail
    bool as_cpu = false; // reports look like a CPU's: for what judges them

    host::Done create(const protocol::sgx::Secs& secs) override
    {
        static std::uint64_t next = std::uint64_t{1} << 40U;
        const std::scoped_lock lock(mutex());
        identity_.attributes = secs.attributes;
        size_ = secs.size;
        base_ = next += secs.size;
        devices()[base_] = this;
        crypto_hash_sha256_init(&state_);
        record("ECREATE", {secs.ssa_frame_size, secs.size}, 4);
        return called("create");
    }
    host::Done add_page(std::uint64_t offset, std::uint64_t secinfo_flags, Bytes page) override
    {
        record("EADD", {offset, secinfo_flags}, 8);
        for (std::size_t at = 0; at < page.size(); at += protocol::sgx::eextend_bytes) {
            record("EEXTEND", {offset + at, 0}, 8);
            crypto_hash_sha256_update(&state_, page.data() + at, protocol::sgx::eextend_bytes);
        }
        return called("add");
    }
    host::Done initialise(const protocol::sgx::Sigstruct& sigstruct) override
    {
        crypto_hash_sha256_final(&state_, identity_.mrenclave.data());
        TRY(host::enclave::image::verify_sigstruct(sigstruct));
        TRY(host::enclave::image::verify_enclave(sigstruct, identity_.mrenclave, identity_.attributes));
        identity_.mrsigner = host::enclave::image::mrsigner_of(sigstruct);
        identity_.isv_prod_id = sigstruct.isv_prod_id;
        identity_.isv_svn = sigstruct.isv_svn;
        identity_.attributes.flags |= protocol::sgx::ATTRIBUTES_INIT;
        identity_.cpusvn = host::enclave::emulated_cpusvn(protocol::sgx::Platform::sgx, protocol::sgx::RootKind::cpu);
        if (as_cpu) {
            identity_.cpusvn.fill(5);
        }
        keys_ = root_.keys_for(protocol::sgx::Platform::sgx, identity_.mrenclave, identity_.mrsigner,
                               identity_.isv_prod_id);
        return called("init");
    }
    host::Done map(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions) override
    {
        if (offset + bytes > size_) {
            return host::fault(Kind::malformed, "a mapping outside the enclave");
        }
        mapped[permissions] += bytes;
        arena_mapped_ = arena_mapped_ || (offset == airlock::arena_offset && bytes == airlock::arena_bytes);
        return called("map");
    }
    host::Done restrict_permissions(std::uint64_t, std::uint64_t, std::uint64_t) override { return called("restrict"); }
    host::Done trim(std::uint64_t, std::uint64_t) override { return called("trim"); }
    host::Done remove(std::uint64_t, std::uint64_t) override { return called("remove"); }
    [[nodiscard]] std::uint64_t base() const noexcept override { return base_; }
    [[nodiscard]] host::enclave::EnterFunction entry() const noexcept override { return enter; }

    [[nodiscard]] const Digest& measurement() const noexcept { return identity_.mrenclave; }

  private:
    static std::mutex& mutex()
    {
        static std::mutex one;
        return one;
    }
    static std::map<std::uint64_t, FakeSgxDevice*>& devices()
    {
        static std::map<std::uint64_t, FakeSgxDevice*> all;
        return all;
    }

    host::Done called(const char* name)
    {
        calls.emplace_back(name);
        return refuse == name ? host::Done(host::fault(Kind::unavailable, "refused as asked")) : host::Done();
    }

    // One record of the measurement: a name, then two numbers, the first of `first_bytes`.
    void record(std::string_view name, std::array<std::uint64_t, 2> numbers, std::size_t first_bytes)
    {
        ByteArray<64> block{};
        copy_bytes(block, bytes_of(name));
        std::memcpy(block.data() + 8, numbers.data(), first_bytes);
        std::memcpy(block.data() + 8 + first_bytes, &numbers[1], sizeof numbers[1]);
        crypto_hash_sha256_update(&state_, block.data(), block.size());
    }

    static void ereport(void* self, const protocol::sgx::TargetInfo& target, const protocol::sgx::ReportData& data,
                        protocol::sgx::Report& report) noexcept
    {
        const auto& device = *static_cast<FakeSgxDevice*>(self);
        host::enclave::emulate_ereport(device.identity_, device.keys_, target, data, report);
    }
    static bool egetkey(void* self, const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept
    {
        const auto& device = *static_cast<FakeSgxDevice*>(self);
        return host::enclave::is_key_request(request) &&
               host::enclave::emulate_egetkey(device.identity_, device.keys_, request, key) == 0;
    }

    // As if the driver had added the page when EACCEPT faulted, where the arena is mapped.
    static bool eaccept(void* self, std::uint8_t* page) noexcept
    {
        const auto& device = *static_cast<FakeSgxDevice*>(self);
        const auto* first = device.arena_.front().bytes.data();
        return device.arena_mapped_ && page >= first && page < first + airlock::arena_bytes;
    }
    [[nodiscard]] host::enclave::InprocLeaves leaves() noexcept
    {
        return {this, ereport, egetkey, eaccept, {arena_.front().bytes.data(), airlock::arena_bytes}};
    }

    // Enters and leaves as the vDSO has it: the handler of the run sees RDI and RSI.
    static int enter(std::uint64_t /*rdi*/, std::uint64_t rsi, std::uint64_t rdx, std::uint32_t function,
                     std::uint64_t /*r8*/, std::uint64_t /*r9*/, host::enclave::EnclaveRun* run) noexcept
    {
        FakeSgxDevice* device = nullptr;
        {
            const std::scoped_lock lock(mutex());
            const auto found = devices().upper_bound(run->tcs);
            if (function != protocol::sgx::EENTER || found == devices().begin()) {
                return -EINVAL;
            }
            device = std::prev(found)->second;
        }
        if (!device->started_) {
            device->facts_ = *reinterpret_cast<const airlock::EntryFacts*>(rdx);
            device->seed_was_zero = device->facts_.seed == ByteArray<64>{};
            device->facts_.seed[0] = device->seed_;
            device->started_ = true;
            if (!device->chamber_->start(*reinterpret_cast<airlock::Ring*>(rsi), device->leaves(), device->facts_)) {
                return -EFAULT;
            }
        }
        const auto pause = device->chamber_->serve();
        run->function = protocol::sgx::EEXIT;
        using Handler = int (*)(std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                                std::uint64_t, host::enclave::EnclaveRun*);
        return reinterpret_cast<Handler>(run->user_handler)(static_cast<std::uint64_t>(pause.reason), pause.doorbell, 0,
                                                            0, 0, 0, run);
    }

  public:
    bool seed_was_zero = false;

  private:
    std::unique_ptr<host::enclave::InprocChamber> chamber_;
    const host::enclave::Root& root_;
    std::uint8_t seed_;
    bool started_ = false;
    airlock::EntryFacts facts_{};
    host::enclave::EnclaveIdentity identity_{};
    host::enclave::PlatformKeys keys_;
    std::uint64_t size_ = 0;
    std::uint64_t base_ = 0;
    crypto_hash_sha256_state state_{};
    struct alignas(protocol::sgx::page_bytes) Page {
        ByteArray<protocol::sgx::page_bytes> bytes;
    };
    bool arena_mapped_ = false;
    std::vector<Page> arena_ = std::vector<Page>(airlock::arena_bytes / protocol::sgx::page_bytes);
};

} // namespace caisson::tests
