#include "host/enclave/inproc_enclave.hpp"

#include "host/enclave/cpu_features.hpp"
#include "host/enclave/emulated_leaves.hpp"
#include "host/enclave/ring_bell.hpp"
#include "host/enclave/ring_client.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/shared_memory.hpp"

#include <sys/mman.h>

#include <atomic>
#include <system_error>
#include <thread>

namespace caisson::host::enclave {
namespace {

EnclaveIdentity identity_of(const InprocOptions& options, const Root& root)
{
    EnclaveIdentity identity;
    identity.attributes = {protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT,
                           protocol::sgx::XFRM_LEGACY};
    identity.mrenclave = options.mrenclave;
    identity.mrsigner = options.mrsigner;
    identity.isv_prod_id = options.product;
    identity.isv_svn = options.svn;
    identity.cpusvn = emulated_cpusvn(protocol::sgx::Platform::inproc, root.kind());
    return identity;
}

EnclaveFacts facts_of(const InprocOptions& options, const Root& root)
{
    EnclaveFacts facts;
    facts.platform = protocol::sgx::Platform::inproc;
    facts.root = root.kind();
    facts.mrenclave = options.mrenclave;
    facts.mrsigner = options.mrsigner;
    facts.product = options.product;
    facts.svn = options.svn;
    return facts;
}

// Addresses without memory, of which pages become memory one by one.
class ArenaPages {
  public:
    explicit ArenaPages(std::size_t bytes)
        : bytes_(bytes)
        , memory_(::mmap(nullptr, airlock::arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))
    {
    }
    ~ArenaPages()
    {
        if (memory_ != MAP_FAILED) {
            ::munmap(memory_, airlock::arena_bytes);
        }
    }
    ArenaPages(const ArenaPages&) = delete;
    ArenaPages& operator=(const ArenaPages&) = delete;

    [[nodiscard]] MutableBytes range() const noexcept
    {
        return memory_ == MAP_FAILED ? MutableBytes()
                                     : MutableBytes(static_cast<std::uint8_t*>(memory_), airlock::arena_bytes);
    }
    [[nodiscard]] bool accept(std::uint8_t* page) const noexcept
    {
        const auto offset = static_cast<std::size_t>(page - static_cast<std::uint8_t*>(memory_));
        return offset < bytes_ && ::mprotect(page, protocol::sgx::page_bytes, PROT_READ | PROT_WRITE) == 0;
    }

  private:
    std::size_t bytes_;
    void* memory_;
};

class InprocEnclave final : public Enclave {
  public:
    InprocEnclave(RingMemory memory, std::unique_ptr<InprocChamber> chamber, const InprocOptions& options,
                  const Root& root)
        : memory_(std::move(memory))
        , arena_(options.arena_bytes)
        , chamber_(std::move(chamber))
        , facts_(facts_of(options, root))
        , identity_(identity_of(options, root))
        , keys_(root.keys_for(facts_.platform, facts_.mrenclave, facts_.mrsigner, facts_.product))
        , client_(memory_.ring(), [this](const Stall&) { return alive(); }, spin_budget_ticks())
    {
    }
    ~InprocEnclave() override
    {
        client_.stop();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    Done start(const ByteArray<64>& seed);

    Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output) override
    {
        return client_.call(request, input, output);
    }
    void call_many(std::span<Call> calls) override { client_.call_many(calls); }
    [[nodiscard]] Flight submit(std::span<Call> calls) override { return client_.submit(calls); }
    void reap(const Flight& flight) override { client_.reap(flight); }
    void release(const Flight& flight) override { client_.release(flight); }
    [[nodiscard]] const EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override { return serving_.load(std::memory_order_acquire); }
    [[nodiscard]] int ring_fd() const noexcept override { return memory_.descriptor(); }

  private:
    void serve() noexcept;

    static void ereport(void* self, const protocol::sgx::TargetInfo& target, const protocol::sgx::ReportData& data,
                        protocol::sgx::Report& report) noexcept
    {
        const auto& enclave = *static_cast<InprocEnclave*>(self);
        emulate_ereport(enclave.identity_, enclave.keys_, target, data, report);
    }
    static bool egetkey(void* self, const protocol::sgx::KeyRequest& request, ByteArray<16>& key) noexcept
    {
        const auto& enclave = *static_cast<InprocEnclave*>(self);
        return is_key_request(request) && emulate_egetkey(enclave.identity_, enclave.keys_, request, key) == 0;
    }

    static bool eaccept(void* self, std::uint8_t* page) noexcept
    {
        return static_cast<const InprocEnclave*>(self)->arena_.accept(page);
    }

    RingMemory memory_;
    ArenaPages arena_; // outlives the chamber
    std::unique_ptr<InprocChamber> chamber_;
    EnclaveFacts facts_;
    EnclaveIdentity identity_;
    PlatformKeys keys_;
    RingClient client_;
    std::atomic<bool> serving_ = false;
    std::thread thread_;
};

Done InprocEnclave::start(const ByteArray<64>& seed)
{
    if (arena_.range().empty()) {
        return fault(Kind::exhausted, "starting a chamber: there is no address space for its arena (RLIMIT_AS)");
    }
    airlock::EntryFacts facts{airlock::entry_magic, cpu_features(), spin_budget_ticks(), airlock::arena_bytes, seed};
    const auto started = chamber_->start(memory_.ring(), {this, ereport, egetkey, eaccept, arena_.range()}, facts);
    wipe(facts.seed);
    if (!started) {
        return fault(started.error().kind, std::string("starting a chamber: ") + started.error().what);
    }
    serving_ = true;
    try {
        thread_ = std::thread([this] { serve(); });
    } catch (const std::system_error& error) {
        serving_ = false;
        return std::unexpected(system_fault("starting a chamber's thread", error.code().value()));
    }
    return {};
}

// What the loader does for an image.
void InprocEnclave::serve() noexcept
{
    auto& ring = memory_.ring();
    while (true) {
        const auto pause = chamber_->serve();
        wake_producers(ring);
        if (pause.reason == airlock::ExitReason::stopped || pause.reason == airlock::ExitReason::failed) {
            break;
        }
        if (pause.reason == airlock::ExitReason::idle) {
            wait_for_doorbell(ring, pause.doorbell);
        }
    }
    serving_.store(false, std::memory_order_release);
}

} // namespace

Outcome<std::unique_ptr<Enclave>> open_inproc_enclave(std::unique_ptr<InprocChamber> chamber,
                                                      const InprocOptions& options, const Root& root)
{
    auto memory = TRY(RingMemory::create(spin_budget_ticks()));
    auto enclave = std::make_unique<InprocEnclave>(std::move(memory), std::move(chamber), options, root);
    TRY(enclave->start(options.seed));
    return enclave;
}

} // namespace caisson::host::enclave
