// The witness chamber's door: any requests in any order, with an identity loaded and a policy open, so that listings,
// chunks and facts are reached. Input: {request u8, size u16, bytes} each.
#include "core/wire.hpp"
#include "tests/unit/trusted/witness/witness_runtime.hpp"
#include "trusted/witness/chamber.hpp"

#include <memory>
#include <vector>

namespace caisson::trusted::witness {
namespace {

using airlock::witness::Request;
using Buffer = std::vector<std::uint8_t>;

struct Fabric {
    protocol::SigningKey signing_key;
    protocol::VerifyingKey verifying_key;
    protocol::BoxKey box_key;
    ByteArray<32> box_secret{};
    Fabric()
    {
        const ByteArray<32> seed{1};
        crypto_sign_seed_keypair(verifying_key.bytes.data(), signing_key.expose().data(), seed.data());
        crypto_box_seed_keypair(box_key.bytes.data(), box_secret.data(), seed.data());
    }
};

std::size_t ask(Chamber& chamber, Request request, Bytes input, MutableBytes output)
{
    const auto answer = chamber.answer(static_cast<std::uint32_t>(request), input, output);
    return answer.refusal == airlock::Refusal::none && answer.result ? *answer.result : 0;
}

// Brings the chamber to the state `measuring`: a tree, a file, both facts.
void open_policy(Chamber& chamber, const Fabric& fabric, MutableBytes output)
{
    Buffer keys(64);
    copy_bytes(keys, fabric.verifying_key.bytes);
    copy_bytes(MutableBytes(keys).subspan(32), fabric.box_key.bytes);
    const auto made = ask(chamber, Request::create_identity, keys, output);
    const Buffer sealed(output.begin() + 32, output.begin() + static_cast<std::ptrdiff_t>(made));
    ask(chamber, Request::load_identity, sealed, output);
    protocol::MeasurementPolicy head;
    copy_bytes(head.witness.bytes, output.first(32));
    const Buffer policy_key(output.begin() + 32, output.begin() + 64);
    const protocol::PolicyItem items[] = {{protocol::PolicyItemKind::tree, "/srv"},
                                          {protocol::PolicyItemKind::fact, protocol::fact_modules},
                                          {protocol::PolicyItemKind::file, "/etc/hosts"},
                                          {protocol::PolicyItemKind::fact, protocol::fact_cmdline}};
    Buffer document(protocol::policy_document_bytes_max);
    const auto size = protocol::write_policy(document, fabric.signing_key, head, items);
    Buffer box(*size + crypto_box_SEALBYTES);
    crypto_box_seal(box.data(), document.data(), *size, policy_key.data());
    ask(chamber, Request::open_policy, box, output);
}

void check_result(Bytes box, const Fabric& fabric)
{
    Buffer document(box.size());
    if (crypto_box_seal_open(document.data(), box.data(), box.size(), fabric.box_key.bytes.data(),
                             fabric.box_secret.data()) != 0) {
        __builtin_trap(); // whatever the host does, a result opens
    }
}

} // namespace
} // namespace caisson::trusted::witness

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size)
{
    using namespace caisson;
    using namespace caisson::trusted::witness;
    static const Fabric fabric;
    WitnessRuntime runtime(1);
    const auto chamber = std::make_unique<Chamber>(runtime);
    Buffer output(airlock::payload_bytes_max);
    open_policy(*chamber, fabric, output);

    Reader reader(Bytes(input, size));
    while (!reader.rest().empty()) {
        const auto request = reader.read_le<std::uint8_t>();
        const auto bytes = reader.read_le<std::uint16_t>();
        if (!request || !bytes) {
            break;
        }
        const auto body = reader.read_bytes(*bytes < reader.rest().size() ? *bytes : reader.rest().size());
        const auto wanted = static_cast<Request>(*request);
        const auto answered = ask(*chamber, wanted, *body, output);
        if (wanted == Request::finish && answered != 0) {
            check_result(Bytes(output).first(answered), fabric);
        }
    }
    return 0;
}
