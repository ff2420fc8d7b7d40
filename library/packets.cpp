#include "library/packets.hpp"

#include "core/wire.hpp"
#include "protocol/zmtp.hpp"

#include <chrono>

namespace caisson::library {

namespace e2e = protocol::e2e;

Outcome<InitiatedE2e> process_initiate(Chamber& chamber, std::uint32_t key, Bytes packet)
{
    return read_initiated(
        TRY(chamber.ask(Request::e2e_process_initiate, {Number(key), packet}, initiated_bytes_max(packet))));
}

std::size_t initiated_bytes_max(Bytes packet) noexcept
{
    return packet.size() + airlock::curve::metadata_bytes_max;
}

Outcome<InitiatedE2e> read_initiated(Bytes answer)
{
    Reader reader(answer);
    InitiatedE2e initiated;
    const auto session = TRY(reader.read_le<std::uint32_t>());
    initiated.client.bytes = TRY(reader.read_array<CurveKey::size>());
    initiated.session = TRY(reader.read_le<std::uint32_t>()) != 0 ? session : 0;
    TRY(reader.read_le<std::uint32_t>()); // the order is in the keys
    initiated.id.bytes = TRY(reader.read_array<E2eId::size>());
    initiated.metadata.assign(reader.rest().begin(), reader.rest().end());
    return initiated;
}

Outcome<Letter> process_letter(Chamber& chamber, std::uint32_t key, Bytes packet)
{
    const auto answer = TRY(chamber.ask(Request::e2e_process_letter, {Number(key), packet}, packet.size() + 64));
    Reader reader(answer);
    Letter letter;
    letter.sender.bytes = TRY(reader.read_array<CurveKey::size>());
    letter.number = TRY(reader.read_le<std::uint64_t>());
    letter.flags = TRY(reader.read_le<std::uint32_t>());
    letter.text.assign(reader.rest().begin(), reader.rest().end());
    return letter;
}

Buffer own_property(e2e::Order order)
{
    ByteArray<64> bytes{};
    Writer writer(bytes);
    protocol::zmtp::write_property(writer, e2e::property_name,
                                   ByteArray<2>{e2e::property_version, static_cast<std::uint8_t>(order)});
    const auto written = writer.written();
    return {written.begin(), written.end()};
}

std::uint64_t clock_us()
{
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

} // namespace caisson::library
