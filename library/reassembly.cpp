#include "library/reassembly.hpp"

#include "core/wire.hpp"

#include <algorithm>

namespace caisson::library {
namespace {

namespace e2e = protocol::e2e;

Outcome<Parts> join(std::map<std::uint64_t, Piece>::iterator first, std::map<std::uint64_t, Piece>::iterator end)
{
    Parts parts;
    Buffer part;
    for (auto piece = first; piece != end; ++piece) {
        auto& [flags, text] = piece->second;
        if (part.empty()) {
            part = std::move(text);
        } else {
            part.insert(part.end(), text.begin(), text.end());
        }
        if ((flags & e2e::flag_part_end) != 0) {
            parts.push_back(std::exchange(part, {}));
        }
    }
    if (!part.empty()) {
        return fault(Kind::malformed, "a message of the peer has no end of its last part");
    }
    return parts;
}

bool has(const Piece& piece, std::uint8_t flag) noexcept
{
    return (piece.flags & flag) != 0;
}

} // namespace

// No parts: not complete yet.
Outcome<Parts> Reassembly::take(std::uint64_t counter, Piece piece)
{
    highest_ = std::max(highest_, counter);
    bytes_ += piece.text.size();
    if (bytes_ > bytes_max_) {
        return fault(Kind::exhausted, "messages of the peer stay incomplete");
    }
    if (has(piece, e2e::flag_first) && has(piece, e2e::flag_last) && has(piece, e2e::flag_part_end)) {
        bytes_ -= piece.text.size(); // whole by itself: it waits for nothing
        Parts parts;
        parts.push_back(std::move(piece.text));
        drop_hopeless();
        return parts;
    }
    auto first = pieces_.insert_or_assign(counter, std::move(piece)).first;
    auto last = first;
    while (!has(first->second, e2e::flag_first) && first != pieces_.begin() &&
           std::prev(first)->first + 1 == first->first) {
        --first;
    }
    while (!has(last->second, e2e::flag_last) && std::next(last) != pieces_.end() &&
           std::next(last)->first == last->first + 1) {
        ++last;
    }
    if (!has(first->second, e2e::flag_first) || !has(last->second, e2e::flag_last)) {
        drop_hopeless();
        return Parts{};
    }
    const auto end = std::next(last);
    for (auto one = first; one != end; ++one) {
        bytes_ -= one->second.text.size();
    }
    auto parts = join(first, end);
    pieces_.erase(first, end);
    drop_hopeless();
    return parts;
}

// Of the lowest run: what it waits for will not come.
void Reassembly::drop_hopeless()
{
    while (!pieces_.empty()) {
        const auto first = pieces_.begin();
        auto last = first;
        while (std::next(last) != pieces_.end() && std::next(last)->first == last->first + 1) {
            ++last;
        }
        const auto gone = [this](std::uint64_t counter) { return counter + packets_late_max <= highest_; };
        const bool hopeless = (!has(first->second, e2e::flag_first) && gone(first->first - 1)) ||
                              (!has(last->second, e2e::flag_last) && gone(last->first + 1));
        if (!hopeless) {
            return;
        }
        for (auto one = first; one != std::next(last); ++one) {
            bytes_ -= one->second.text.size();
        }
        pieces_.erase(first, std::next(last));
    }
}

std::vector<Piece> cut(std::span<const Bytes> parts, std::size_t chunk_bytes)
{
    std::vector<Piece> pieces;
    for (auto part : parts) {
        do {
            const auto chunk = part.first(std::min(part.size(), chunk_bytes));
            part = part.subspan(chunk.size());
            auto& piece = pieces.emplace_back();
            piece.flags = part.empty() ? e2e::flag_part_end : std::uint8_t{0};
            piece.text.reserve(chunk.size() + e2e::data_overhead_bytes); // the packet takes the text's place
            piece.text.assign(chunk.begin(), chunk.end());
        } while (!part.empty());
    }
    if (!pieces.empty()) {
        pieces.front().flags |= e2e::flag_first;
        pieces.back().flags |= e2e::flag_last;
    }
    return pieces;
}

Buffer join_parts(std::span<const Bytes> parts)
{
    Buffer text;
    for (const auto& part : parts) {
        ByteArray<4> size{};
        Writer(size).write_be(static_cast<std::uint32_t>(part.size()));
        text.insert(text.end(), size.begin(), size.end());
        text.insert(text.end(), part.begin(), part.end());
    }
    return text;
}

Outcome<Parts> split_parts(Bytes text)
{
    Parts parts;
    Reader reader(text);
    while (!reader.rest().empty()) {
        const auto size = TRY(reader.read_be<std::uint32_t>());
        const auto part = TRY(reader.read_bytes(size));
        parts.emplace_back(part.begin(), part.end());
    }
    return parts;
}

} // namespace caisson::library
