#include "library/output_queue.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace caisson::library {
namespace {

constexpr std::size_t taken_bytes_min = 512;
constexpr std::size_t gathered_bytes_max = std::size_t{64} << 10U;
constexpr std::size_t spare_bytes_max = 2 * gathered_bytes_max;
constexpr std::size_t chunks_at_once = 128;

} // namespace

// Larger than a chunk of gathered ones is at most the one that begins it.
void OutputQueue::append(Bytes bytes)
{
    if (bytes.empty()) {
        return;
    }
    if (!last_gathers_ || chunks_.back().size() + bytes.size() > gathered_bytes_max) {
        chunks_.push_back(std::exchange(spare_, {}));
        last_gathers_ = true;
    }
    chunks_.back().insert(chunks_.back().end(), bytes.begin(), bytes.end());
    bytes_ += bytes.size();
}

void OutputQueue::append(std::vector<std::uint8_t>&& body)
{
    if (body.size() < taken_bytes_min) {
        append(Bytes(body));
        return;
    }
    bytes_ += body.size();
    chunks_.push_back(std::move(body));
    last_gathers_ = false;
}

int OutputQueue::write_to(int descriptor)
{
    while (bytes_ > 0) {
        std::array<iovec, chunks_at_once> pieces;
        const auto count = std::min(chunks_.size(), pieces.size());
        auto sent_before = front_sent_;
        for (std::size_t index = 0; index < count; ++index) {
            auto& chunk = chunks_[index];
            pieces[index] = {chunk.data() + sent_before, chunk.size() - sent_before};
            sent_before = 0;
        }
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = count;
        const auto sent = ::sendmsg(descriptor, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno;
        }
        drop(static_cast<std::size_t>(sent));
    }
    return 0;
}

void OutputQueue::drop(std::size_t sent)
{
    bytes_ -= sent;
    sent += front_sent_;
    while (!chunks_.empty() && sent >= chunks_.front().size()) {
        auto& gone = chunks_.front();
        sent -= gone.size();
        if (gone.capacity() > spare_.capacity() && gone.capacity() <= spare_bytes_max) {
            spare_.swap(gone);
            spare_.clear();
        }
        chunks_.pop_front();
    }
    front_sent_ = sent;
    last_gathers_ = last_gathers_ && !chunks_.empty();
}

} // namespace caisson::library
