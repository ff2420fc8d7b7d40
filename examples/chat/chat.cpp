// A chat whose broker sees nothing: rooms, direct talk, and members who are away.
// usage: chat HOME NAME BROKER-ADDRESS ROOM MEMBERS-FILE
//   HOME has a key called NAME; MEMBERS-FILE has a line "name public-key" for each member.
//   A line on standard input goes to the room, "/to MEMBER text" to one member. What comes is printed: "room/name
//   text", or "name text" for direct talk. Ends with the end of standard input and 2 seconds of silence.
//
// To the room goes one letter, sealed once, with a slot for each member, there or not: the broker keeps it for who is
// away. Direct talk goes over a session as soon as both are there, with keys that live no longer than it, and as a
// letter before.
#include <caisson/caisson.hpp>

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>

namespace {

struct Member {
    std::string name;
    caisson::public_key key;
};

std::vector<Member> read_members(const char* path)
{
    std::ifstream file(path);
    std::vector<Member> members;
    std::string name;
    std::string key;
    while (file >> name >> key) {
        members.push_back({name, caisson::key_from_z85(key)});
    }
    return members;
}

class Chat {
  public:
    Chat(char** arguments)
        : chamber_(arguments[0])
        , name_(arguments[1])
        , room_(arguments[3])
        , key_(chamber_.load_key(name_))
        , members_(read_members(arguments[4]))
        , endpoint_(chamber_, key_)
        , carrier_(CAISSON_DEALER)
    {
        std::erase_if(members_, [this](const Member& member) { return member.name == name_; });
        for (const auto& member : members_) {
            endpoint_.allow(member.key);
            everybody_.push_back(member.key);
        }
        endpoint_.set(CAISSON_ORDER, CAISSON_WINDOW); // a broker may reorder
        endpoint_.keep_letters(std::string(arguments[0]) + "/letters");
        carrier_.set_identity(name_);
        carrier_.connect(arguments[2]);
        carrier_.send({"join", room_}, 10'000);
    }

    void run()
    {
        auto heard = std::chrono::steady_clock::now();
        bool reading = true;
        while (reading || std::chrono::steady_clock::now() - heard < std::chrono::seconds(2)) {
            pollfd input{STDIN_FILENO, POLLIN, 0};
            if (reading && ::poll(&input, 1, 0) > 0) {
                reading = take_input();
                heard = std::chrono::steady_clock::now();
            }
            endpoint_.pump(carrier_, 50);
            while (const auto event = endpoint_.next()) {
                show(*event);
                heard = std::chrono::steady_clock::now();
            }
        }
    }

  private:
    // False at the end of the input.
    bool take_input()
    {
        char octets[4096];
        const auto got = ::read(STDIN_FILENO, octets, sizeof octets);
        input_.append(octets, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        for (auto end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
            say(input_.substr(0, end));
            input_.erase(0, end + 1);
        }
        return got > 0;
    }

    void say(const std::string& line)
    {
        if (!line.starts_with("/to ")) {
            endpoint_.send_letter(everybody_, {"room", room_}, {room_, line});
            return;
        }
        const auto space = std::min(line.find(' ', 4), line.size());
        const auto member = std::find_if(members_.begin(), members_.end(),
                                         [&](const Member& one) { return one.name == line.substr(4, space - 4); });
        if (member == members_.end()) {
            std::printf("there is no such member\n");
            return;
        }
        const caisson::message parts{"", line.substr(std::min(space + 1, line.size()))};
        const caisson::message route{"to", member->name};
        if (endpoint_.is_open(member->key)) {
            endpoint_.send(member->key, parts);
        } else {
            endpoint_.send_letter(std::span(&member->key, 1), route, parts);
            endpoint_.connect(member->key, route); // for next time
        }
    }

    void show(const caisson::event& event)
    {
        if ((event.type != CAISSON_EVENT_MESSAGE && event.type != CAISSON_EVENT_LETTER) || event.parts.size() != 2) {
            return;
        }
        const auto sender = std::find_if(members_.begin(), members_.end(),
                                         [&](const Member& member) { return member.key == event.peer; });
        const auto* name = sender == members_.end() ? "somebody" : sender->name.c_str();
        const auto& room = event.parts[0];
        std::printf("%s%s%s %s%s\n", room.c_str(), room.empty() ? "" : "/", name, event.parts[1].c_str(),
                    event.type == CAISSON_EVENT_MESSAGE ? " (session)" : "");
        std::fflush(stdout);
    }

    caisson::chamber chamber_;
    std::string name_;
    std::string room_;
    caisson::key key_;
    std::vector<Member> members_;
    std::vector<caisson::public_key> everybody_;
    caisson::endpoint endpoint_;
    caisson::socket carrier_;
    std::string input_;
};

} // namespace

int main(int count, char** arguments)
{
    if (count != 6) {
        std::fputs("usage: chat HOME NAME BROKER-ADDRESS ROOM MEMBERS-FILE\n", stderr);
        return 64;
    }
    try {
        Chat(arguments + 1).run();
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "chat: %s\n", error.what());
        return 1;
    }
}
