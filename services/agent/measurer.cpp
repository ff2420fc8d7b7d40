#include "services/agent/measurer.hpp"

#include "core/wire.hpp"
#include "services/agent/tree.hpp"

#include <cerrno>
#include <fcntl.h>

namespace caisson::services::agent {
namespace {

using airlock::witness::Wanted;
using host::Done;
using host::fault;
using host::Outcome;
namespace requests = airlock::witness;

// A file that grows as fast as it is read would never end.
constexpr std::uint64_t growth_bytes_max = std::uint64_t{16} << 20U;
constexpr std::uint64_t fact_bytes_max = std::uint64_t{16} << 20U;

// Whether the round goes on: what the witness refused of one measurement is part of its result.
bool goes_on(const Done& outcome)
{
    if (outcome) {
        return true;
    }
    const auto kind = outcome.error().kind;
    return kind == Kind::malformed || kind == Kind::truncated || kind == Kind::exhausted;
}

} // namespace

Outcome<MeasuredRound> Measurer::measure(Bytes sealed_policy, const protocol::Exporter& exporter)
{
    trees_.clear();
    failed_ = 0;
    MeasuredRound round;
    TRY(witness_.open_policy(sealed_policy));
    while (true) {
        if (stop_) {
            return fault(Kind::unavailable, "measuring: told to stop");
        }
        const auto wanted = witness_.next_measurement();
        if (!wanted && wanted.error().kind == Kind::missing) {
            break;
        }
        if (!wanted) {
            return std::unexpected(wanted.error());
        }
        const auto served = serve(*wanted);
        if (!goes_on(served)) {
            return std::unexpected(served.error());
        }
        failed_ += served ? 0U : 1U;
        ++round.measured;
    }
    round.failed = failed_;
    round.sealed_result = TRY(witness_.finish(exporter));
    return round;
}

Done Measurer::serve(const host::enclave::WantedMeasurement& wanted)
{
    switch (wanted.what) {
    case Wanted::tree_listing: return list(wanted.path);
    case Wanted::file_content: return content(wanted.path);
    case Wanted::fact: return fact(wanted.path);
    case Wanted::link_target: return link(wanted.path);
    }
    return fault(Kind::malformed, "the witness wants something unknown");
}

Done Measurer::refuse(int error)
{
    ++failed_;
    return witness_.absorb_error(error);
}

// The longest tree of this round that holds the path.
std::string Measurer::tree_of(const std::string& path) const
{
    std::string found;
    for (const auto& tree : trees_) {
        if (tree.size() > found.size() && path.starts_with(tree + "/")) {
            found = tree;
        }
    }
    return found;
}

Done Measurer::list(const std::string& tree)
{
    // One more than the witness takes, so that it says itself that there are too many.
    const auto listing = list_tree(tree, protocol::measurements_max + 1);
    if (!listing) {
        return refuse(listing.error());
    }
    trees_.push_back(tree);
    std::uint32_t mode = listing->mode;
    std::size_t used = 0;
    for (const auto& entry : listing->entries) {
        const auto size = requests::listing_entry_head_bytes + entry.path.size();
        if (entry.path.size() > UINT16_MAX) {
            return refuse(ENAMETOOLONG);
        }
        if (size > buffer_.size() - used) {
            TRY(witness_.absorb_with_mode(Bytes(buffer_).first(used), mode, false));
            mode = 0;
            used = 0;
        }
        Writer writer(MutableBytes(buffer_).subspan(used));
        writer.write_le(static_cast<std::uint16_t>(entry.path.size()));
        writer.write_le(static_cast<std::uint32_t>(entry.mode));
        writer.write_bytes(bytes_of(entry.path));
        used += size;
    }
    return witness_.absorb_with_mode(Bytes(buffer_).first(used), mode, true);
}

Done Measurer::content(const std::string& path)
{
    const auto opened = open_regular(path, tree_of(path));
    if (!opened) {
        return refuse(opened.error());
    }
    return feed(opened->file.number(), opened->mode, opened->size + growth_bytes_max);
}

Done Measurer::fact(const std::string& name)
{
    const Descriptor file(::open((proc_ + "/" + name).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    if (!file.open()) {
        const int error = errno;
        return error == ENOENT ? witness_.absorb_error(error) : refuse(error);
    }
    return feed(file.number(), 0, fact_bytes_max);
}

Done Measurer::link(const std::string& path)
{
    const auto text = read_link(path, tree_of(path));
    if (!text) {
        return refuse(text.error());
    }
    return witness_.absorb(bytes_of(*text), true);
}

Done Measurer::feed(int file, std::uint32_t mode, std::uint64_t bytes_max)
{
    std::uint64_t total = 0;
    while (true) {
        if (stop_) {
            return fault(Kind::unavailable, "measuring: told to stop");
        }
        const auto size = read_full(file, buffer_);
        if (!size) {
            return refuse(size.error());
        }
        total += *size;
        if (total > bytes_max) {
            return refuse(EFBIG);
        }
        const bool last = *size < buffer_.size();
        TRY(witness_.absorb_with_mode(Bytes(buffer_).first(*size), mode, last));
        mode = 0;
        if (last) {
            return {};
        }
    }
}

} // namespace caisson::services::agent
