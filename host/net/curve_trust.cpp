#include "host/net/curve_trust.hpp"

#include "airlock/curve/requests.hpp"
#include "core/wire.hpp"

namespace caisson::host::net {
namespace {

using airlock::curve::Request;

constexpr std::size_t answer_bytes_max = 4096;

Outcome<std::vector<std::uint8_t>> ask(enclave::Enclave& enclave, Request request, const char* doing, Bytes input)
{
    std::vector<std::uint8_t> output(answer_bytes_max);
    const auto size = enclave.call(static_cast<std::uint32_t>(request), input, output);
    if (!size) {
        return fault(size.error().kind, std::string("curve chamber: ") + doing + ": " + size.error().what);
    }
    output.resize(*size);
    return output;
}

} // namespace

Outcome<std::vector<std::uint8_t>> CurveTrust::report_key(std::uint32_t key, Bytes target_info)
{
    ByteArray<sizeof(key) + sizeof(protocol::sgx::TargetInfo)> input;
    Writer writer(input);
    writer.write_le(key);
    writer.write_bytes(target_info);
    TRY(writer.finish());
    auto report = TRY(ask(enclave_, Request::report_key, "reporting a key", writer.written()));
    if (report.size() != sizeof(protocol::sgx::Report)) {
        return fault(Kind::malformed, "curve chamber: a report has the wrong size");
    }
    return report;
}

Outcome<protocol::TimeNonce> CurveTrust::time_nonce()
{
    const auto answer = TRY(ask(enclave_, Request::time_nonce, "making a nonce", {}));
    Reader reader(answer);
    protocol::TimeNonce nonce;
    nonce.bytes = TRY(reader.read_array<protocol::TimeNonce::size>());
    return nonce;
}

Done CurveTrust::accept_time_token(Bytes token)
{
    TRY(ask(enclave_, Request::accept_time_token, "accepting the time", token));
    return {};
}

Done CurveTrust::accept_result(Bytes result)
{
    TRY(ask(enclave_, Request::accept_result, "accepting a result", result));
    return {};
}

} // namespace caisson::host::net
