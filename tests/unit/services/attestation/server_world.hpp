// A server in the test's own process, and nodes written by hand that may say anything.
#pragma once

#include "core/text.hpp"
#include "host/net/tls_key.hpp"
#include "host/store/durable_file.hpp"
#include "host/text.hpp"
#include "services/agent/verifier.hpp"
#include "services/attestation/references.hpp"
#include "services/attestation/service.hpp"
#include "tests/support/sgx_pki.hpp"

#include <gtest/gtest.h>
#include <sodium.h>

#include <fstream>
#include <functional>

namespace caisson::services::attestation {

using Buffer = std::vector<std::uint8_t>;

// One connection of a node, without TLS.
class DirectVerifier final : public agent::Verifier {
  public:
    DirectVerifier(Service& service, const std::optional<Digest>& spki)
        : service_(service)
    {
        randombytes_buf(peer.exporter.bytes.data(), peer.exporter.bytes.size());
        peer.spki_sha256 = spki;
    }
    [[nodiscard]] const protocol::Exporter& exporter() const noexcept override { return peer.exporter; }
    [[nodiscard]] bool usable() const noexcept override { return true; }
    host::Outcome<protocol::verifier_link::Message> ask(const protocol::verifier_link::Message& message,
                                                        std::chrono::milliseconds /*wait*/) override
    {
        namespace link = protocol::verifier_link;
        Buffer frame(link::document_bytes_max);
        frame.resize(TRY(link::write_frame(frame, {1, message})));
        answer_ = service_.answer(peer, Bytes(frame).subspan(link::frame_head_bytes)).frame;
        const auto answer = TRY(link::read_frame_body(Bytes(answer_).subspan(link::frame_head_bytes)));
        if (const auto* const refused = std::get_if<link::Refused>(&answer.message)) {
            return host::fault(refused->kind, std::string(refused->text));
        }
        return answer.message;
    }

    Peer peer;

  private:
    Service& service_;
    Buffer answer_;
};

class ServerWorld {
  public:
    ServerWorld()
    {
        std::string pattern = (std::filesystem::temp_directory_path() / "caisson-server-XXXXXX").string();
        EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        const auto home = folder / "home";
        EXPECT_TRUE(init_server(home, "127.0.0.1:7440"));
        auto loaded = load_server(home);
        EXPECT_TRUE(loaded);
        keys = std::make_unique<ServerKeys>(std::move(*loaded));
        auto opened = host::store::TrustStore::open(database_path(home));
        EXPECT_TRUE(opened);
        store = std::make_unique<host::store::TrustStore>(std::move(*opened));
        service = std::make_unique<Service>(
            *keys, *store, [this] { return now_ms; }, [this](const std::string& line) { log += line + "\n"; });
    }
    ~ServerWorld()
    {
        std::error_code error;
        std::filesystem::remove_all(folder, error);
    }
    ServerWorld(const ServerWorld&) = delete;
    ServerWorld& operator=(const ServerWorld&) = delete;

    void trust(const tests::SgxPki& pki, bool simulated = false)
    {
        keys->sgx.push_back({pki.tcb_info, pki.signer_chain, pki.qe_identity, pki.signer_chain, pki.pck_crl,
                             pki.root_crl, pki.pin(), simulated});
    }
    static void write_collateral(const tests::SgxPki& pki, const std::filesystem::path& to)
    {
        std::filesystem::create_directories(to);
        const auto write = [&to](const char* name, Bytes content) {
            std::ofstream(to / name, std::ios::binary)
                .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
        };
        write("tcb_info.json", bytes_of(pki.tcb_info));
        write("tcb_info_chain.pem", bytes_of(pki.signer_chain));
        write("qe_identity.json", bytes_of(pki.qe_identity));
        write("qe_identity_chain.pem", bytes_of(pki.signer_chain));
        write("pck_crl.der", pki.pck_crl);
        write("root_crl.der", pki.root_crl);
    }
    // Measures the kernel's command line of this machine, with `demands` before it.
    void set_policy(const std::string& demands)
    {
        const auto text = "version = 1\n" + demands + "proc = [\"cmdline\"]\n";
        const auto policy = parse_policy(text, "policy");
        ASSERT_TRUE(policy) << policy.error().what;
        references = *capture_references(*policy, "/");
        ASSERT_TRUE(store->set_policy("alpha", text));
        ASSERT_TRUE(store->set_references("alpha", write_references(references)));
    }
    host::Outcome<std::unique_ptr<agent::Verifier>> connect(const std::optional<Digest>& spki)
    {
        return std::make_unique<DirectVerifier>(*service, spki);
    }
    [[nodiscard]] bool logged(const std::string& words) const { return log.find(words) != std::string::npos; }
    [[nodiscard]] host::store::VerdictRecord verdict() const { return store->verdict("alpha")->value(); }

    std::filesystem::path folder;
    std::uint64_t now_ms = static_cast<std::uint64_t>(tests::sgx_pki_now) * 1000;
    std::unique_ptr<ServerKeys> keys;
    std::unique_ptr<host::store::TrustStore> store;
    std::unique_ptr<Service> service;
    std::string log;
    References references;
};

// A witness whose key the test has.
class HandMade {
  public:
    explicit HandMade(protocol::sgx::Platform platform)
    {
        crypto_sign_keypair(evidence.witness.bytes.data(), key_.expose().data());
        crypto_box_keypair(evidence.policy_key.bytes.data(), policy_secret_.data());
        evidence.chamber.mrenclave.fill(0xe1);
        evidence.chamber.mrsigner.fill(0x51);
        evidence.chamber.product = 2;
        evidence.chamber.svn = 1;
        evidence.chamber.platform = platform;
        const bool by_cpu = platform == protocol::sgx::Platform::sgx;
        evidence.chamber.root = by_cpu ? protocol::sgx::RootKind::cpu : protocol::sgx::RootKind::file;
        auto tls = host::net::make_tls_key("alpha");
        EXPECT_TRUE(tls);
        tls_ = std::move(*tls);
        evidence.tls_spki_sha256 = tls_.spki_sha256;
    }

