// The interop peer with a socket of libcaisson; interop/README.md says what a peer does. Usage:
//   library_peer TYPE server ENDPOINT HOME KEY --sizes ...
//   library_peer TYPE client ENDPOINT SERVER-KEY HOME KEY --sizes ...
#include <caisson/caisson.hpp>

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>

namespace {

constexpr int timeout_ms = 60'000;

const std::map<std::string, int> types = {{"PAIR", CAISSON_PAIR}, {"PUB", CAISSON_PUB},   {"SUB", CAISSON_SUB},
                                          {"REQ", CAISSON_REQ},   {"REP", CAISSON_REP},   {"DEALER", CAISSON_DEALER},
                                          {"PULL", CAISSON_PULL}, {"PUSH", CAISSON_PUSH}, {"ROUTER", CAISSON_ROUTER},
                                          {"XPUB", CAISSON_XPUB}, {"XSUB", CAISSON_XSUB}};

using Sizes = std::vector<std::size_t>;

[[noreturn]] void fail(const std::string& what)
{
    std::fprintf(stderr, "library_peer: %s\n", what.c_str());
    std::exit(1);
}

void say(const std::string& line)
{
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
}

caisson::message message_of(const Sizes& sizes)
{
    caisson::message parts;
    for (const auto size : sizes) {
        auto& part = parts.emplace_back(size, '\0');
        for (std::size_t index = 0; index < size; ++index) {
            part[index] = static_cast<char>(index % 251);
        }
    }
    return parts;
}

class Peer {
  public:
    Peer(caisson::socket socket, std::string type)
        : socket_(std::move(socket))
        , type_(std::move(type))
    {
    }

    void serve(const std::vector<Sizes>& messages)
    {
        if (type_ == "PUB" || type_ == "XPUB") {
            publish(messages);
            return;
        }
        for (const auto& sizes : messages) {
            auto parts = receive();
            auto text = parts;
            if (type_ == "ROUTER") {
                text.erase(text.begin());
            }
            compare(text, sizes);
            if (type_ != "PULL") {
                socket_.send(parts, timeout_ms);
            }
        }
    }

    void ask(const std::vector<Sizes>& messages)
    {
        if (type_ == "SUB" || type_ == "XSUB") {
            subscribe(messages);
            return;
        }
        for (const auto& sizes : messages) {
            socket_.send(message_of(sizes), timeout_ms);
            if (type_ != "PUSH") {
                compare(receive(), sizes);
            }
        }
    }

    // Until a line comes, so that what was sent leaves.
    void wait_for_the_end()
    {
        while (!has_line()) {
            caisson_socket_poll(socket_.get(), 20);
        }
    }

  private:
    static bool has_line()
    {
        pollfd input{STDIN_FILENO, POLLIN, 0};
        char octet = 0;
        return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, &octet, 1) >= 0;
    }

    caisson::message receive()
    {
        auto parts = socket_.receive(timeout_ms);
        if (!parts) {
            fail("nothing came");
        }
        return *parts;
    }

    static void compare(const caisson::message& parts, const Sizes& sizes)
    {
        if (parts != message_of(sizes)) {
            fail("a message of " + std::to_string(parts.size()) + " parts differs");
        }
    }

    void publish(const std::vector<Sizes>& messages)
    {
        if (type_ == "XPUB") {
            receive();
        }
        while (!has_line()) {
            socket_.send({"hello"});
            caisson_socket_poll(socket_.get(), 20);
        }
        for (const auto& sizes : messages) {
            socket_.send(message_of(sizes));
            caisson_socket_poll(socket_.get(), 20);
        }
    }

    void subscribe(const std::vector<Sizes>& messages)
    {
        socket_.subscribe("");
        auto parts = receive();
        say("hello");
        while (parts == caisson::message{"hello"}) {
            parts = receive();
        }
        for (std::size_t index = 0; index < messages.size(); ++index) {
            compare(index == 0 ? parts : receive(), messages[index]);
        }
    }

    caisson::socket socket_;
    std::string type_;
};

std::vector<Sizes> sizes_of(char** words, int count)
{
    std::vector<Sizes> messages;
    for (int index = 0; index < count; ++index) {
        auto& sizes = messages.emplace_back();
        std::stringstream stream(words[index]);
        for (std::string word; std::getline(stream, word, ',');) {
            sizes.push_back(std::strtoul(word.c_str(), nullptr, 10));
        }
    }
    return messages;
}

int run(int count, char** arguments)
{
    const std::string type = arguments[1];
    const bool is_server = arguments[2] == std::string("server");
    char** rest = arguments + (is_server ? 4 : 5);
    caisson::chamber chamber(rest[0]);
    const auto key = chamber.load_key(rest[1]);
    const auto server_key = is_server ? std::nullopt : std::optional(caisson::key_from_z85(arguments[4]));
    caisson::socket socket(chamber, types.at(type), key, server_key);
    socket.set(CAISSON_LINGER_MS, 5000);
    socket.set(CAISSON_SEND_QUEUE_BYTES, std::int64_t{256} << 20U);
    if (is_server) {
        socket.bind(arguments[3]);
        say("bound");
    } else {
        socket.connect(arguments[3]);
    }
    const auto first = static_cast<int>(rest - arguments) + 3;
    const auto messages = sizes_of(arguments + first, count - first);
    Peer peer(std::move(socket), type);
    is_server ? peer.serve(messages) : peer.ask(messages);
    say("ok " + std::to_string(messages.size()));
    peer.wait_for_the_end();
    return 0;
}

} // namespace

int main(int count, char** arguments)
{
    if (count < 8) {
        fail("see interop/README.md");
    }
    try {
        return run(count, arguments);
    } catch (const std::exception& error) {
        fail(error.what());
    }
}
