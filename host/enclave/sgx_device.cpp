#include "host/enclave/sgx_device.hpp"

#include "host/enclave/shared_memory.hpp"

#include <asm/sgx.h>
#include <cpuid.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>

namespace caisson::host::enclave {
namespace {

using protocol::sgx::page_bytes;

constexpr const char* device_path = "/dev/sgx_enclave";
constexpr const char* other_platform = "; or ask for the platform process";

std::uint64_t address_of(const void* object) noexcept
{
    return reinterpret_cast<std::uint64_t>(object);
}

// What the driver reads must be page-aligned.
struct alignas(page_bytes) Page {
    ByteArray<page_bytes> bytes{};
};

class KernelSgxDevice final : public SgxDevice {
  public:
    KernelSgxDevice(Descriptor device, EnterFunction vdso)
        : device_(std::move(device))
        , entry_(vdso)
    {
    }
    ~KernelSgxDevice() override
    {
        if (reserved_ != nullptr) {
            ::munmap(reserved_, 2 * size_);
        }
    }

    Done create(const protocol::sgx::Secs& secs) override;
    Done add_page(std::uint64_t offset, std::uint64_t secinfo_flags, Bytes page) override;
    Done initialise(const protocol::sgx::Sigstruct& sigstruct) override;
    Done map(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions) override;
    Done restrict_permissions(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions) override;
    Done trim(std::uint64_t offset, std::uint64_t bytes) override;
    Done remove(std::uint64_t offset, std::uint64_t bytes) override;
    [[nodiscard]] std::uint64_t base() const noexcept override { return base_; }
    [[nodiscard]] EnterFunction entry() const noexcept override { return entry_; }

  private:
    // An ioctl that says in `count` how many bytes of `length` it has done; on EINTR and EAGAIN the rest is asked for.
    template <typename Arguments>
    Done in_parts(unsigned long request, Arguments& arguments, const char* doing)
    {
        while (arguments.length > 0) {
            arguments.count = 0;
            const int result = ::ioctl(device_.number(), request, &arguments);
            const int error = errno;
            if (result != 0 && error != EINTR && error != EAGAIN) {
                const auto refused = system_fault(doing, error);
                return fault(error == ENOTTY || error == ENODEV ? Kind::unavailable : refused.kind, refused.what);
            }
            arguments.offset += arguments.count;
            arguments.length -= arguments.count;
        }
        return {};
    }

