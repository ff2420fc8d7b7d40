#include "trusted/curve/fanout_openings.hpp"

#include "core/check.hpp"

namespace caisson::trusted::curve {

namespace e2e = protocol::e2e;

std::size_t FanoutOpenings::add(const E2eSession& session, const E2ePlace& place, const Packet& packet,
                                std::uint8_t* text) noexcept
{
    CHECK(count_ < fanouts_.size());
    fanouts_[count_] = {&session, place, packet.id, e2e::content_of(packet), text};
    return count_++;
}

void FanoutOpenings::open_slots() noexcept
{
    std::array<crypto::BoxJob, group_requests_max> jobs{};
    const crypto::BoxSubkey* subkey = nullptr;
    for (std::size_t index = 0; index < count_; ++index) {
        const auto& [session, place, id, content, text] = fanouts_[index];
        if (index == 0 || session != fanouts_[index - 1].session) {
            subkeys_[index] = subkey_of(session->receiving.key, PacketType::fanout, !session->curve.is_server,
                                        session->receiving.epoch);
            subkey = &subkeys_[index];
        }
        jobs[index] = {subkey, place.counter, place.box.data(), inside_[index].expose().data(), SlotInside::size};
    }
    if (open_messages(std::span(jobs).first(count_), std::span(slot_opened_).first(count_))) {
        return;
    }
    for (std::size_t index = 0; index < count_; ++index) {
        const auto& [session, place, id, content, text] = fanouts_[index];
        const auto nonce = nonce_of(PacketType::fanout, !session->curve.is_server, place.epoch, place.counter);
        slot_opened_[index] =
            open_box(inside_[index].expose().data(), place.box, nonce, session->receiving.key).has_value();
    }
}

// [E2E-16] Nothing of a content is opened that is not the one its slot was made for.
void FanoutOpenings::open_contents() noexcept
{
    std::array<crypto::BoxJob, group_requests_max> jobs{};
    std::array<std::size_t, group_requests_max> indexes{};
    std::array<bool, group_requests_max> opened{};
    std::size_t job_count = 0;
    for (std::size_t index = 0; index < count_; ++index) {
        content_opened_[index] = false;
        if (!slot_opened_[index]) {
            continue;
        }
        const auto& [session, place, id, content, text] = fanouts_[index];
        const auto sealed = sealed_content_of(inside_[index]);
        if (check_content(sealed, id, content)) {
            subkeys_[index] = content_subkey(sealed.key);
            jobs[job_count] = {&subkeys_[index], 0, content.data(), text, content.size() - e2e::tag_bytes};
            indexes[job_count++] = index;
        }
    }
    const auto all = std::span(jobs).first(job_count);
    if (!all.empty() && !open_messages(all, std::span(opened).first(job_count))) {
        for (std::size_t at = 0; at < job_count; ++at) {
            const auto& fanout = fanouts_[indexes[at]];
            opened[at] = open_content(sealed_content_of(inside_[indexes[at]]), fanout.id, fanout.content,
                                      {fanout.text, fanout.content.size()})
                             .has_value();
        }
    }
    for (std::size_t at = 0; at < job_count; ++at) {
        content_opened_[indexes[at]] = opened[at];
    }
}

void FanoutOpenings::run() noexcept
{
    if (count_ > 0) {
        open_slots();
        open_contents();
    }
}

void FanoutOpenings::clear() noexcept
{
    for (std::size_t index = 0; index < count_; ++index) {
        inside_[index].clear();
        subkeys_[index].clear();
        fanouts_[index] = {};
    }
    count_ = 0;
}

} // namespace caisson::trusted::curve
