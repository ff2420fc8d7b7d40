#include "trusted/runtime/arena.hpp"

#include "core/check.hpp"

#include <algorithm>

namespace caisson::trusted {
namespace {

using protocol::sgx::page_bytes;

constexpr std::size_t whole_pages(std::size_t bytes) noexcept
{
    return (bytes + page_bytes - 1) & ~(page_bytes - 1);
}

bool all_zeros(const std::uint8_t* page) noexcept
{
    std::uint64_t any = 0;
    for (std::size_t at = 0; at < page_bytes; at += sizeof any) {
        std::uint64_t word = 0;
        __builtin_memcpy(&word, page + at, sizeof word);
        any |= word;
    }
    return any == 0;
}

} // namespace

MutableBytes Arena::reserve(std::size_t bytes) noexcept
{
    const auto size = whole_pages(bytes);
    CHECK(size <= range_.size() - reserved_);
    const auto reservation = range_.subspan(reserved_, size);
    reserved_ += size;
    return reservation;
}

// [ARENA-2] [ARENA-3]
Status Arena::grow(MutableBytes reservation, std::size_t& has, std::size_t bytes) noexcept
{
    CHECK(bytes <= reservation.size());
    while (has < bytes) {
        if (broken_) {
            return fail(Kind::unauthentic, "the arena was given a page that is not empty");
        }
        auto* const page = reservation.data() + has;
        if (!accept_(context_, page)) {
            return fail(Kind::exhausted, "the arena gets no more memory");
        }
        if (!all_zeros(page)) {
            broken_ = true;
            continue;
        }
        has += page_bytes;
        ++pages_;
    }
    return {};
}

} // namespace caisson::trusted