    Descriptor device_;
    EnterFunction entry_;
    void* reserved_ = nullptr;
    std::uint64_t base_ = 0;
    std::uint64_t size_ = 0;
};

Done KernelSgxDevice::create(const protocol::sgx::Secs& secs)
{
    // Twice the size holds one naturally aligned range, as SECS.BASEADDR must be.
    void* reserved = ::mmap(nullptr, 2 * secs.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        return std::unexpected(system_fault("reserving the enclave's address range", errno));
    }
    reserved_ = reserved;
    size_ = secs.size;
    base_ = (address_of(reserved) + secs.size - 1) & ~(secs.size - 1);
    struct alignas(page_bytes) AlignedSecs {
        protocol::sgx::Secs secs;
    } placed{secs};
    placed.secs.base = base_;
    sgx_enclave_create arguments{};
    arguments.src = address_of(&placed);
    if (::ioctl(device_.number(), SGX_IOC_ENCLAVE_CREATE, &arguments) != 0) {
        return std::unexpected(system_fault("creating the enclave (SGX_IOC_ENCLAVE_CREATE)", errno));
    }
    return {};
}

Done KernelSgxDevice::add_page(std::uint64_t offset, std::uint64_t secinfo_flags, Bytes page)
{
    Page placed;
    copy_bytes(placed.bytes, page);
    const protocol::sgx::SecInfo secinfo{secinfo_flags, {}};
    sgx_enclave_add_pages arguments{};
    arguments.src = address_of(&placed);
    arguments.offset = offset;
    arguments.length = page_bytes;
    arguments.secinfo = address_of(&secinfo);
    arguments.flags = SGX_PAGE_MEASURE;
    return in_parts(SGX_IOC_ENCLAVE_ADD_PAGES, arguments, "adding a page to the enclave (SGX_IOC_ENCLAVE_ADD_PAGES)");
}

Done KernelSgxDevice::initialise(const protocol::sgx::Sigstruct& sigstruct)
{
    sgx_enclave_init arguments{};
    arguments.sigstruct = address_of(&sigstruct);
    const int result = ::ioctl(device_.number(), SGX_IOC_ENCLAVE_INIT, &arguments);
    if (result < 0) {
        const int error = errno;
        if (error == EPERM || error == EINVAL) {
            return fault(Kind::unauthentic,
                         "EINIT: the kernel or the CPU refuses the image's signature or attributes; "
                         "rebuild the images, and switch on flexible launch control in the firmware");
        }
        return std::unexpected(system_fault("initialising the enclave (SGX_IOC_ENCLAVE_INIT)", error));
    }
    if (result > 0) { // the CPU's own word
        return fault(Kind::unauthentic, "EINIT: the CPU refuses the image with code " + std::to_string(result));
    }
    return {};
}

Done KernelSgxDevice::map(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions)
{
    int protection = 0;
    protection |= (permissions & protocol::sgx::SECINFO_R) != 0 ? PROT_READ : 0;
    protection |= (permissions & protocol::sgx::SECINFO_W) != 0 ? PROT_WRITE : 0;
    protection |= (permissions & protocol::sgx::SECINFO_X) != 0 ? PROT_EXEC : 0;
    void* const mapped = ::mmap(reinterpret_cast<void*>(base_ + offset), bytes, protection, MAP_SHARED | MAP_FIXED,
                                device_.number(), static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) {
        return std::unexpected(system_fault("mapping the enclave", errno));
    }
    return {};
}

Done KernelSgxDevice::restrict_permissions(std::uint64_t offset, std::uint64_t bytes, std::uint64_t permissions)
{
    sgx_enclave_restrict_permissions arguments{};
    arguments.offset = offset;
    arguments.length = bytes;
    arguments.permissions = permissions;
    return in_parts(SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, arguments, "restricting permissions of enclave pages");
}

Done KernelSgxDevice::trim(std::uint64_t offset, std::uint64_t bytes)
{
    sgx_enclave_modify_types arguments{};
    arguments.offset = offset;
    arguments.length = bytes;
    arguments.page_type = static_cast<std::uint64_t>(protocol::sgx::PageType::PT_TRIM);
    return in_parts(SGX_IOC_ENCLAVE_MODIFY_TYPES, arguments, "trimming enclave pages");
}

Done KernelSgxDevice::remove(std::uint64_t offset, std::uint64_t bytes)
{
    sgx_enclave_remove_pages arguments{};
    arguments.offset = offset;
    arguments.length = bytes;
    return in_parts(SGX_IOC_ENCLAVE_REMOVE_PAGES, arguments, "removing enclave pages");
}

// SGX2: pages that come while an enclave runs.
bool has_dynamic_memory() noexcept
{
    constexpr unsigned sgx_leaf = 0x12;
    constexpr unsigned sgx2 = 2;
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __get_cpuid_count(sgx_leaf, 0, &eax, &ebx, &ecx, &edx) != 0 && (eax & sgx2) != 0;
}

EnterFunction vdso_entry() noexcept
{
    void* const vdso = ::dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    return vdso == nullptr ? nullptr : reinterpret_cast<EnterFunction>(::dlsym(vdso, "__vdso_sgx_enter_enclave"));
}

} // namespace

Outcome<std::unique_ptr<SgxDevice>> open_sgx_device()
{
    Descriptor device(::open(device_path, O_RDWR | O_CLOEXEC));
    if (device.number() < 0) {
        const int error = errno;
        if (error == EACCES || error == EPERM) {
            return fault(Kind::forbidden, std::string("platform sgx: ") + device_path +
                                              " may not be opened; add this user to the group sgx" + other_platform);
        }
        return fault(Kind::unavailable, std::string("platform sgx: there is no ") + device_path +
                                            " (the CPU has no SGX, it is off in the firmware, or the kernel has no SGX "
                                            "driver); switch on SGX with flexible launch control" +
                                            other_platform);
    }
    if (!has_dynamic_memory()) { // [ARENA-4]
        return fault(Kind::unavailable, std::string("platform sgx: this CPU's SGX has no dynamic memory (SGX2), which "
                                                    "chambers take their memory by") +
                                            other_platform);
    }
    const auto entry = vdso_entry();
    if (entry == nullptr) {
        return fault(Kind::unavailable,
                     std::string("platform sgx: the kernel's vDSO has no __vdso_sgx_enter_enclave; Linux 5.11 or later "
                                 "with CONFIG_X86_SGX is needed") +
                         other_platform);
    }
    return std::make_unique<KernelSgxDevice>(std::move(device), entry);
}

} // namespace caisson::host::enclave
