#include "trusted/witness/round.hpp"

#include "core/check.hpp"
#include "core/secret.hpp"
#include "core/wire.hpp"

namespace caisson::trusted::witness {
namespace {

using airlock::witness::Wanted;
using protocol::MeasuredType;
using protocol::PolicyItemKind;

// Linux's numbers: st_mode, errno.
constexpr std::uint32_t mode_type_bits = 0170000;
constexpr std::uint32_t mode_regular = 0100000;
constexpr std::uint32_t mode_directory = 0040000;
constexpr std::uint32_t mode_link = 0120000;
constexpr std::uint32_t permission_bits = 07777;
constexpr std::uint32_t no_such_file = 2; // ENOENT

MeasuredType type_of(std::uint32_t st_mode) noexcept
{
    switch (st_mode & mode_type_bits) {
    case mode_regular: return MeasuredType::file;
    case mode_directory: return MeasuredType::directory;
    case mode_link: return MeasuredType::link;
    default: return MeasuredType::other;
    }
}

constexpr std::uint32_t failure_of(Kind kind) noexcept
{
    return kind == Kind::exhausted ? protocol::failure_too_many : protocol::failure_malformed;
}

} // namespace

void Round::clear() noexcept
{
    wipe({reinterpret_cast<std::uint8_t*>(paths_.data()), paths_.size()});
    count_ = 0;
    paths_used_ = 0;
    current_ = 0;
    started_ = false;
    modules_.clear();
}

std::string_view Round::path_of(const Entry& entry) const noexcept
{
    return {paths_.data() + entry.path_offset, entry.path_size};
}

bool Round::is_modules(const Entry& entry) const noexcept
{
    return entry.type == MeasuredType::fact && path_of(entry) == protocol::fact_modules;
}

Wanted Round::what_of(const Entry& entry) const noexcept
{
    switch (entry.type) {
    case MeasuredType::directory: return Wanted::tree_listing;
    case MeasuredType::link: return Wanted::link_target;
    case MeasuredType::fact: return Wanted::fact;
    default: return Wanted::file_content;
    }
}

// [MEASURE-8] Both tables are fixed; what does not fit is refused, never dropped.
Status Round::append(std::string_view folder, std::string_view name, MeasuredType type, std::uint32_t mode,
                     bool wanted) noexcept
{
    const auto size = folder.size() + name.size() + (folder.empty() ? 0 : 1);
    if (count_ == entries_.size() || size > paths_.size() - paths_used_) {
        return fail(Kind::exhausted, "a policy asks for more than a witness measures");
    }
    CHECK(size <= protocol::measured_path_bytes_max);
    const MutableBytes path{reinterpret_cast<std::uint8_t*>(paths_.data()) + paths_used_, size};
    if (!folder.empty()) {
        copy_bytes(path, bytes_of(folder));
        path[folder.size()] = '/';
    }
    copy_bytes(path.last(name.size()), bytes_of(name));
    entries_[count_] = Entry{.size = 0,
                             .path_offset = static_cast<std::uint32_t>(paths_used_),
                             .mode = mode,
                             .failure = protocol::failure_none,
                             .path_size = static_cast<std::uint16_t>(size),
                             .type = type,
                             .wanted = wanted,
                             .digest = {}};
    paths_used_ += size;
    ++count_;
    return {};
}

Status Round::add(const protocol::PolicyItem& item) noexcept
{
    switch (item.kind) {
    case PolicyItemKind::tree: return append({}, item.name, MeasuredType::directory, 0, true);
    case PolicyItemKind::file: return append({}, item.name, MeasuredType::file, 0, true);
    case PolicyItemKind::fact: return append({}, item.name, MeasuredType::fact, 0, true);
    }
    return fail(Kind::malformed, "a policy item of an unknown kind");
}

Round::Want Round::wanted() const noexcept
{
    CHECK(!finished());
    const auto& entry = entries_[current_];
    return {static_cast<std::uint32_t>(current_), what_of(entry), path_of(entry)};
}

// [MEASURE-9] What is not what it was listed as when it is opened has no content.
Status Round::start(Entry& entry, const Chunk& chunk) noexcept
{
    started_ = true;
    listing_first_ = count_;
    listing_paths_used_ = paths_used_;
    crypto_hash_sha256_init(&hash_);
    modules_.clear();
    const bool has_mode = entry.type == MeasuredType::file || entry.type == MeasuredType::directory;
    if (has_mode && chunk.error == 0) {
        if (type_of(chunk.st_mode) != entry.type) {
            return fail(Kind::malformed, "content comes without the mode that fits it");
        }
        entry.mode = chunk.st_mode & permission_bits;
    }
    return {};
}

Status Round::absorb(const Chunk& chunk) noexcept
{
    CHECK(!finished());
    auto& entry = entries_[current_];
    auto status = started_ ? Status{} : start(entry, chunk);
    if (chunk.error != 0) {
        // [MEASURE-12] A kernel without modules has no such file.
        if (is_modules(entry) && chunk.error == no_such_file) {
            entry.digest = ModuleNames::digest_of_none();
            entry.size = 0;
            go_on();
        } else {
            abandon(entry, chunk.error); // [MEASURE-11]
        }
        return {};
    }
    if (status) {
        status = absorb_content(entry, chunk);
    }
    if (status && chunk.last) {
        status = end(entry);
    }
    if (!status) {
        abandon(entry, failure_of(status.error().kind));
    }
    return status;
}

Status Round::absorb_content(Entry& entry, const Chunk& chunk) noexcept
{
    if (entry.type == MeasuredType::directory) {
        return absorb_listing(chunk.bytes);
    }
    entry.size += chunk.bytes.size();
    if (is_modules(entry)) {
        return modules_.absorb(chunk.bytes);
    }
    crypto_hash_sha256_update(&hash_, chunk.bytes.data(), chunk.bytes.size());
    return {};
}

Status Round::absorb_listing(Bytes chunk) noexcept
{
    const auto folder = path_of(entries_[current_]);
    Reader reader(chunk);
    while (!reader.rest().empty()) {
        const auto path_size = TRY(reader.read_le<std::uint16_t>());
        const auto st_mode = TRY(reader.read_le<std::uint32_t>());
        const auto path = TRY(reader.read_bytes(path_size));
        TRY(list_entry(folder, text_of(path), st_mode));
    }
    return {};
}

// [MEASURE-7]
Status Round::list_entry(std::string_view folder, std::string_view relative, std::uint32_t st_mode) noexcept
{
    std::array<char, protocol::measured_path_bytes_max + 1> rooted; // "/" and the path, to be judged as one
    if (relative.empty() || folder.size() + 1 + relative.size() > protocol::measured_path_bytes_max) {
        return fail(Kind::malformed, "a listing holds a path that is empty or too long");
    }
    rooted[0] = '/';
    std::memcpy(rooted.data() + 1, relative.data(), relative.size());
    if (!protocol::is_measurable_path({rooted.data(), relative.size() + 1})) {
        return fail(Kind::malformed, "a listing holds a path that leaves its tree");
    }
    if (count_ > listing_first_) {
        auto before = path_of(entries_[count_ - 1]);
        before.remove_prefix(folder.size() + 1);
        if (before >= relative) {
            return fail(Kind::malformed, "a listing is not in strictly ascending order");
        }
    }
    const auto type = type_of(st_mode);
    const bool has_content = type == MeasuredType::file || type == MeasuredType::link;
    return append(folder, relative, type, st_mode & permission_bits, has_content);
}

Status Round::end(Entry& entry) noexcept
{
    if (is_modules(entry)) {
        entry.digest = TRY(modules_.digest());
    } else if (entry.type != MeasuredType::directory) {
        crypto_hash_sha256_final(&hash_, entry.digest.data());
    }
    go_on();
    return {};
}

void Round::abandon(Entry& entry, std::uint32_t failure) noexcept
{
    entry.failure = failure;
    entry.size = 0;
    if (entry.type == MeasuredType::directory) {
        count_ = listing_first_;
        paths_used_ = listing_paths_used_;
    }
    go_on();
}

void Round::go_on() noexcept
{
    started_ = false;
    entries_[current_].wanted = false;
    while (current_ < count_ && !entries_[current_].wanted) {
        ++current_;
    }
}

protocol::Measurement Round::measurement(std::size_t index) const noexcept
{
    CHECK(index < count_);
    const auto& entry = entries_[index];
    return {path_of(entry), entry.type, entry.mode, entry.size, entry.failure, entry.digest};
}

} // namespace caisson::trusted::witness
