#include "host/tpm/channel.hpp"

#include "core/wire.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

namespace caisson::host::tpm {
namespace {

constexpr std::string_view device_scheme = "device:";
constexpr std::string_view swtpm_scheme = "swtpm:path=";
constexpr std::size_t response_head_bytes = 10; // tag, size, code
constexpr std::size_t response_bytes_max = 4096;

Outcome<int> open_device(const std::string& path)
{
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0) {
        return descriptor;
    }
    switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return fault(Kind::missing, "TPM: there is none at " + path +
                                        "; switch it on in the firmware, or name another with --tpm ADDRESS");
    case EACCES:
    case EPERM:
        return fault(Kind::forbidden, "TPM: " + path + " is not open to this user; add the user to the group tss");
    default: return std::unexpected(system_fault("opening the TPM at " + path, errno));
    }
}

Outcome<int> connect_socket(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return fault(Kind::malformed, "TPM: the path of the socket " + path + " is longer than 107 letters");
    }
    path.copy(address.sun_path, path.size());
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return std::unexpected(system_fault("TPM: making a socket", errno));
    }
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0) {
        return descriptor;
    }
    const int error = errno;
    ::close(descriptor);
    if (error == ENOENT || error == ECONNREFUSED) {
        return fault(Kind::missing, "TPM: no software TPM listens at " + path +
                                        "; start swtpm there, or name another "
                                        "TPM with --tpm ADDRESS");
    }
    return std::unexpected(system_fault("connecting to the software TPM at " + path, error));
}

} // namespace

Outcome<std::unique_ptr<Channel>> Channel::open(const std::string& address, std::chrono::milliseconds deadline)
{
    Outcome<int> descriptor =
        fault(Kind::malformed, "TPM: the address \"" + address + "\" is neither device:PATH nor swtpm:path=PATH");
    if (address.starts_with(device_scheme)) {
        descriptor = open_device(address.substr(device_scheme.size()));
    } else if (address.starts_with(swtpm_scheme)) {
        descriptor = connect_socket(address.substr(swtpm_scheme.size()));
    }
    if (!descriptor) {
        return std::unexpected(descriptor.error());
    }
    return std::unique_ptr<Channel>(new Channel(*descriptor, address, deadline));
}

Channel::Channel(int descriptor, std::string address, std::chrono::milliseconds deadline) noexcept
    : descriptor_(descriptor)
    , address_(std::move(address))
    , deadline_(deadline)
{
    constexpr std::uint64_t magic = 0x43414953534f4e31; // any number of our own
    table_.v1.magic = magic;
    table_.v1.version = 2;
    table_.v1.transmit = transmit;
    table_.v1.receive = receive;
    table_.v1.finalize = [](TSS2_TCTI_CONTEXT*) {};
    table_.v1.cancel = [](TSS2_TCTI_CONTEXT*) -> TSS2_RC { return TSS2_TCTI_RC_NOT_IMPLEMENTED; };
    table_.v1.getPollHandles = [](TSS2_TCTI_CONTEXT*, TSS2_TCTI_POLL_HANDLE*, std::size_t*) -> TSS2_RC {
        return TSS2_TCTI_RC_NOT_IMPLEMENTED;
    };
    table_.v1.setLocality = [](TSS2_TCTI_CONTEXT*, std::uint8_t) -> TSS2_RC { return TSS2_TCTI_RC_NOT_IMPLEMENTED; };
    table_.makeSticky = [](TSS2_TCTI_CONTEXT*, TPM2_HANDLE*, std::uint8_t) -> TSS2_RC {
        return TSS2_TCTI_RC_NOT_IMPLEMENTED;
    };
}

Channel::~Channel()
{
    ::close(descriptor_);
}

bool Channel::wait_for(short events) noexcept
{
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until_ - std::chrono::steady_clock::now());
    pollfd ready{descriptor_, events, 0};
    int count = 0;
    do {
        count = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    } while (count < 0 && errno == EINTR);
    timed_out_ = timed_out_ || count == 0;
    return count == 1;
}

TSS2_RC Channel::transmit(TSS2_TCTI_CONTEXT* context, std::size_t size, const std::uint8_t* command)
{
    auto& self = *reinterpret_cast<Channel*>(context);
    self.until_ = std::chrono::steady_clock::now() + self.deadline_;
    self.response_.clear();
    // A TPM that was too slow once may still answer the command before: its answer must not be taken for this one's.
    if (self.timed_out_) {
        return TSS2_TCTI_RC_IO_ERROR;
    }
    std::size_t sent = 0;
    while (sent < size) {
        if (!self.wait_for(POLLOUT)) {
            return TSS2_TCTI_RC_IO_ERROR;
        }
        // A socket whose other end is gone shall be an error, not a signal.
        auto count = ::send(self.descriptor_, command + sent, size - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == ENOTSOCK) {
            count = ::write(self.descriptor_, command + sent, size - sent);
        }
        if (count <= 0 && errno != EAGAIN && errno != EINTR) {
            return TSS2_TCTI_RC_IO_ERROR;
        }
        sent += static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    }
    return TSS2_RC_SUCCESS;
}

bool Channel::read_response()
{
    std::size_t wanted = response_head_bytes;
    while (response_.size() < wanted) {
        if (!wait_for(POLLIN)) {
            return false;
        }
        ByteArray<response_bytes_max> buffer;
        const auto count = ::read(descriptor_, buffer.data(), buffer.size());
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
            continue;
        }
        if (count <= 0) {
            return false;
        }
        response_.insert(response_.end(), buffer.begin(), buffer.begin() + count);
        if (response_.size() >= response_head_bytes) {
            Reader reader(Bytes(response_).subspan(2));
            wanted = reader.read_be<std::uint32_t>().value_or(0);
            if (wanted < response_head_bytes || wanted > response_bytes_max) {
                return false;
            }
        }
    }
    return response_.size() == wanted;
}

TSS2_RC Channel::receive(TSS2_TCTI_CONTEXT* context, std::size_t* size, std::uint8_t* response,
                         std::int32_t /*timeout*/)
{
    auto& self = *reinterpret_cast<Channel*>(context);
    if (self.response_.empty() && !self.read_response()) {
        return TSS2_TCTI_RC_IO_ERROR;
    }
    if (response == nullptr) {
        *size = self.response_.size();
        return TSS2_RC_SUCCESS;
    }
    if (*size < self.response_.size()) {
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    }
    *size = self.response_.size();
    copy_bytes({response, *size}, self.response_);
    self.response_.clear();
    return TSS2_RC_SUCCESS;
}

} // namespace caisson::host::tpm
