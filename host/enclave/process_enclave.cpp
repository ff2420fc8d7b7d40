// The platform `process`: a locked-down child in which the loader emulates the CPU.
#include "core/text.hpp"
#include "host/enclave/cpu_features.hpp"
#include "host/enclave/enclave.hpp"
#include "host/enclave/ending.hpp"
#include "host/enclave/hang_watch.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/enclave/image/sigstruct.hpp"
#include "host/enclave/image_files.hpp"
#include "host/enclave/loader/report.hpp"
#include "host/enclave/nursery.hpp"
#include "host/enclave/ring_client.hpp"
#include "host/enclave/root.hpp"
#include "host/enclave/shared_memory.hpp"
#include "host/store/durable_file.hpp"
#include "loader_digest.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

namespace caisson::host::enclave {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto start_time_max = std::chrono::seconds(30); // of a machine that has no time for it
constexpr auto stop_time_max = std::chrono::seconds(2);

struct Files {
    std::filesystem::path folder;
    std::string name; // of the chamber
    SealedFile loader, image, sigstruct;
    EnclaveFacts facts;
};

std::filesystem::path folder_of(const EnclaveOptions& options)
{
    return options.images.empty() ? find_images() : options.images;
}

Outcome<protocol::sgx::Sigstruct> read_signature(const std::filesystem::path& path, Bytes content)
{
    const auto sigstruct = image::read_sigstruct(content);
    if (!sigstruct) {
        return fault(sigstruct.error().kind, path.string() + ": " + sigstruct.error().what);
    }
    return *sigstruct;
}

// The loader whole; image and signature are empty until `fill`.
Outcome<Files> load_loader(const EnclaveOptions& options)
{
    Files files;
    files.folder = folder_of(options);
    files.name = chamber_name(options.chamber);
    const auto path = files.folder / "caisson-loader";
    files.loader = TRY(SealedFile::copy_of(path, image_file_bytes_max, Executable::yes));
    files.facts.loader = TRY(files.loader.digest());
    std::array<char, 2 * sizeof(Digest)> text{};
    write_hex(text, files.facts.loader);
    if (std::string_view(text.data(), text.size()) != caisson_loader_digest) {
        return fault(Kind::unauthentic,
                     path.string() + ": this is not the loader that was built with this program; reinstall it");
    }
    files.image = TRY(SealedFile::create(files.name + ".sgxs", Executable::no));
    files.sigstruct = TRY(SealedFile::create(files.name + ".sig", Executable::no));
    files.facts.platform = protocol::sgx::Platform::process;
    return files;
}

// Image and signature, and what the signature says: the loader measures the image, and ends where it is another one.
Done fill(Files& files)
{
    TRY(files.image.fill_from(files.folder / (files.name + ".sgxs"), image_file_bytes_max));
    TRY(files.sigstruct.fill_from(files.folder / (files.name + ".sig"), image_file_bytes_max));
    const auto signature = TRY(files.sigstruct.first(sizeof(protocol::sgx::Sigstruct) + 1)); // one more is seen
    const auto sigstruct = TRY(read_signature(files.folder / (files.name + ".sig"), signature));
    files.facts.mrenclave = sigstruct.enclave_hash;
    files.facts.mrsigner = image::mrsigner_of(sigstruct);
    files.facts.product = sigstruct.isv_prod_id;
    files.facts.svn = sigstruct.isv_svn;
    files.facts.debug = (sigstruct.attributes.flags & protocol::sgx::ATTRIBUTES_DEBUG) != 0;
    const auto beginning =
        TRY(files.image.first(image::SgxsReader::header_bytes + image::SgxsReader::page_record_bytes));
    files.facts.note = image::note_of(beginning).value_or(protocol::ImageNote());
    return {};
}

std::uint32_t spin_ticks_of(Waiting waiting) noexcept
{
    return waiting == Waiting::spin ? spin_budget_ticks() : 0;
}

// What goes through the pipe, in the order in which it is read.
struct Start {
    loader::StartFacts facts;
    loader::StartSecrets secrets;
};
static_assert(sizeof(Start) == sizeof(loader::StartFacts) + sizeof(loader::StartSecrets));

Start start_of(const Root& root, const EnclaveFacts& facts, const EnclaveOptions& options)
{
    const auto keys = root.keys_for(facts.platform, facts.mrenclave, facts.mrsigner, facts.product);
    Start start;
    keys.copy_to(start.secrets.seal_enclave, start.secrets.seal_signer, start.secrets.report);
    start.facts.platform = static_cast<std::uint32_t>(facts.platform);
    start.facts.root = static_cast<std::uint32_t>(root.kind());
    start.facts.features = cpu_features();
    start.facts.spin_budget_ticks = spin_ticks_of(options.waiting);
    const auto counters = root.counters_for(options);
    start.facts.counter_least = counters.least;
    start.facts.counter_sealed = counters.sealed;
    const auto& missing = options.missing_step;
    missing.copy(start.facts.missing_step.data(), start.facts.missing_step.size() - 1);
    start.facts.missing_error = options.missing_error;
    return start;
}

// Out of the way of the numbers that the loader's descriptors shall get.
int duplicate(int descriptor, int how, int& error) noexcept
{
    constexpr int above = 16;
    const int number = ::fcntl(descriptor, how, above);
    if (number < 0 && error == 0) {
        error = errno == EINVAL ? EMFILE : errno; // EINVAL: no number so high is permitted
    }
    return number;
}

// Runs in the forked child: only calls that are safe there. Never returns. The memory is the host's: it reads `error`.
[[noreturn]] void become_loader(int loader_fd, std::array<int, 4> descriptors, int& error) noexcept
{
    for (auto& descriptor : descriptors) {
        descriptor = duplicate(descriptor, F_DUPFD, error);
    }
    const int program = duplicate(loader_fd, F_DUPFD_CLOEXEC, error);
    if (error != 0) {
        ::_exit(127);
    }
    for (std::size_t index = 0; index < descriptors.size(); ++index) {
        ::dup2(descriptors[index], loader::ring_descriptor + static_cast<int>(index));
    }
    char name[] = "caisson-loader";
    char* const arguments[] = {name, nullptr};
    char* const environment[] = {nullptr};
    ::fexecve(program, arguments, environment);
    error = errno;
    ::_exit(127);
}

class ProcessEnclave final : public Enclave {
  public:
    ProcessEnclave(RingMemory memory, EnclaveOptions options, Files files, std::uint32_t spin_ticks)
        : memory_(std::move(memory))
        , options_(std::move(options))
        , files_(std::move(files))
        , facts_(files_.facts)
        , client_(memory_.ring(), [this](const Stall& stall) { return serves(stall); }, spin_ticks)
    {
        if (options_.waiting == Waiting::beside) {
            client_.bring_beside([this](int cpu) { bring_to(cpu); });
        }
    }
    ~ProcessEnclave() override { stop(); }

