#include "trusted/curve/pair_batch.hpp"

#include "core/check.hpp"
#include "core/wire.hpp"

namespace caisson::trusted::curve {

void PairBatch::add(airlock::Exchange& exchange, bool lasting) noexcept
{
    CHECK(count_ < exchanges_.size());
    exchanges_[count_] = &exchange;
    pairs_[count_].lasting = lasting;
    ++count_;
}

void PairBatch::run(ShimKeys& keys) noexcept
{
    const auto pairs = std::span(pairs_).first(std::exchange(count_, 0));
    keys.make_pairs(pairs);
    for (std::size_t index = 0; index < pairs.size(); ++index) {
        auto& exchange = *exchanges_[index];
        if (!pairs[index].made) {
            exchange.answer.result = std::unexpected(pairs[index].made.error());
            continue;
        }
        Writer writer(exchange.output);
        writer.write_bytes(pairs[index].public_key.bytes);
        writer.write_bytes(pairs[index].handle.bytes);
        exchange.answer.result = writer.finish();
    }
}

} // namespace caisson::trusted::curve