    [[nodiscard]] protocol::sgx::Report report() const
    {
        protocol::sgx::Report report{};
        report.cpusvn.fill(5);
        report.attributes.flags = protocol::sgx::ATTRIBUTES_INIT | protocol::sgx::ATTRIBUTES_MODE64BIT |
                                  (evidence.chamber.debug ? protocol::sgx::ATTRIBUTES_DEBUG : 0);
        report.mrenclave = evidence.chamber.mrenclave;
        report.mrsigner = evidence.chamber.mrsigner;
        report.isv_prod_id = evidence.chamber.product;
        report.isv_svn = evidence.chamber.svn;
        report.report_data = protocol::evidence_report_data(evidence);
        return report;
    }
    [[nodiscard]] Buffer quote(const tests::SgxPki& pki) const { return pki.quote(report()); }

    using MakeRoot = std::function<Buffer()>; // called when connection and nonce are known

    // Nothing: it enrolled; else why not.
    std::optional<Kind> enrol(ServerWorld& world, const MakeRoot& make_root)
    {
        const auto text = invite(*world.keys, *world.store, "alpha", world.now_ms);
        EXPECT_TRUE(text);
        protocol::verifier_link::Enrol request;
        EXPECT_TRUE(read_hex(request.token, text->substr(text->find("\"token\": \"") + 10, 64)));
        DirectVerifier verifier(*world.service, std::nullopt);
        evidence.exporter = verifier.exporter();
        evidence.nonce.bytes = request.token;
        const auto document = signed_evidence();
        const auto root = make_root();
        request.name = "alpha";
        request.csr = tls_.csr;
        request.evidence = document;
        request.root = root;
        return kind_of(verifier.ask(request, {}));
    }
    std::optional<Kind> hello(ServerWorld& world, const MakeRoot& make_root)
    {
        DirectVerifier verifier(*world.service, tls_.spki_sha256);
        return kind_of(say_hello(verifier, make_root));
    }
    // One round; nothing: it was refused. `change` spoils what the witness signs.
    std::optional<protocol::TrustTier> judged(
        ServerWorld& world, const MakeRoot& make_root,
        const std::function<void(protocol::MeasurementResult&)>& change = [](auto& /*head*/) {})
    {
        namespace link = protocol::verifier_link;
        DirectVerifier verifier(*world.service, tls_.spki_sha256);
        const auto welcome = say_hello(verifier, make_root);
        EXPECT_TRUE(welcome) << welcome.error().what;
        const auto policy = verifier.ask(link::PolicyRequest{}, {});
        EXPECT_TRUE(policy) << policy.error().what;
        const auto document = signed_result(world, verifier.peer, change);
        Buffer sealed(document.size() + crypto_box_SEALBYTES);
        crypto_box_seal(sealed.data(), document.data(), document.size(), world.keys->box_key.bytes.data());
        const auto answer = verifier.ask(link::Result{sealed}, {});
        const auto* const verdict = answer ? std::get_if<link::Verdict>(&*answer) : nullptr;
        return verdict != nullptr ? std::optional(verdict->tier) : std::nullopt;
    }

    protocol::WitnessEvidence evidence;

  private:
    static std::optional<Kind> kind_of(const host::Outcome<protocol::verifier_link::Message>& answer)
    {
        return answer ? std::nullopt : std::optional(answer.error().kind);
    }
    [[nodiscard]] Buffer signed_evidence() const
    {
        Buffer document(protocol::evidence_bytes_max);
        document.resize(protocol::write_evidence(document, key_, evidence).value_or(0));
        return document;
    }
    host::Outcome<protocol::verifier_link::Message> say_hello(DirectVerifier& verifier, const MakeRoot& make_root)
    {
        evidence.exporter = verifier.exporter();
        evidence.nonce = {};
        const auto document = signed_evidence();
        const auto root = make_root();
        return verifier.ask(protocol::verifier_link::Hello{document, root}, {});
    }
    Buffer signed_result(const ServerWorld& world, const Peer& peer,
                         const std::function<void(protocol::MeasurementResult&)>& change)
    {
        protocol::MeasurementResult head;
        head.policy = peer.outstanding_policy;
        head.nonce = peer.outstanding.value_or(protocol::IterationNonce());
        head.exporter = peer.exporter;
        head.policy_key = evidence.policy_key;
        head.witness = evidence.chamber;
        change(head);
        Buffer document(protocol::result_document_bytes_max);
        protocol::ResultWriter writer(document, world.references.size());
        for (const auto& [path, reference] : world.references) {
            writer.write(
                {path, reference.type, reference.mode, reference.size, protocol::failure_none, reference.digest});
        }
        document.resize(writer.finish(key_, head).value_or(0));
        return document;
    }

    protocol::SigningKey key_;
    ByteArray<32> policy_secret_{};
    host::net::TlsKey tls_;
};

class ServerTest : public testing::Test {
  protected:
    tests::SgxPki pki;
    std::unique_ptr<ServerWorld> world = std::make_unique<ServerWorld>();
};

} // namespace caisson::services::attestation
