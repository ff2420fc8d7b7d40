#include "library/endpoint.hpp"

#include "core/text.hpp"
#include "core/wire.hpp"
#include "host/store/durable_file.hpp"

#include <algorithm>

namespace caisson::library {
namespace {

namespace e2e = protocol::e2e;
using host::enclave::Enclave;
using std::chrono::milliseconds;

constexpr std::size_t group_bytes_max = std::size_t{1} << 20U; // packets that travel in one message of the carrier
constexpr std::size_t seal_batch_max = 256;
constexpr std::size_t seal_bytes_max = std::size_t{256} << 10U; // what waits is still in a cache when it is sealed
constexpr std::size_t events_max = 4096;
constexpr std::size_t sessions_per_peer = 2; // a new one while the old one still has something on the way
constexpr int retry_pauses_max = 16;         // a handshake that fails waits longer and longer, up to so many times
constexpr std::size_t number_bytes = sizeof(std::uint32_t);

bool is_packet(Bytes part) noexcept
{
    return e2e::read_packet(part).has_value();
}

Parts copy_of(std::span<const Bytes> parts)
{
    Parts out;
    for (const auto& part : parts) {
        out.emplace_back(part.begin(), part.end());
    }
    return out;
}

Buffer keys_of(std::span<const CurveKey> keys)
{
    Buffer out;
    for (const auto& key : keys) {
        out.insert(out.end(), key.bytes.begin(), key.bytes.end());
    }
    return out;
}

} // namespace

Outcome<std::unique_ptr<Endpoint>> Endpoint::open(Chamber& chamber, std::uint32_t key)
{
    const auto facts = TRY(chamber.facts_of(key));
    return std::unique_ptr<Endpoint>(new Endpoint(chamber, key, facts));
}

Endpoint::~Endpoint()
{
    for (const auto& [id, session] : sessions_) {
        static_cast<void>(chamber_.ask(Request::e2e_close_session, {Number(session->number)}, 0));
        chamber_.release_peer(key_, session->peer);
    }
}

std::filesystem::path Endpoint::state_path(const CurveKey& sender) const
{
    std::string name(2 * (facts_.public_key.bytes.size() + sender.bytes.size()) + 1, '-');
    write_hex(std::span(name).first(2 * facts_.public_key.bytes.size()), facts_.public_key.bytes);
    write_hex(std::span(name).last(2 * sender.bytes.size()), sender.bytes);
    return letters_folder_ / (name + ".letters");
}

Done Endpoint::allow(const CurveKey& peer)
{
    allowed_.insert(peer);
    return letters_folder_.empty() ? Done{} : know_sender(peer);
}

Done Endpoint::keep_letters(std::filesystem::path folder)
{
    TRY(host::store::make_folder(folder, 0700));
    letters_folder_ = std::move(folder);
    for (const auto& peer : allowed_) {
        TRY(know_sender(peer));
    }
    return {};
}

Done Endpoint::know_sender(const CurveKey& sender)
{
    TRY(chamber_.ask(Request::e2e_allow_sender, {Number(key_), sender.bytes}, 0));
    const auto path = state_path(sender);
    auto state = host::store::load_file(path, airlock::curve::e2e_sealed_sender_bytes_max);
    if (!state && state.error().kind == Kind::missing) {
        return {};
    }
    const auto sealed = TRY(std::move(state));
    const auto taken = chamber_.ask(Request::e2e_unseal_sender, {Number(key_), sender.bytes, sealed}, 0);
    if (!taken) {
        return fault(taken.error().kind, path.string() + ": what was kept of this sender's letters does not open here");
    }
    return {};
}

Done Endpoint::store_sender(const CurveKey& sender)
{
    const auto sealed = TRY(chamber_.ask(Request::e2e_seal_sender, {Number(key_), sender.bytes},
                                         airlock::curve::e2e_sealed_sender_bytes_max));
    return host::store::store_file(state_path(sender), sealed, 0600, host::store::Existing::replace);
}

void Endpoint::refuse(Kind kind, const CurveKey& peer)
{
    if (events_.size() < events_max) {
        events_.push_back({CAISSON_EVENT_REFUSED, code_of(kind), peer, {}});
    }
}

void Endpoint::push_outgoing(const Parts& route, Parts packets)
{
    Parts message = route;
    std::move(packets.begin(), packets.end(), std::back_inserter(message));
    outgoing_.push_back(std::move(message));
}

std::shared_ptr<Endpoint::Session> Endpoint::find(const E2eId& id) const
{
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : found->second;
}

std::shared_ptr<Endpoint::Session> Endpoint::open_session(const CurveKey& peer) const
{
    const auto found = by_peer_.find(peer);
    if (found == by_peer_.end()) {
        return nullptr;
    }
    const auto newest = std::find_if(found->second.rbegin(), found->second.rend(),
                                     [](const auto& session) { return session->step == Step::open; });
    return newest == found->second.rend() ? nullptr : *newest;
}

bool Endpoint::is_open(const CurveKey& peer) const
{
    return open_session(peer) != nullptr;
}

void Endpoint::forget(const std::shared_ptr<Session>& session)
{
    if (std::exchange(session->ended, true)) {
        return;
    }
    // In the chamber it may have ended by itself.
    static_cast<void>(chamber_.ask(Request::e2e_close_session, {Number(session->number)}, 0));
    chamber_.release_peer(key_, session->peer);
    sessions_.erase(session->id);
    auto& of_peer = by_peer_[session->peer];
    std::erase(of_peer, session);
    if (of_peer.empty()) {
        by_peer_.erase(session->peer);
    }
}

void Endpoint::end(const std::shared_ptr<Session>& session, Kind why, bool tells)
{
    if (session->ended) {
        return;
    }
    forget(session);
    if (tells) {
        events_.push_back({CAISSON_EVENT_CLOSED, code_of(why), session->peer, {}});
    }
    if (const auto wish = wishes_.find(session->peer); wish != wishes_.end() && !is_open(session->peer)) {
        wish->second.next_try = Clock::now() + settings_.retry;
    }
}

void Endpoint::limit_sessions_of(const CurveKey& peer)
{
    while (by_peer_[peer].size() > sessions_per_peer) {
        forget(by_peer_[peer].front());
    }
}

Done Endpoint::connect(const CurveKey& peer, Parts route)
{
    auto& wish = wishes_[peer];
    wish = {std::move(route), Clock::now(), settings_.retry};
    return begin_handshake(peer, wish);
}

Done Endpoint::begin_handshake(const CurveKey& peer, Wish& wish)
{
    wish.next_try = Clock::now() + wish.pause;
    wish.pause = std::min(2 * wish.pause, retry_pauses_max * settings_.retry);
    const auto opened = TRY(
        chamber_.ask(Request::e2e_open_client,
                     {Number(key_), Number(static_cast<std::uint32_t>(settings_.order)), peer.bytes}, number_bytes));
    auto session = std::make_shared<Session>();
    Reader reader(opened);
    session->number = TRY(reader.read_le<std::uint32_t>());
    auto hello = TRY(chamber_.ask(Request::e2e_produce_hello, {Number(session->number)}, 512));
    session->id = TRY(e2e::read_packet(hello)).id;
    session->peer = peer;
    session->is_client = true;
    session->route = wish.route;
    chamber_.keep_peer(key_, peer);
    sessions_[session->id] = session;
    by_peer_[peer].push_back(session);
    push_outgoing(wish.route, {std::move(hello)});
    return {};
}

// What a carrier loses of a handshake is begun anew.
void Endpoint::retry_handshakes()
{
    const auto now = Clock::now();
    for (auto& [peer, wish] : wishes_) {
        if (is_open(peer) || wish.next_try > now) {
            continue;
        }
        const auto of_peer = by_peer_.find(peer);
        const auto stale = of_peer == by_peer_.end() ? std::deque<std::shared_ptr<Session>>{} : of_peer->second;
        for (const auto& session : stale) {
            forget(session);
        }
        if (const auto begun = begin_handshake(peer, wish); !begun) {
            refuse(begun.error().kind, peer);
        }
    }
}

void Endpoint::receive(std::span<const Bytes> parts)
{
    take_message(copy_of(parts));
    go_on_with_handshakes();
}

void Endpoint::receive_many(std::vector<Parts> messages)
{
    for (auto& message : messages) {
        take_message(std::move(message));
    }
    go_on_with_handshakes();
}

void Endpoint::take_message(Parts parts)
{
    const auto first = std::find_if(parts.begin(), parts.end(), is_packet);
    if (first == parts.end()) {
        refuse(Kind::malformed, {});
        return;
    }
    const Parts route(std::make_move_iterator(parts.begin()), std::make_move_iterator(first));
    for (auto part = first; part != parts.end(); ++part) {
        if (const auto taken = take_packet(std::move(*part), route); !taken) {
            refuse(taken.error().kind, {});
        }
    }
}

Done Endpoint::take_packet(Buffer bytes, const Parts& route)
{
    const auto packet = TRY(e2e::read_packet(bytes));
    switch (packet.type) {
    case e2e::PacketType::hello: return take_hello(std::move(bytes), route);
    case e2e::PacketType::welcome: return take_welcome(packet, std::move(bytes));
    case e2e::PacketType::initiate: return take_initiate(std::move(bytes), route);
    case e2e::PacketType::ready: return take_ready(packet, bytes);
    case e2e::PacketType::data:
    case e2e::PacketType::fanout: return take_data(std::move(bytes), route);
    case e2e::PacketType::letter: return take_letter(bytes);
    }
    return fault(Kind::malformed, "a packet of unknown type");
}

Outcome<std::shared_ptr<Endpoint::Session>> Endpoint::session_for(const e2e::Packet& packet) const
{
    if (packet.type == e2e::PacketType::data) {
        return find(packet.id);
    }
    const auto count = TRY(e2e::count_slots(packet));
    for (std::size_t index = 0; index < count; ++index) {
        E2eId id;
        copy_bytes(id.bytes, e2e::slot_of(packet, index).first(E2eId::size));
        if (auto session = find(id); session != nullptr) {
            return session;
        }
    }
    return nullptr;
}

// Kept until `next`, so that many are opened with one crossing.
Done Endpoint::take_data(Buffer bytes, const Parts& route)
{
    const auto packet = TRY(e2e::read_packet(bytes));
    auto session = TRY(session_for(packet));
    if (session == nullptr && !handshakes_.empty()) { // it may be one that is about to open
        go_on_with_handshakes();
        session = TRY(session_for(packet));
    }
    if (session == nullptr || session->step != Step::open) {
        return fault(Kind::missing, "a packet is of no session of ours");
    }
    to_open_.push_back({std::move(session), std::move(bytes), {}});
    if (auto& work = to_open_.back(); !work.session->is_client) {
        work.route = route;
    }
    return {};
}

// Each text takes its packet's place: what a call brings is read before its answer is written.
void Endpoint::open_waiting()
{
    struct Crossing {
        ByteArray<number_bytes> session{};
        std::array<Bytes, 1> packet;
        OpenedHead head{};
        std::array<MutableBytes, 1> text;
    };
    auto works = std::exchange(to_open_, {});
    std::vector<Crossing> crossings(works.size());
    std::vector<Enclave::Call> calls(works.size());
    for (std::size_t index = 0; index < works.size(); ++index) {
        auto& work = works[index];
        auto& crossing = crossings[index];
        Writer(crossing.session).write_le(work.session->number);
        crossing.packet = {Bytes(work.packet)};
        crossing.text = {MutableBytes(work.packet)};
        auto& call = calls[index];
        call.request = static_cast<std::uint32_t>(Request::e2e_process_message);
        call.input = crossing.session;
        call.more_input = Enclave::Pieces<Bytes>(crossing.packet);
        call.output = crossing.head;
        call.more_output = Enclave::Pieces<MutableBytes>(crossing.text);
    }
    chamber_.enclave().call_many(calls);
    for (std::size_t index = 0; index < works.size(); ++index) {
        take_opened(works[index], crossings[index].head, calls[index].result);
    }
}

void Endpoint::take_opened(ToOpen& work, const OpenedHead& head, Result<std::size_t> result)
{
    const auto& session = work.session;
    if (!result) {
        const auto kind = result.error().kind;
        // Of all that may be wrong with a packet, these alone mean that the session cannot go on.
        if (kind == Kind::conflict || kind == Kind::missing || kind == Kind::forbidden || kind == Kind::unacceptable ||
            kind == Kind::unavailable) {
            end(session, kind, true);
        } else {
            refuse(kind, {});
        }
        return;
    }
    Reader reader(head);
    const auto flags = reader.read_le<std::uint32_t>();
    const auto counter = reader.read_le<std::uint64_t>();
    if (*result < head.size() || !flags || !counter) {
        return;
    }
    if (!work.route.empty()) {
        session->route = std::move(work.route); // the newest way on which something authentic came
    }
    if ((*flags & e2e::flag_close) != 0) {
        end(session, Kind::expired, true);
        return;
    }
    work.packet.resize(*result - head.size());
    auto parts = session->reassembly.take(*counter, {static_cast<std::uint8_t>(*flags), std::move(work.packet)});
    if (!parts) {
        end(session, parts.error().kind, true);
    } else if (!parts->empty()) {
        events_.push_back({CAISSON_EVENT_MESSAGE, CAISSON_OK, session->peer, std::move(*parts)});
    }
}

// [E2E-32]
Done Endpoint::take_letter(Bytes bytes)
{
    if (letters_folder_.empty()) {
        return fault(Kind::forbidden, "letters are not taken without a place for their state");
    }
    const auto letter = TRY(process_letter(chamber_, key_, bytes));
    auto parts = TRY(split_parts(letter.text));
    TRY(store_sender(letter.sender));
    events_.push_back({CAISSON_EVENT_LETTER, CAISSON_OK, letter.sender, std::move(parts)});
    return {};
}

Done Endpoint::send(const CurveKey& peer, std::span<const Bytes> parts)
{
    const auto session = open_session(peer);
    if (session == nullptr) {
        return fault(Kind::missing, "there is no session with this peer now");
    }
    auto pieces = cut(parts, settings_.chunk_bytes);
    if (pieces.empty()) {
        return fault(Kind::malformed, "a message has at least one part");
    }
    std::size_t group = 0;
    for (std::size_t index = 0; index < pieces.size(); ++index) {
        group += pieces[index].text.size();
        const bool ends = index + 1 == pieces.size() || group >= group_bytes_max;
        group = ends ? 0 : group;
        to_seal_bytes_ += pieces[index].text.size();
        to_seal_.push_back({session, std::move(pieces[index]), ends});
    }
    if (to_seal_.size() >= seal_batch_max || to_seal_bytes_ >= seal_bytes_max) {
        seal_waiting();
    }
    return {};
}

// Each packet takes its text's place, as above.
void Endpoint::seal_waiting()
{
    struct Crossing {
        ByteArray<2 * number_bytes> head{};
        std::array<Bytes, 1> text;
    };
    auto works = std::exchange(to_seal_, {});
    to_seal_bytes_ = 0;
    std::vector<Crossing> crossings(works.size());
    std::vector<Enclave::Call> calls(works.size());
    for (std::size_t index = 0; index < works.size(); ++index) {
        auto& work = works[index];
        auto& crossing = crossings[index];
        Writer writer(crossing.head);
        writer.write_le(work.session->number);
        writer.write_le(std::uint32_t{work.piece.flags});
        auto& text = work.piece.text;
        const auto text_bytes = text.size();
        text.resize(text_bytes + e2e::data_overhead_bytes);
        crossing.text = {Bytes(text).first(text_bytes)};
        auto& call = calls[index];
        call.request = static_cast<std::uint32_t>(Request::e2e_produce_message);
        call.input = crossing.head;
        call.more_input = Enclave::Pieces<Bytes>(crossing.text);
        call.output = text;
    }
    chamber_.enclave().call_many(calls);
    Parts group;
    for (std::size_t index = 0; index < works.size(); ++index) {
        auto& work = works[index];
        if (!calls[index].result) {
            end(work.session, calls[index].result.error().kind, true);
        } else if (!work.session->ended) {
            work.piece.text.resize(*calls[index].result);
            group.push_back(std::move(work.piece.text));
        }
        if (work.ends_group && !group.empty()) {
            push_outgoing(work.session->route, std::exchange(group, {}));
        }
    }
}

Done Endpoint::send_many(std::span<const CurveKey> peers, const Parts& route, std::span<const Bytes> parts)
{
    Buffer sessions;
    for (const auto& peer : peers) {
        const auto session = open_session(peer);
        if (session == nullptr) {
            return fault(Kind::missing, "there is no session with one of these peers now");
        }
        const Number number(session->number);
        const Bytes octets = number;
        sessions.insert(sessions.end(), octets.begin(), octets.end());
    }
    seal_waiting(); // what was queued before comes before
    Parts group;
    std::size_t group_bytes = 0;
    for (const auto& piece : cut(parts, settings_.chunk_bytes)) {
        auto packet = TRY(chamber_.ask(
            Request::e2e_produce_fanout,
            {Number(piece.flags), Number(static_cast<std::uint32_t>(peers.size())), sessions, piece.text},
            e2e::head_bytes + 2 + peers.size() * e2e::fanout_slot_bytes + piece.text.size() + e2e::tag_bytes));
        group_bytes += packet.size();
        group.push_back(std::move(packet));
        if (group_bytes >= group_bytes_max) {
            push_outgoing(route, std::exchange(group, {}));
            group_bytes = 0;
        }
    }
    if (!group.empty()) {
        push_outgoing(route, std::move(group));
    }
    return {};
}

Done Endpoint::send_letter(std::span<const CurveKey> peers, const Parts& route, std::span<const Bytes> parts)
{
    const auto text = join_parts(parts);
    if (text.size() > e2e::text_bytes_max) {
        return fault(Kind::exhausted, "a letter holds at most 128 KiB; send more of them, or over a session");
    }
    constexpr std::uint32_t flags = e2e::flag_first | e2e::flag_last | e2e::flag_part_end;
    auto letter = TRY(chamber_.ask(Request::e2e_produce_letter,
                                   {Number(key_), LongNumber(clock_us()), Number(flags),
                                    Number(static_cast<std::uint32_t>(peers.size())), keys_of(peers), text},
                                   e2e::head_bytes + CurveKey::size + 2 + peers.size() * e2e::letter_slot_bytes +
                                       text.size() + e2e::tag_bytes));
    push_outgoing(route, {std::move(letter)});
    return {};
}

Done Endpoint::rekey(const CurveKey& peer)
{
    const auto session = open_session(peer);
    if (session == nullptr) {
        return fault(Kind::missing, "there is no session with this peer now");
    }
    seal_waiting();
    TRY(chamber_.ask(Request::e2e_rekey, {Number(session->number)}, 0));
    return {};
}

Done Endpoint::disconnect(const CurveKey& peer)
{
    wishes_.erase(peer);
    const auto session = open_session(peer);
    if (session == nullptr) {
        return fault(Kind::missing, "there is no session with this peer now");
    }
    to_seal_.push_back({session, {e2e::flag_close, {}}, true});
    seal_waiting();
    forget(session);
    return {};
}

std::optional<Parts> Endpoint::outgoing()
{
    if (outgoing_.empty()) {
        retry_handshakes();
        if (!to_seal_.empty()) {
            seal_waiting();
        }
    }
    if (outgoing_.empty()) {
        return std::nullopt;
    }
    auto message = std::move(outgoing_.front());
    outgoing_.pop_front();
    return message;
}

std::optional<Event> Endpoint::next()
{
    if (events_.empty() && !to_open_.empty()) {
        open_waiting();
    }
    if (events_.empty()) {
        return std::nullopt;
    }
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

} // namespace caisson::library
