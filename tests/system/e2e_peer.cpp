// One end of end-to-end sessions over real carriers, for hostile_broker.py. Usage:
//   e2e_peer HOME strict|window CARRIER send SERVER-KEY COUNT     ends when all is sent and heard
//   e2e_peer HOME strict|window CARRIER receive                   prints its key, then each message: "got TEXT"
//   e2e_peer HOME strict|window CARRIER fan COUNT SERVER-KEY...   one text for many, over a PUB beside the carrier
// CARRIER: "TYPE ADDRESS" of one socket, or "TYPE ADDRESS TYPE ADDRESS" of one to send and one to receive with, in one
// word with commas; "zmtp2,HOST:PORT" is a DEALER in raw ZMTP 2.0; a "+SUB,ADDRESS" or "+PUB,ADDRESS" adds a socket for
// fan-out.
#include <caisson/caisson.hpp>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <sstream>

namespace {

using caisson::message;
using std::chrono::steady_clock;

const std::map<std::string, int> types = {{"PUB", CAISSON_PUB},   {"SUB", CAISSON_SUB},       {"REQ", CAISSON_REQ},
                                          {"REP", CAISSON_REP},   {"DEALER", CAISSON_DEALER}, {"PULL", CAISSON_PULL},
                                          {"PUSH", CAISSON_PUSH}, {"ROUTER", CAISSON_ROUTER}, {"PAIR", CAISSON_PAIR}};

std::vector<std::string> split(const std::string& text, char by)
{
    std::vector<std::string> words;
    std::stringstream stream(text);
    for (std::string word; std::getline(stream, word, by);) {
        words.push_back(word);
    }
    return words;
}

// A DEALER by hand, in the framing of ZMTP 2.0: no mechanism, no metadata, just parts.
class Zmtp2 {
  public:
    explicit Zmtp2(const std::string& address)
    {
        const auto words = split(address, ':');
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (::getaddrinfo(words.at(0).c_str(), words.at(1).c_str(), &hints, &found) != 0) {
            throw std::runtime_error("no such address");
        }
        descriptor_ = ::socket(found->ai_family, SOCK_STREAM, 0);
        const int code = ::connect(descriptor_, found->ai_addr, found->ai_addrlen);
        ::freeaddrinfo(found);
        if (code != 0) {
            throw std::runtime_error("connecting");
        }
        // Signature, revision 1 (ZMTP 2.0), DEALER, and an empty identity.
        write(std::string("\xff\0\0\0\0\0\0\0\1\x7f\1\5\0\0", 14));
        // libzmq answers with the signature and revision 3; to a peer of revision 1 it goes on with its socket type
        // and identity.
        while (input_.size() < 12) {
            read_some(1000);
        }
        input_.erase(0, 12);
        take_frame(); // the identity
    }
    void send(const message& parts)
    {
        std::string wire;
        for (std::size_t index = 0; index < parts.size(); ++index) {
            const bool is_long = parts[index].size() > 255;
            wire += static_cast<char>((index + 1 < parts.size() ? 1 : 0) | (is_long ? 2 : 0));
            for (int shift = is_long ? 56 : 0; shift >= 0; shift -= 8) {
                wire += static_cast<char>(parts[index].size() >> static_cast<unsigned>(shift));
            }
            wire += parts[index];
        }
        write(wire);
    }
    std::optional<message> receive(int timeout_ms)
    {
        if (input_.empty()) {
            read_some(timeout_ms);
        }
        if (input_.empty()) {
            return std::nullopt;
        }
        message parts;
        bool more = true;
        while (more) {
            parts.push_back(take_frame(&more));
        }
        return parts;
    }

