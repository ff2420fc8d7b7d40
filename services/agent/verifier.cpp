#include "services/agent/verifier.hpp"

namespace caisson::services::agent {
namespace {

namespace link = protocol::verifier_link;
using host::fault;
using host::Outcome;
using std::chrono::milliseconds;

class TlsVerifier final : public Verifier {
  public:
    TlsVerifier(host::net::TlsClient client, const protocol::Exporter& exporter)
        : client_(std::move(client))
        , exporter_(exporter)
    {
    }
    [[nodiscard]] const protocol::Exporter& exporter() const noexcept override { return exporter_; }
    [[nodiscard]] bool usable() const noexcept override { return usable_; }

    Outcome<link::Message> ask(const link::Message& message, milliseconds wait) override
    {
        usable_ = false;
        ++request_;
        buffer_.resize(size_for(message));
        const auto size = TRY(link::write_frame(buffer_, {request_, message}));
        TRY(client_.send(Bytes(buffer_).first(size), wait));
        ByteArray<link::frame_head_bytes> head;
        TRY(client_.receive(head, wait));
        const auto body_size = TRY(link::read_frame_head(head));
        buffer_.resize(body_size);
        TRY(client_.receive(buffer_, wait));
        auto frame = TRY(link::read_frame_body(buffer_));
        if (frame.request != request_) {
            return fault(Kind::malformed, "the server answered another request");
        }
        usable_ = true;
        if (const auto* const refused = std::get_if<link::Refused>(&frame.message)) {
            return fault(refused->kind, "the server refused: " + std::string(refused->text));
        }
        return frame.message;
    }

  private:
    // All but results are small.
    static std::size_t size_for(const link::Message& message)
    {
        constexpr std::size_t small = 65536;
        const auto* const result = std::get_if<link::Result>(&message);
        return small + (result == nullptr ? 0 : result->sealed.size());
    }

    host::net::TlsClient client_;
    protocol::Exporter exporter_;
    bool usable_ = true;
    std::uint64_t request_ = 0;
    std::vector<std::uint8_t> buffer_;
};

} // namespace

Outcome<std::unique_ptr<Verifier>> connect_verifier(const std::string& address,
                                                    const host::net::TlsCredentials& credentials, milliseconds wait)
{
    auto client = TRY(host::net::TlsClient::connect(address, credentials, wait));
    protocol::Exporter exporter;
    exporter.bytes = TRY(client.exporter(protocol::exporter_label));
    return std::make_unique<TlsVerifier>(std::move(client), exporter);
}

} // namespace caisson::services::agent
