// Verifier: one connection to the attestation server, as the agent uses it: a question, its answer.
#pragma once

#include "host/net/tls_client.hpp"
#include "protocol/measurement.hpp"
#include "protocol/verifier_link.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace caisson::services::agent {

class Verifier {
  public:
    virtual ~Verifier() = default;

    // Of this connection: evidence and results are bound to it.
    [[nodiscard]] virtual const protocol::Exporter& exporter() const noexcept = 0;

    // The answer: views that live until the next `ask`. A Refused becomes a Fault of its kind.
    // Fails: the server's kind; unavailable (no answer in time, or the connection ended); malformed.
    virtual host::Outcome<protocol::verifier_link::Message> ask(const protocol::verifier_link::Message& message,
                                                                std::chrono::milliseconds wait) = 0;
    // Whether the connection still works after a fault: then the fault was the server's own word.
    [[nodiscard]] virtual bool usable() const noexcept = 0;
};

using ConnectVerifier = std::function<host::Outcome<std::unique_ptr<Verifier>>()>;

// Over TLS. Fails as TlsClient::connect does.
host::Outcome<std::unique_ptr<Verifier>> connect_verifier(const std::string& address,
                                                          const host::net::TlsCredentials& credentials,
                                                          std::chrono::milliseconds wait);

// The answer if it is the one that was asked for.
template <typename Answer>
host::Outcome<Answer> ask_for(Verifier& verifier, const protocol::verifier_link::Message& message,
                              std::chrono::milliseconds wait)
{
    const auto answer = TRY(verifier.ask(message, wait));
    const auto* const expected = std::get_if<Answer>(&answer);
    if (expected == nullptr) {
        return host::fault(Kind::malformed, "the server answered something else than it was asked");
    }
    return *expected;
}

} // namespace caisson::services::agent