    Done start(const Root& root);
    Done restart(const Root& root) override;

    Result<std::size_t> call(std::uint32_t request, Bytes input, MutableBytes output) override
    {
        return client_.call(request, input, output);
    }
    void call_many(std::span<Call> calls) override { client_.call_many(calls); }
    [[nodiscard]] Flight submit(std::span<Call> calls) override { return client_.submit(calls); }
    void reap(const Flight& flight) override { client_.reap(flight); }
    void release(const Flight& flight) override { client_.release(flight); }
    [[nodiscard]] const EnclaveFacts& facts() const noexcept override { return facts_; }
    [[nodiscard]] bool alive() noexcept override;
    [[nodiscard]] int ring_fd() const noexcept override { return memory_.descriptor(); }
    [[nodiscard]] int ended_fd() const noexcept override { return child_.number(); }

  private:
    [[nodiscard]] bool serves(const Stall& stall) noexcept;
    void bring_to(int cpu) const noexcept;
    Done launch();
    Done hand_over(const Root& root, int pipe);
    Done wait_until_ready();
    Done told_failure();
    [[nodiscard]] std::string how_it_ended() const;
    void read_protections();
    void stop() noexcept;
    void reap_child() noexcept;

    RingMemory memory_;
    EnclaveOptions options_;
    Files files_; // for this start and later ones
    bool filled_ = false;
    struct Pipe {
        Descriptor reading; // open here too until all is written: a loader that has ended must not end us by SIGPIPE
        Descriptor writing;
    } pipe_; // to the loader that starts
    EnclaveFacts facts_;
    std::atomic<bool> hung_ = false;
    HangWatch hang_watch_; // asked under the client's lock
    RingClient client_;
    std::mutex child_mutex_; // a restart puts another one in its place
    Descriptor child_;       // a pidfd
};

bool ProcessEnclave::alive() noexcept
{
    const std::scoped_lock lock(child_mutex_);
    if (child_.number() < 0 || hung_.load(std::memory_order_relaxed)) {
        return false;
    }
    pollfd ended{child_.number(), POLLIN, 0};
    return ::poll(&ended, 1, 0) == 0;
}

// A chamber that hangs is ended here: it may hold a lane for ever, and a late answer must not reach anybody.
bool ProcessEnclave::serves(const Stall& stall) noexcept
{
    if (!alive()) {
        return false;
    }
    if (hang_watch_.hangs(stall)) {
        hung_ = true;
        ::kill(facts_.pid, SIGKILL);
        return false;
    }
    return true;
}

// Where that is not permitted the chamber wakes where the kernel likes, which costs time and nothing else.
void ProcessEnclave::bring_to(int cpu) const noexcept
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cpu), &one);
    ::sched_setaffinity(facts_.pid, sizeof one, &one);
}

