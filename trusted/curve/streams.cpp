#include "trusted/curve/streams.hpp"

#include <algorithm>
#include <utility>

namespace caisson::trusted::curve {

Result<std::size_t> StreamLease::feed(Bytes piece, MutableBytes output) noexcept
{
    if (piece.size() > stream_->bytes_left) {
        return fail(Kind::malformed, "more of a message came than was announced");
    }
    if (output.size() < piece.size()) {
        return fail(Kind::exhausted, "the buffer for a piece is too small");
    }
    stream_->bytes_left -= piece.size();
    if (auto* sealer = std::get_if<crypto::BoxSealer>(&stream_->box); sealer != nullptr) {
        sealer->update(piece, output.data());
    } else if (auto* opener = std::get_if<crypto::BoxOpener>(&stream_->box); opener != nullptr) {
        opener->update(piece, output.data());
    }
    return piece.size();
}

Result<crypto::BoxTag> StreamLease::finish_sealing() noexcept
{
    const StreamLease last = std::move(*this);
    auto* sealer = std::get_if<crypto::BoxSealer>(&last.stream_->box);
    if (sealer == nullptr || last.stream_->bytes_left != 0) {
        return fail(Kind::malformed, "less of a message came than was announced");
    }
    return sealer->finish();
}

Result<std::uint8_t> StreamLease::finish_opening() noexcept
{
    const StreamLease last = std::move(*this);
    auto* opener = std::get_if<crypto::BoxOpener>(&last.stream_->box);
    if (opener == nullptr || last.stream_->bytes_left != 0) {
        return fail(Kind::malformed, "less of a message came than was announced");
    }
    if (!opener->finish(last.stream_->tag)) {
        return fail(Kind::unauthentic, "a box in pieces does not open");
    }
    return last.stream_->flags;
}

void StreamLease::end() noexcept
{
    if (stream_ != nullptr) {
        stream_->box.emplace<std::monostate>();
        stream_->flags = 0;
        stream_ = nullptr;
    }
}

// [CURVE-42]
Result<Stream*> Streams::place_for(const StreamStart& start) noexcept
{
    if (start.text_bytes > airlock::curve::streamed_bytes_max) {
        return fail(Kind::exhausted, "a message is larger than any may be");
    }
    auto* place = std::find_if(streams_.begin(), streams_.end(),
                               [](const Stream& stream) { return std::holds_alternative<std::monostate>(stream.box); });
    if (place == streams_.end()) {
        if (streams_.full()) {
            return fail(Kind::exhausted, "the chamber holds as many unfinished messages as it can");
        }
        place = &streams_.add();
    }
    place->bytes_left = start.text_bytes;
    return place;
}

Result<StreamLease> Streams::begin_sealing(const StreamStart& start) noexcept
{
    auto* place = TRY(place_for(start));
    const auto position = stream_position(start.key, start.nonce);
    place->box.emplace<crypto::BoxSealer>(box_kernel(), position.view());
    return StreamLease(*place);
}

Result<StreamLease> Streams::begin_opening(const StreamStart& start, const crypto::BoxTag& tag) noexcept
{
    auto* place = TRY(place_for(start));
    const auto position = stream_position(start.key, start.nonce);
    place->box.emplace<crypto::BoxOpener>(box_kernel(), position.view());
    place->tag = tag;
    return StreamLease(*place);
}

} // namespace caisson::trusted::curve
