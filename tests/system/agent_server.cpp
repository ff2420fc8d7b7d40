// A small attestation server for the agent's own system test: real TLS and signatures, one file to measure, no
// database. Usage: agent_server FOLDER MEASURED-FILE [ADDRESS]. Writes FOLDER/alpha.join, prints "listening ADDRESS"
// and a line for each verdict; keeps its keys and the node over a restart.
#include "core/text.hpp"
#include "host/net/certificate.hpp"
#include "host/net/tls_server.hpp"
#include "host/text.hpp"
#include "protocol/verifier_link.hpp"
#include "tests/unit/services/agent/fake_server.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

namespace {

using namespace caisson;
using namespace std::chrono_literals;
namespace link = protocol::verifier_link;
using host::hex;
using Buffer = std::vector<std::uint8_t>;
using host::net::CertifiedKey;
using host::net::TlsConnection;

std::string escaped(const std::string& pem)
{
    std::string text;
    for (const char letter : pem) {
        text += letter == '\n' ? std::string("\\n") : std::string(1, letter);
    }
    return text;
}

std::string load(const std::filesystem::path& path)
{
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), {}};
}

struct Authority {
    CertifiedKey root;
    CertifiedKey own;
};

// The same after a restart: the agent knows this one alone.
Authority authority_in(const std::filesystem::path& folder)
{
    const auto file = [&folder](const char* name) { return folder / name; };
    if (!std::filesystem::exists(file("root.key"))) {
        const auto root = *host::net::make_authority("system test");
        const auto own = *host::net::make_server_certificate(root, "127.0.0.1");
        std::ofstream(file("root.pem")) << root.certificate_pem;
        std::ofstream(file("own.pem")) << own.certificate_pem;
        std::ofstream(file("own.key")) << own.key_pem;
        std::ofstream(file("root.key")) << root.key_pem;
    }
    return {{load(file("root.key")), load(file("root.pem"))}, {load(file("own.key")), load(file("own.pem"))}};
}

class Program {
  public:
    Program(const std::filesystem::path& folder, const std::string& file)
        : folder_(folder)
        , authority_(authority_in(folder))
        , server_(file)
    {
        const auto node = load(folder_ / "node");
        if (node.size() == 64) {
            static_cast<void>(read_hex(server_.node.bytes, node));
            server_.token_used = true;
        }
    }

    int serve(const std::string& address)
    {
        auto listening = host::net::TlsServer::listen(address, authority_.own, authority_.root.certificate_pem);
        if (!listening) {
            std::fprintf(stderr, "%s\n", listening.error().what.c_str());
            return 1;
        }
        invite(listening->address());
        std::printf("listening %s\n", listening->address().c_str());
        std::fflush(stdout);
        while (true) {
            const auto descriptor = listening->accept(100ms);
            if (descriptor) {
                std::thread([this, &listening, number = *descriptor] {
                    auto connection = listening->secure(number, 5s);
                    if (connection) {
                        talk(*connection);
                    }
                }).detach();
            }
        }
    }

  private:
    void invite(const std::string& address)
    {
        std::ofstream(folder_ / "alpha.join")
            << "{\"version\":1,\"server\":\"" << address << "\",\"ca_pem\":\""
            << escaped(authority_.root.certificate_pem) << "\",\"server_signing_key\":\""
            << hex(server_.verifying_key.bytes) << "\",\"server_box_key\":\"" << hex(server_.box_key.bytes)
            << "\",\"token\":\"" << hex(server_.token) << "\",\"name\":\"alpha\"}\n";
    }

    void talk(TlsConnection& connection)
    {
        const auto exporter = connection.exporter(protocol::exporter_label);
        ByteArray<link::frame_head_bytes> head;
        Buffer body;
        Buffer storage;
        Buffer output(1 << 20);
        while (exporter && connection.receive(head, 600s)) {
            const auto size = link::read_frame_head(head);
            if (!size) {
                return;
            }
            body.resize(*size);
            if (!connection.receive(body, 10s)) {
                return;
            }
            const auto frame = link::read_frame_body(body);
            if (!frame) {
                return;
            }
            auto answer = server_.answer(frame->message, {*exporter}, storage);
            std::string certificate;
            link::Frame reply{frame->request, link::Refused{Kind::forbidden, "no"}};
            if (answer) {
                tell(frame->message, *answer, certificate);
                reply.message = *answer;
            }
            const auto written = link::write_frame(output, reply);
            if (!written || !connection.send(Bytes(output).first(*written), 10s)) {
                return;
            }
        }
    }

    void tell(const link::Message& asked, link::Message& answer, std::string& certificate)
    {
        if (const auto* const enrol = std::get_if<link::Enrol>(&asked)) {
            certificate = host::net::certify_node(authority_.root, enrol->csr, "alpha")->certificate_pem;
            answer = link::Enrolled{certificate};
            std::ofstream(folder_ / "node") << hex(server_.node.bytes);
        }
        if (const auto* const verdict = std::get_if<link::Verdict>(&answer)) {
            const std::lock_guard lock(server_.mutex);
            std::printf("verdict %s platform %u root %u mrenclave %s keys %zu\n",
                        protocol::trust_tier_name(verdict->tier),
                        static_cast<unsigned>(server_.last_head.witness.platform),
                        static_cast<unsigned>(server_.last_head.witness.root),
                        hex(server_.last_head.witness.mrenclave).c_str(), server_.last_head.key_count);
            std::fflush(stdout);
        }
    }

    std::filesystem::path folder_;
    Authority authority_;
    services::agent::FakeServer server_;
};

} // namespace

int main(int count, char** words)
{
    if (count < 3) {
        return 64;
    }
    Program program(words[1], words[2]);
    return program.serve(count > 3 ? words[3] : "127.0.0.1:0");
}
