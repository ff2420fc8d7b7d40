// Everything a verifier reads of SGX evidence before a signature is checked: quotes, JSON, chains, CRLs.
#include "protocol/evidence/json.hpp"
#include "protocol/evidence/sgx_verify.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace caisson;
    namespace evidence = protocol::evidence;
    const Bytes input(data, size);
    const auto text = text_of(input);
    static_cast<void>(evidence::Json::read(text));
    static_cast<void>(evidence::read_time(text));
    const auto chain = evidence::Certificate::read_chain(text);
    if (chain && !chain->empty()) {
        static_cast<void>(evidence::read_pck_facts(chain->front()));
        static_cast<void>(evidence::verify_chain(*chain, chain->size(), evidence::intel_sgx_root, 0));
        static_cast<void>(evidence::verify_not_revoked(input, chain->front(), chain->front(), 0));
    }
    const auto quote = evidence::read_sgx_quote(input);
    if (quote) {
        static_cast<void>(evidence::verify_p256(quote->attestation_key, quote->signed_part, quote->signature));
        static_cast<void>(evidence::Certificate::read_chain(quote->certificate_chain));
    }
    static_cast<void>(evidence::verify_sgx_quote(input, {text, text, text, text, input, input},
                                                 evidence::intel_sgx_root, 1'800'000'000));
    return 0;
}
