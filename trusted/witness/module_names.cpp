#include "trusted/witness/module_names.hpp"

#include <sodium.h>

namespace caisson::trusted::witness {

void ModuleNames::clear() noexcept
{
    count_ = 0;
    current_.size = 0;
    in_name_ = true;
}

Status ModuleNames::absorb(Bytes text) noexcept
{
    for (const auto byte : text) {
        const auto letter = static_cast<char>(byte);
        if (!in_name_) {
            in_name_ = letter == '\n';
        } else if (letter == ' ' || letter == '\n') {
            TRY(end_name());
            in_name_ = letter == '\n';
        } else if (current_.size == module_name_bytes_max) {
            return fail(Kind::malformed, "a module's name is too long");
        } else {
            current_.text[current_.size] = letter;
            ++current_.size;
        }
    }
    return {};
}

Status ModuleNames::end_name() noexcept
{
    if (current_.size == 0) {
        return fail(Kind::malformed, "a line about modules has no name");
    }
    if (count_ == modules_max) {
        return fail(Kind::exhausted, "more modules than a witness counts");
    }
    // Insertion keeps them sorted: a few hundred names, once in a round.
    std::size_t place = count_;
    while (place > 0 && current_.view() < names_[place - 1].view()) {
        names_[place] = names_[place - 1];
        --place;
    }
    names_[place] = current_;
    ++count_;
    current_.size = 0;
    return {};
}

Result<Digest> ModuleNames::digest() noexcept
{
    if (!in_name_ || current_.size != 0) {
        return fail(Kind::malformed, "the text about modules ends within a line");
    }
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    const auto update = [&state](std::string_view text) {
        crypto_hash_sha256_update(&state, bytes_of(text).data(), text.size());
    };
    update("present\n");
    for (std::size_t index = 0; index < count_; ++index) {
        update(names_[index].view());
        update("\n");
    }
    Digest digest;
    crypto_hash_sha256_final(&state, digest.data());
    return digest;
}

Digest ModuleNames::digest_of_none() noexcept
{
    const auto text = bytes_of("absent\n");
    Digest digest;
    crypto_hash_sha256(digest.data(), text.data(), text.size());
    return digest;
}

} // namespace caisson::trusted::witness