  private:
    std::string take_frame(bool* more = nullptr)
    {
        const auto need = [this](std::size_t size) {
            while (input_.size() < size) {
                read_some(10'000);
            }
        };
        need(2);
        const bool is_long = (input_[0] & 2) != 0;
        const std::size_t head = is_long ? 9 : 2;
        need(head);
        std::size_t size = 0;
        for (std::size_t index = 1; index < head; ++index) {
            size = size << 8U | static_cast<std::uint8_t>(input_[index]);
        }
        need(head + size);
        if (more != nullptr) {
            *more = (input_[0] & 1) != 0;
        }
        auto body = input_.substr(head, size);
        input_.erase(0, head + size);
        return body;
    }
    void read_some(int timeout_ms)
    {
        pollfd entry{descriptor_, POLLIN, 0};
        if (::poll(&entry, 1, timeout_ms) <= 0) {
            return;
        }
        char octets[65536];
        const auto got = ::recv(descriptor_, octets, sizeof octets, 0);
        if (got <= 0) {
            throw std::runtime_error("the broker has gone");
        }
        input_.append(octets, static_cast<std::size_t>(got));
    }
    void write(const std::string& octets)
    {
        for (std::size_t sent = 0; sent < octets.size();) {
            const auto got = ::send(descriptor_, octets.data() + sent, octets.size() - sent, MSG_NOSIGNAL);
            if (got <= 0) {
                throw std::runtime_error("the broker has gone");
            }
            sent += static_cast<std::size_t>(got);
        }
    }

    int descriptor_ = -1;
    std::string input_;
};

// What a word for a carrier says, as sockets.
class Carrier {
  public:
    explicit Carrier(const std::string& text)
    {
        const auto both = split(text, '+');
        const auto words = split(both.at(0), ',');
        if (words.at(0) == "zmtp2") {
            raw_.emplace(words.at(1));
        } else {
            is_reply_ = words.at(0) == "REP";
            out_.emplace(open(words.at(0), words.at(1)));
            if (words.size() > 2) {
                in_.emplace(open(words.at(2), words.at(3)));
            }
        }
        if (both.size() > 1) {
            const auto more = split(both[1], ',');
            fan_.emplace(open(more.at(0), more.at(1)));
            fan_publishes_ = more.at(0) == "PUB";
        }
    }
    void send(const message& parts)
    {
        held_.push_back(parts);
        flush();
    }
    // REQ and REP have their turns: what is not due yet waits.
    void flush()
    {
        try {
            while (!held_.empty()) {
                send_now(held_.front());
                held_.pop_front();
                has_request_ = false;
            }
        } catch (const caisson::failure& error) {
            if (error.code() != CAISSON_FORBIDDEN) {
                throw;
            }
        }
    }
    // A REP owes an answer, also where there is none.
    void settle()
    {
        flush();
        if (has_request_) {
            send({"-"});
        }
    }
    std::optional<message> receive(int timeout_ms)
    {
        if (raw_) {
            return raw_->receive(timeout_ms);
        }
        if (fan_ && !fan_publishes_) {
            if (auto parts = fan_->receive(0)) {
                return parts;
            }
        }
        if (fan_publishes_) {
            fan_->send({"join"}, 0); // a socket gets on only while it is called; the broker carries no such message
        }
        try {
            auto parts = (in_ ? *in_ : *out_).receive(timeout_ms);
            has_request_ = is_reply_ && parts;
            return parts;
        } catch (const caisson::failure& error) {
            if (error.code() != CAISSON_FORBIDDEN) {
                throw;
            }
            ::usleep(1000);
            return std::nullopt;
        }
    }