Done ProcessEnclave::start(const Root& root)
{
    TRY(launch());
    const auto pipe = std::exchange(pipe_, {});
    if (auto handed = hand_over(root, pipe.writing.number()); !handed) {
        ::kill(facts_.pid, SIGKILL);
        reap_child();
        return handed;
    }
    return wait_until_ready();
}

// While the loader becomes a program, image and signature are copied; it waits for its facts at the other end of the
// pipe, and reads nothing before it has them.
Done ProcessEnclave::hand_over(const Root& root, int pipe)
{
    if (!filled_) {
        TRY(fill(files_));
        const auto pid = facts_.pid;
        const auto root_kind = facts_.root;
        facts_ = files_.facts;
        facts_.pid = pid;
        facts_.root = root_kind;
        filled_ = true;
    }
    auto start = start_of(root, facts_, options_);
    const auto written = ::write(pipe, &start, sizeof start);
    const int error = written < 0 ? errno : EIO;
    wipe({reinterpret_cast<std::uint8_t*>(&start), sizeof start});
    if (written != static_cast<ssize_t>(sizeof start)) {
        return std::unexpected(system_fault("handing the loader its keys", error));
    }
    return {};
}

Done ProcessEnclave::restart(const Root& root)
{
    if (root.kind() != facts_.root) {
        return fault(Kind::unacceptable, "a chamber is not restarted under a root of another kind");
    }
    if (facts_.pid > 0) {
        ::kill(facts_.pid, SIGKILL);
        reap_child();
    }
    client_.abandon();
    auto& report = loader::report_of(memory_.ring());
    report.step_count = 0;
    report.failure = {};
    report.state.store(loader::LoaderState::starting, std::memory_order_release);
    facts_.protections.clear();
    hung_ = false;
    TRY(start(root));
    client_.reopen();
    return {};
}

Done ProcessEnclave::launch()
{
    int ends[2] = {-1, -1};
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return std::unexpected(system_fault("creating a pipe for the loader", errno));
    }
    pipe_ = {Descriptor(ends[0]), Descriptor(ends[1])};
    int error = 0;
    const auto pid = fork_in_nursery([&] {
        become_loader(
            files_.loader.descriptor(),
            {memory_.descriptor(), files_.image.descriptor(), files_.sigstruct.descriptor(), pipe_.reading.number()},
            error);
    });
    if (pid < 0) {
        return std::unexpected(system_fault("starting a chamber: making the loader's process", errno));
    }
    facts_.pid = pid;
    if (error != 0) {
        reap_child();
        return std::unexpected(system_fault("starting a chamber: running the loader", error));
    }
    memory_.ring().lanes[0].owner_pid.store(static_cast<std::uint32_t>(pid), std::memory_order_seq_cst);
    hang_watch_.watch(pid);
    {
        const std::scoped_lock lock(child_mutex_);
        child_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        error = child_.number() < 0 ? errno : 0;
    }
    if (error != 0) {
        ::kill(pid, SIGKILL);
        reap_child();
        return std::unexpected(system_fault("starting a chamber: a descriptor for the loader's process", error));
    }
    return {};
}

