#include "host/enclave/sgx_enclave.hpp"

#include "airlock/arena.hpp"
#include "airlock/entry.hpp"
#include "host/enclave/cpu_features.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/enclave/ring_bell.hpp"
#include "host/enclave/ring_client.hpp"
#include "host/enclave/shared_memory.hpp"
#include "host/store/durable_file.hpp"

#include <atomic>
#include <system_error>
#include <thread>

namespace caisson::host::enclave {
namespace {

using protocol::sgx::page_bytes;
using protocol::sgx::PageType;
using Content = std::vector<std::uint8_t>;

constexpr std::size_t image_file_bytes_max = std::size_t{64} << 20U;

struct Image {
    std::filesystem::path path;
    Content pages;
    protocol::sgx::Sigstruct sigstruct{};
};

// What is wrong with a file, with its name in front.
Fault in_file(const std::filesystem::path& path, const Fault& found)
{
    return {found.kind, path.string() + ": " + found.what};
}

Outcome<Image> load_image(const EnclaveOptions& options)
{
    const auto folder = options.images.empty() ? find_images() : options.images;
    const std::string name = chamber_name(options.chamber);
    Image image;
    image.path = folder / (name + ".sgxs");
    image.pages = TRY(store::load_file(image.path, image_file_bytes_max, store::Writers::owner));
    const auto signature = folder / (name + ".sig");
    const auto content = TRY(store::load_file(signature, image_file_bytes_max, store::Writers::owner));
    const auto sigstruct = image::read_sigstruct(content);
    if (!sigstruct) {
        return std::unexpected(in_file(signature, sigstruct.error()));
    }
    image.sigstruct = *sigstruct;
    // The CPU checks both as well; here the error says which file is wrong.
    if (const auto verified = image::verify_sigstruct(image.sigstruct); !verified) {
        return std::unexpected(in_file(signature, verified.error()));
    }
    return image;
}

EnclaveFacts facts_of(const Image& image)
{
    EnclaveFacts facts;
    facts.platform = protocol::sgx::Platform::sgx;
    facts.root = protocol::sgx::RootKind::cpu;
    facts.mrenclave = image::measurement_of(image.pages);
    facts.mrsigner = image::mrsigner_of(image.sigstruct);
    facts.product = image.sigstruct.isv_prod_id;
    facts.svn = image.sigstruct.isv_svn;
    facts.debug = (image.sigstruct.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0;
    facts.note = image::note_of(image.pages).value_or(protocol::ImageNote());
    return facts;
}

// Every page, and the address of the first thread. Pages of one kind that follow each other are mapped as one.
class Builder {
  public:
    explicit Builder(SgxDevice& device)
        : device_(device)
    {
    }

    Outcome<std::uint64_t> build(const Image& image, std::uint32_t features);

  private:
    struct Stretch {
        std::uint64_t offset = 0;
        std::uint64_t bytes = 0;
        std::uint64_t permissions = 0;
    };
    Done add(const image::SgxsPage& page);

    SgxDevice& device_;
    std::vector<Stretch> stretches_;
    std::uint64_t first_tcs_ = 0;
};

Done Builder::add(const image::SgxsPage& page)
{
    if (!page.measured) {
        return fault(Kind::malformed, "every page of an enclave image must be measured");
    }
    ByteArray<page_bytes> content;
    for (std::size_t index = 0; index < page.chunks.size(); ++index) {
        copy_bytes(MutableBytes(content).subspan(index * protocol::sgx::eextend_bytes),
                   {page.chunks[index], protocol::sgx::eextend_bytes});
    }
    TRY(device_.add_page(page.offset, page.secinfo, content));
    const bool thread = static_cast<PageType>(page.secinfo >> 8U) == PageType::PT_TCS;
    if (thread && first_tcs_ == 0) {
        first_tcs_ = page.offset;
    }
    // A TCS has no permissions of its own; the kernel wants it mapped for reading and writing.
    const auto permissions =
        thread ? protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W : page.secinfo & std::uint64_t{7};
    if (!stretches_.empty() && stretches_.back().permissions == permissions &&
        stretches_.back().offset + stretches_.back().bytes == page.offset) {
        stretches_.back().bytes += page_bytes;
    } else {
        stretches_.push_back({page.offset, page_bytes, permissions});
    }
    return {};
}

Outcome<std::uint64_t> Builder::build(const Image& image, std::uint32_t features)
{
    auto reader = TRY(image::SgxsReader::open(image.pages));
    protocol::sgx::Secs secs{};
    secs.size = reader.header().size;
    secs.ssa_frame_size = reader.header().ssa_frame_pages;
    secs.miscselect = image.sigstruct.miscselect;
    secs.attributes = {image.sigstruct.attributes.flags, xfrm_of(features)};
    TRY(device_.create(secs));
    while (!reader.done()) {
        const auto page = TRY(reader.read_page());
        TRY(add(page));
    }
    if (first_tcs_ == 0) {
        return fault(Kind::malformed, "the enclave image has no thread (TCS)");
    }
    TRY(device_.initialise(image.sigstruct));
    for (const auto& stretch : stretches_) {
        TRY(device_.map(stretch.offset, stretch.bytes, stretch.permissions));
    }
    if (reader.header().size == airlock::image_range_bytes) { // pages that the kernel adds as they are accepted
        TRY(device_.map(airlock::arena_offset, airlock::arena_bytes,
                        protocol::sgx::SECINFO_R | protocol::sgx::SECINFO_W));
    }
    return device_.base() + first_tcs_;
}

class SgxEnclave final : public Enclave {
  public:
    SgxEnclave(RingMemory memory, EnclaveFacts facts, std::unique_ptr<SgxDevice> device, std::uint64_t tcs,
               std::uint32_t spin_ticks)
        : memory_(std::move(memory))
        , facts_(std::move(facts))
        , device_(std::move(device))
        , tcs_(tcs)
        , client_(memory_.ring(), [this](const Stall&) { return alive(); }, spin_ticks)
    {
        entry_facts_.magic = airlock::entry_magic; // the seed stays zero: RDRAND alone
        entry_facts_.features = cpu_features();
        entry_facts_.spin_budget_ticks = spin_ticks;
        entry_facts_.arena_bytes = airlock::arena_bytes;
    }
    ~SgxEnclave() override
    {
        client_.stop();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    Done start(const RollbackCounters& counters);

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

    RingMemory memory_;
    EnclaveFacts facts_;
    std::unique_ptr<SgxDevice> device_;
    std::uint64_t tcs_;
    alignas(64) airlock::EntryFacts entry_facts_{};
    RingClient client_;
    std::atomic<bool> serving_ = false;
    std::thread thread_;
};

Done SgxEnclave::start(const RollbackCounters& counters)
{
    entry_facts_.counter_least = counters.least;
    entry_facts_.counter_sealed = counters.sealed;
    serving_ = true;
    try {
        thread_ = std::thread([this] { serve(); });
    } catch (const std::system_error& error) {
        serving_ = false;
        return std::unexpected(system_fault("starting a chamber's thread", error.code().value()));
    }
    return {};
}

// The loader's loop, on hardware. An exception inside ends the chamber: it is never resumed.
void SgxEnclave::serve() noexcept
{
    auto& ring = memory_.ring();
    const Entry entry{tcs_, protocol::sgx::EENTER, static_cast<std::uint64_t>(airlock::EntryOperation::serve),
                      reinterpret_cast<std::uint64_t>(&ring), reinterpret_cast<std::uint64_t>(&entry_facts_)};
    while (true) {
        const auto exit = enter_enclave(device_->entry(), entry);
        const auto reason = static_cast<airlock::ExitReason>(exit.rdi);
        wake_producers(ring);
        if (exit.error != 0 || exit.by_exception ||
            (reason != airlock::ExitReason::idle && reason != airlock::ExitReason::wake)) {
            break;
        }
        if (reason == airlock::ExitReason::idle) {
            wait_for_doorbell(ring, static_cast<std::uint32_t>(exit.rsi));
        }
    }
    serving_.store(false, std::memory_order_release);
}

} // namespace

Outcome<std::unique_ptr<Enclave>> open_sgx_enclave(const EnclaveOptions& options, std::unique_ptr<SgxDevice> device,
                                                   const RollbackCounters& counters)
{
    const auto image = TRY(load_image(options));
    const auto tcs = Builder(*device).build(image, cpu_features());
    if (!tcs) {
        const auto kind = tcs.error().kind;
        const bool is_files = kind == Kind::truncated || kind == Kind::malformed || kind == Kind::unauthentic;
        return std::unexpected(is_files ? in_file(image.path, tcs.error()) : tcs.error());
    }
    const auto spin_ticks = options.waiting == Waiting::spin ? spin_budget_ticks() : 0;
    auto memory = TRY(RingMemory::create(spin_ticks));
    auto enclave =
        std::make_unique<SgxEnclave>(std::move(memory), facts_of(image), std::move(device), *tcs, spin_ticks);
    TRY(enclave->start(counters));
    return enclave;
}

} // namespace caisson::host::enclave
