// Sockets: a CURVE server that answers, and a client that asks; either side may be any other ZeroMQ program.
// usage: request serve HOME KEY tcp://127.0.0.1:0          prints "listening ADDRESS PUBLIC-KEY"
//        request ask HOME KEY ADDRESS SERVER-KEY TEXT...
#include <caisson/caisson.hpp>

#include <cstdio>
#include <cstring>

namespace {

int serve(char** arguments)
{
    caisson::chamber chamber(arguments[0]);
    const auto key = chamber.load_key(arguments[1]);
    caisson::socket socket(chamber, CAISSON_REP, key);
    const auto address = socket.bind(arguments[2]);
    std::printf("listening %s %s\n", address.c_str(), caisson::z85(key.public_part).c_str());
    std::fflush(stdout);
    while (auto question = socket.receive()) {
        std::printf("%s asks\n", caisson::z85(socket.last_peer()).c_str());
        std::fflush(stdout);
        question->front() = "you asked: " + question->front();
        socket.send(*question);
    }
    return 0;
}

int ask(char** arguments)
{
    caisson::chamber chamber(arguments[0]);
    const auto key = chamber.load_key(arguments[1]);
    caisson::socket socket(chamber, CAISSON_REQ, key, caisson::key_from_z85(arguments[3]));
    socket.connect(arguments[2]);
    for (char** text = arguments + 4; *text != nullptr; ++text) {
        socket.send({*text}, 10'000);
        const auto answer = socket.receive(10'000);
        if (!answer) {
            std::fputs("request: no answer within 10 seconds\n", stderr);
            return 1;
        }
        std::printf("%s\n", answer->front().c_str());
    }
    return 0;
}

} // namespace

int main(int count, char** arguments)
{
    try {
        if (count == 5 && std::strcmp(arguments[1], "serve") == 0) {
            return serve(arguments + 2);
        }
        if (count >= 7 && std::strcmp(arguments[1], "ask") == 0) {
            return ask(arguments + 2);
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "request: %s\n", error.what());
        return 1;
    }
    std::fputs("usage: request serve HOME KEY ADDRESS | request ask HOME KEY ADDRESS SERVER-KEY TEXT...\n", stderr);
    return 64;
}
