#include "host/enclave/shared_memory.hpp"

#include "host/enclave/image/sha256.hpp"
#include "host/store/durable_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace caisson::host::enclave {
namespace {

// Kernels before 6.3 know neither flag.
int create_memory_file(const char* name, Executable executable) noexcept
{
    constexpr unsigned common = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    const unsigned kind = executable == Executable::yes ? MFD_EXEC : MFD_NOEXEC_SEAL;
    const int descriptor = ::memfd_create(name, common | kind);
    return descriptor >= 0 || errno != EINVAL ? descriptor : ::memfd_create(name, common);
}

constexpr std::size_t portion_bytes = std::size_t{32} << 10U;

// Of a sealed file: it cannot have become shorter.
Done read_whole(int descriptor, std::size_t at, MutableBytes into)
{
    const auto count = ::pread(descriptor, into.data(), into.size(), static_cast<off_t>(at));
    if (count != static_cast<ssize_t>(into.size())) {
        return std::unexpected(system_fault("reading a memory file", count < 0 ? errno : EIO));
    }
    return {};
}

} // namespace

void Descriptor::reset() noexcept
{
    if (number_ >= 0) {
        ::close(number_);
        number_ = -1;
    }
}

Outcome<SealedFile> SealedFile::create(const std::string& name, Executable executable)
{
    SealedFile file;
    file.descriptor_ = Descriptor(create_memory_file(name.c_str(), executable));
    if (file.descriptor() < 0) {
        return std::unexpected(system_fault("creating a memory file", errno));
    }
    return file;
}

Done SealedFile::fill_from(const std::filesystem::path& path, std::size_t bytes_max)
{
    TRY(store::copy_file(path, descriptor(), bytes_max, store::Writers::owner));
    if (::fcntl(descriptor(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        return std::unexpected(system_fault("sealing a memory file", errno));
    }
    size_ = static_cast<std::size_t>(::lseek(descriptor(), 0, SEEK_END));
    return {};
}

Outcome<SealedFile> SealedFile::copy_of(const std::filesystem::path& path, std::size_t bytes_max, Executable executable)
{
    auto file = TRY(create(path.filename().string(), executable));
    TRY(file.fill_from(path, bytes_max));
    return file;
}

Outcome<std::vector<std::uint8_t>> SealedFile::first(std::size_t bytes_max) const
{
    std::vector<std::uint8_t> content(std::min(size_, bytes_max));
    TRY(read_whole(descriptor(), 0, content));
    return content;
}

Outcome<Digest> SealedFile::digest() const
{
    std::vector<std::uint8_t> portion(std::min(size_, portion_bytes));
    image::Sha256 hash;
    for (std::size_t at = 0; at < size_; at += portion.size()) {
        const auto part = MutableBytes(portion).first(std::min(portion.size(), size_ - at));
        TRY(read_whole(descriptor(), at, part));
        hash.absorb(part);
    }
    return hash.finish();
}

Outcome<RingMemory> RingMemory::create(std::uint32_t spin_budget_ticks)
{
    RingMemory memory;
    memory.descriptor_ = Descriptor(create_memory_file("caisson-ring", Executable::no));
    if (memory.descriptor_.number() < 0 ||
        ::ftruncate(memory.descriptor_.number(), static_cast<off_t>(sizeof(airlock::Ring))) != 0 ||
        ::fcntl(memory.descriptor_.number(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        return std::unexpected(system_fault("creating the ring", errno));
    }
    void* mapped =
        ::mmap(nullptr, sizeof(airlock::Ring), PROT_READ | PROT_WRITE, MAP_SHARED, memory.descriptor_.number(), 0);
    if (mapped == MAP_FAILED) {
        return std::unexpected(system_fault("mapping the ring", errno));
    }
    memory.ring_ = static_cast<airlock::Ring*>(mapped);
    memory.ring_->magic = airlock::ring_magic;
    memory.ring_->spin_budget_ticks = spin_budget_ticks;
    return memory;
}

RingMemory::RingMemory(RingMemory&& other) noexcept
    : descriptor_(std::move(other.descriptor_))
    , ring_(std::exchange(other.ring_, nullptr))
{
}

RingMemory::~RingMemory()
{
    if (ring_ != nullptr) {
        ::munmap(ring_, sizeof(airlock::Ring));
    }
}

} // namespace caisson::host::enclave