  private:
    void send_now(const message& parts)
    {
        if (raw_) {
            raw_->send(parts);
        } else if (fan_publishes_ && parts.front() == "fan") {
            fan_->send(parts, 10'000);
        } else {
            out_->send(parts, 10'000);
        }
    }
    static caisson::socket open(const std::string& type, const std::string& address)
    {
        caisson::socket socket(types.at(type));
        if (type == "SUB") {
            socket.subscribe("");
        }
        socket.connect(address);
        return socket;
    }
    std::optional<caisson::socket> out_;
    std::optional<caisson::socket> in_;
    std::optional<caisson::socket> fan_;
    std::optional<Zmtp2> raw_;
    bool fan_publishes_ = false;
    bool is_reply_ = false;
    bool has_request_ = false;
    std::deque<message> held_;
};

std::string text_of(int number)
{
    return "plain text " + std::to_string(number);
}

// What goes along with that text: every eighth is cut into chunks.
std::string filler_of(int number)
{
    return std::string(static_cast<std::size_t>(number) * (number % 8 == 7 ? 7000 : 7), 'x');
}

class Peer {
  public:
    Peer(char** arguments)
        : chamber(arguments[0])
        , key(chamber.make_key())
        , endpoint(chamber, key)
        , carrier(arguments[2])
    {
        endpoint.set(CAISSON_ORDER, std::strcmp(arguments[1], "strict") == 0 ? CAISSON_STRICT : CAISSON_WINDOW);
        endpoint.set(CAISSON_ACCEPT_ALL, 1);
        endpoint.set(CAISSON_RETRY_MS, 20);
        endpoint.set(CAISSON_CHUNK_BYTES, 16384);
    }
    // Everything that is to be sent, and what comes within the time.
    void turn(int timeout_ms)
    {
        while (const auto parts = endpoint.outgoing()) {
            carrier.send(*parts);
        }
        auto parts = carrier.receive(timeout_ms);
        for (int count = 0; parts && count < 100; ++count) {
            endpoint.receive(*parts);
            while (const auto answer = endpoint.outgoing()) {
                carrier.send(*answer);
            }
            carrier.settle();
            parts = carrier.receive(0);
        }
    }
    bool turn_until_open(const caisson::public_key& peer, int seconds)
    {
        const auto end = steady_clock::now() + std::chrono::seconds(seconds);
        while (!endpoint.is_open(peer) && steady_clock::now() < end) {
            turn(5);
            drain();
        }
        return endpoint.is_open(peer);
    }
    void drain()
    {
        while (const auto event = endpoint.next()) {
            if (event->type == CAISSON_EVENT_MESSAGE) {
                const auto& text = event->parts.at(0);
                const bool whole =
                    event->parts.size() == 1 ||
                    event->parts[1] == filler_of(std::atoi(text.substr(text.find_last_of(' ') + 1).c_str()));
                std::printf("got %s%s\n", text.c_str(), whole ? "" : " with something else");
                std::fflush(stdout);
            }
        }
    }

    caisson::chamber chamber;
    caisson::key key;
    caisson::endpoint endpoint;
    Carrier carrier;
};

// In strict order what is lost ends a session, and nobody tells the sender: so a new one every few messages.
int send_all(Peer& peer, const caisson::public_key& server, int count, bool renews)
{
    peer.endpoint.connect(server, {"to"});
    for (int number = 0; number < count; ++number) {
        if (!peer.turn_until_open(server, 20)) {
            throw std::runtime_error("no session within 20 seconds");
        }
        peer.endpoint.send(server, {text_of(number), filler_of(number)});
        peer.turn(2);
        peer.drain();
        if (renews && number % 4 == 3) {
            peer.endpoint.disconnect(server);
            peer.endpoint.connect(server, {"to"});
        }
    }
    for (int turn = 0; turn < 50; ++turn) {
        peer.turn(5);
        peer.drain();
    }
    std::printf("ok\n");
    return 0;
}

int fan_out(Peer& peer, const std::vector<caisson::public_key>& servers, int count)
{
    for (std::size_t index = 0; index < servers.size(); ++index) {
        peer.endpoint.connect(servers[index], {std::to_string(index)});
    }
    for (int number = 0; number < count; ++number) {
        for (const auto& server : servers) {
            if (!peer.turn_until_open(server, 20)) {
                throw std::runtime_error("no session within 20 seconds");
            }
        }
        try {
            peer.endpoint.send_many(servers, {"fan"}, {text_of(number)});
        } catch (const caisson::failure&) { // a session has just ended
        }
        peer.turn(2);
        peer.drain();
    }
    for (int turn = 0; turn < 50; ++turn) {
        peer.turn(5);
        peer.drain();
    }
    std::printf("ok\n");
    return 0;
}

int run(int count, char** arguments)
{
    Peer peer(arguments + 1);
    const std::string role = arguments[4];
    if (role == "send" && count == 7) {
        return send_all(peer, caisson::key_from_z85(arguments[5]), std::atoi(arguments[6]),
                        std::strcmp(arguments[2], "strict") == 0);
    }
    if (role == "fan" && count > 6) {
        std::vector<caisson::public_key> servers;
        for (int index = 6; index < count; ++index) {
            servers.push_back(caisson::key_from_z85(arguments[index]));
        }
        return fan_out(peer, servers, std::atoi(arguments[5]));
    }
    std::printf("key %s\n", caisson::z85(peer.key.public_part).c_str());
    std::fflush(stdout);
    while (true) {
        peer.turn(20);
        peer.drain();
    }
}

} // namespace

int main(int count, char** arguments)
{
    if (count < 5) {
        std::fputs("usage: e2e_peer HOME strict|window CARRIER send|receive|fan ...\n", stderr);
        return 64;
    }
    try {
        return run(count, arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "e2e_peer: %s\n", error.what());
        return 1;
    }
}