Done ProcessEnclave::wait_until_ready()
{
    auto& state = loader::report_of(memory_.ring()).state;
    const auto began = Clock::now();
    while (state.load(std::memory_order_acquire) == loader::LoaderState::starting && alive()) {
        if (Clock::now() - began > start_time_max) {
            read_protections();
            const auto& steps = facts_.protections;
            return fault(Kind::unavailable,
                         "starting a chamber: the loader did not get ready within 30 s; it came as far as \"" +
                             (steps.empty() ? std::string("its start") : steps.back().name) +
                             "\"; is the machine overloaded, or is a process of it stopped?");
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    read_protections();
    if (state.load(std::memory_order_acquire) != loader::LoaderState::ready) {
        return told_failure();
    }
    return {};
}

Done ProcessEnclave::told_failure()
{
    const auto& report = loader::report_of(memory_.ring());
    const auto failure = report.failure; // once
    const auto kind = report.failure_kind;
    std::string what(failure.data(), ::strnlen(failure.data(), failure.size()));
    if (what.empty()) {
        const auto& steps = facts_.protections;
        what = how_it_ended() + "; it had come as far as \"" +
               (steps.empty() ? std::string("its start") : steps.back().name) + "\"";
    }
    const bool known =
        kind >= static_cast<std::uint32_t>(Kind::truncated) && kind <= static_cast<std::uint32_t>(Kind::unavailable);
    const auto said = known ? static_cast<Kind>(kind) : Kind::unavailable;
    if (said == Kind::truncated || said == Kind::malformed || said == Kind::unauthentic) { // so the files are to blame
        const auto image = files_.folder / files_.name;
        what += ": " + image.string() + ".sgxs, or the .sig beside it, is damaged; install caisson again";
    }
    return fault(said, std::string("starting a chamber (") + chamber_name(options_.chamber) + "): " + what);
}

// Of a loader that is not reaped yet.
std::string ProcessEnclave::how_it_ended() const
{
    pollfd child{child_.number(), POLLIN, 0};
    ::poll(&child, 1, 1000); // who only says so may still be on the way
    ::siginfo_t ended{};
    if (::waitid(P_PID, static_cast<::id_t>(facts_.pid), &ended, WEXITED | WNOWAIT | WNOHANG) != 0 ||
        ended.si_pid == 0) {
        return "the loader said that it failed, and not why";
    }
    return ending_text(ended);
}

void ProcessEnclave::read_protections()
{
    const auto& report = loader::report_of(memory_.ring());
    const auto count = std::min<std::size_t>(report.step_count, loader::steps_max);
    for (std::size_t index = 0; index < count; ++index) {
        const auto step = report.steps[index];
        Protection protection;
        protection.name.assign(step.name.data(), ::strnlen(step.name.data(), step.name.size()));
        protection.active = step.error == 0;
        protection.reason = step.error == 0 ? "" : std::strerror(step.error);
        facts_.protections.push_back(std::move(protection));
    }
}

void ProcessEnclave::stop() noexcept
{
    if (facts_.pid <= 0) {
        return;
    }
    client_.stop();
    pollfd ended{child_.number(), POLLIN, 0};
    constexpr auto wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(stop_time_max).count();
    if (::poll(&ended, 1, static_cast<int>(wait_ms)) <= 0) {
        ::kill(facts_.pid, SIGKILL);
    }
    reap_child();
}

void ProcessEnclave::reap_child() noexcept
{
    ::waitpid(facts_.pid, nullptr, 0);
    facts_.pid = 0;
}

} // namespace

Outcome<std::unique_ptr<Enclave>> open_process_enclave(const EnclaveOptions& options, const Root& root)
{
    auto files = TRY(load_loader(options));
    files.facts.root = root.kind();
    const auto spin_ticks = spin_ticks_of(options.waiting);
    auto memory = TRY(RingMemory::create(spin_ticks));
    auto enclave = std::make_unique<ProcessEnclave>(std::move(memory), options, std::move(files), spin_ticks);
    TRY(enclave->start(root));
    return enclave;
}

} // namespace caisson::host::enclave
