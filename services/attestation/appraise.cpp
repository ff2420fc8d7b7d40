#include "services/attestation/appraise.hpp"

#include "host/text.hpp"

#include <sodium.h>

#include <cstring>
#include <set>

namespace caisson::services::attestation {
namespace {

using host::hex;
using host::store::Reason;
using protocol::MeasuredType;
using protocol::TrustTier;

// AR4SI's order of claims.
constexpr std::size_t instance_identity = 0;
constexpr std::size_t configuration = 1;
constexpr std::size_t executables = 2;
constexpr std::size_t file_system = 3;
constexpr auto affirming = static_cast<std::int8_t>(TrustTier::affirming);
constexpr auto contraindicated = static_cast<std::int8_t>(TrustTier::contraindicated);
constexpr std::uint32_t executable_bits = 0111;

std::string octal(std::uint32_t mode)
{
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode & 07777U);
    return text.data();
}

std::string failure_text(std::uint32_t failure)
{
    if (failure == protocol::failure_too_many) {
        return "more things than a witness measures";
    }
    if (failure == protocol::failure_malformed) {
        return "the host's answers made no sense";
    }
    return std::strerror(static_cast<int>(failure));
}

// The one difference that matters most, or nothing.
std::optional<Reason> compare(const protocol::Measurement& found, const Reference& expected)
{
    const std::string path(found.path);
    if (found.failure != protocol::failure_none) {
        return Reason{path, "cannot be measured: " + failure_text(found.failure), hex(expected.digest), ""};
    }
    if (found.type != expected.type) {
        return Reason{path, "has become something else", type_name(expected.type), type_name(found.type)};
    }
    if (found.digest != expected.digest) {
        return Reason{path, found.type == MeasuredType::fact ? "fact changed" : "content changed", hex(expected.digest),
                      hex(found.digest)};
    }
    if (found.type != MeasuredType::fact && found.mode != expected.mode) {
        return Reason{path, "mode changed", octal(expected.mode), octal(found.mode)};
    }
    return std::nullopt;
}

class Findings {
  public:
    void add(Reason reason, bool is_fact, bool is_executable)
    {
        ++count_;
        appraisal_.vector[is_fact ? configuration : file_system] = contraindicated;
        if (is_executable) {
            appraisal_.vector[executables] = contraindicated;
        }
        if (appraisal_.reasons.size() < reasons_max) {
            appraisal_.reasons.push_back(std::move(reason));
        }
    }

    Appraisal finish()
    {
        for (const auto claim : {configuration, executables, file_system}) {
            if (appraisal_.vector[claim] == 0) {
                appraisal_.vector[claim] = affirming;
            }
        }
        appraisal_.vector[instance_identity] = affirming;
        appraisal_.tier = count_ == 0 ? TrustTier::affirming : TrustTier::contraindicated;
        if (count_ > reasons_max) {
            appraisal_.reasons.back() = {"", std::to_string(count_ - reasons_max + 1) + " more differences", "", ""};
        }
        return std::move(appraisal_);
    }

  private:
    Appraisal appraisal_;
    std::size_t count_ = 0;
};

} // namespace

Result<Appraisal> appraise(protocol::Measurements measurements, const References& references)
{
    Findings findings;
    std::set<std::string, std::less<>> seen;
    while (measurements.left() > 0) {
        const auto next = TRY(measurements.next());
        if (!next) {
            break;
        }
        const bool is_fact = next->type == MeasuredType::fact;
        const auto expected = references.find(next->path);
        seen.emplace(next->path);
        if (expected == references.end()) {
            const bool runs = next->type == MeasuredType::file && (next->mode & executable_bits) != 0;
            findings.add({std::string(next->path), "is not expected", "", hex(next->digest)}, is_fact, runs);
            continue;
        }
        if (auto reason = compare(*next, expected->second)) {
            const bool runs = expected->second.type == MeasuredType::file &&
                              ((expected->second.mode | next->mode) & executable_bits) != 0;
            findings.add(std::move(*reason), is_fact, runs);
        }
    }
    for (const auto& [path, reference] : references) {
        if (!seen.contains(path)) {
            const bool runs = reference.type == MeasuredType::file && (reference.mode & executable_bits) != 0;
            findings.add({path, "is missing", hex(reference.digest), ""}, reference.type == MeasuredType::fact, runs);
        }
    }
    return findings.finish();
}

Digest policy_id(const host::store::PolicyRecord& policy)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    const std::uint64_t size = policy.text.size();
    crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(&size), sizeof size);
    crypto_hash_sha256_update(&state, bytes_of(policy.text).data(), policy.text.size());
    crypto_hash_sha256_update(&state, bytes_of(policy.references).data(), policy.references.size());
    Digest digest;
    crypto_hash_sha256_final(&state, digest.data());
    return digest;
}

} // namespace caisson::services::attestation
