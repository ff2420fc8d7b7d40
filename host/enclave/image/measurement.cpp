#include "host/enclave/image/measurement.hpp"

#include "core/check.hpp"

#include <openssl/evp.h>

namespace caisson::host::enclave::image {
namespace {

using protocol::sgx::eextend_bytes;
constexpr std::size_t record_bytes = 64;

} // namespace

struct Measurement::Hash {
    EVP_MD_CTX* context = EVP_MD_CTX_new();

    Hash() { CHECK(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
    ~Hash() { EVP_MD_CTX_free(context); }
    Hash(const Hash&) = delete;
    Hash& operator=(const Hash&) = delete;

    void absorb(Bytes bytes) const { CHECK(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1); }
};

Measurement::Measurement(const SgxsHeader& header)
    : hash_(std::make_unique<Hash>())
{
    ByteArray<record_bytes> record{};
    Writer writer(record);
    writer.write_bytes(ecreate_tag);
    writer.write_le(header.ssa_frame_pages);
    writer.write_le(header.size);
    hash_->absorb(record);
}

Measurement::~Measurement() = default;

void Measurement::add_page(std::uint64_t offset, std::uint64_t secinfo)
{
    ByteArray<record_bytes> record{};
    Writer writer(record);
    writer.write_bytes(eadd_tag);
    writer.write_le(offset);
    writer.write_le(secinfo);
    hash_->absorb(record);
}

void Measurement::extend(std::uint64_t offset, Bytes chunk)
{
    CHECK(chunk.size() == eextend_bytes);
    ByteArray<record_bytes> record{};
    Writer writer(record);
    writer.write_bytes(eextend_tag);
    writer.write_le(offset);
    hash_->absorb(record);
    hash_->absorb(chunk);
}

Digest Measurement::finish()
{
    Digest digest;
    unsigned size = digest.size();
    CHECK(EVP_DigestFinal_ex(hash_->context, digest.data(), &size) == 1 && size == digest.size());
    return digest;
}

} // namespace caisson::host::enclave::image
