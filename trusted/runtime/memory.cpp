// The functions on memory that compilers and the standard headers assume: an image has no libc.
#include <cstddef>
#include <cstdint>

namespace {

// Most copies are a slot or a short message, for which the string instructions take longer to start than to copy.
constexpr std::size_t short_bytes_max = 256;

template <typename Word>
Word load(const std::uint8_t* from)
{
    Word word;
    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

template <typename Word>
void store(std::uint8_t* to, Word word)
{
    __builtin_memcpy(to, &word, sizeof word);
}

using Wide = long long __attribute__((vector_size(16)));

// The last word ends where the copy ends, and may overlap the one before.
template <typename Word>
void copy_words(std::uint8_t* to, const std::uint8_t* from, std::size_t size)
{
    const auto last = load<Word>(from + size - sizeof(Word));
    for (std::size_t at = 0; at + sizeof(Word) < size; at += sizeof(Word)) {
        store(to + at, load<Word>(from + at));
    }
    store(to + size - sizeof(Word), last);
}

[[gnu::always_inline]] inline void copy_short(std::uint8_t* to, const std::uint8_t* from, std::size_t size)
{
    if (size >= sizeof(Wide)) {
        copy_words<Wide>(to, from, size);
    } else if (size >= 8) {
        copy_words<std::uint64_t>(to, from, size);
    } else if (size >= 4) {
        copy_words<std::uint32_t>(to, from, size);
    } else {
        for (std::size_t at = 0; at < size; ++at) {
            *reinterpret_cast<volatile std::uint8_t*>(to + at) = from[at];
        }
    }
}

[[gnu::always_inline]] inline void* copy(void* target, const void* source, std::size_t size)
{
    void* result = target;
    if (size <= short_bytes_max) {
        copy_short(static_cast<std::uint8_t*>(target), static_cast<const std::uint8_t*>(source), size);
        return result;
    }
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
    return result;
}

} // namespace

extern "C" {

void* memcpy(void* target, const void* source, std::size_t size)
{
    return copy(target, source, size);
}

void* memset(void* target, int value, std::size_t size)
{
    void* result = target;
    if (size >= sizeof(Wide) && size <= short_bytes_max) {
        auto* to = static_cast<std::uint8_t*>(target);
        const auto octet = static_cast<char>(value);
        using Octets = char __attribute__((vector_size(16)));
        const auto word = reinterpret_cast<Wide>(Octets{} + octet);
        for (std::size_t at = 0; at + sizeof word < size; at += sizeof word) {
            store(to + at, word);
        }
        store(to + size - sizeof word, word);
        return result;
    }
    __asm__ volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(value) : "memory");
    return result;
}

void* memmove(void* target, const void* source, std::size_t size)
{
    auto* to = static_cast<std::uint8_t*>(target);
    const auto* from = static_cast<const std::uint8_t*>(source);
    if (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from) >= size) {
        return copy(target, source, size);
    }
    while (size-- > 0) {
        *reinterpret_cast<volatile std::uint8_t*>(to + size) = from[size];
    }
    return target;
}

int memcmp(const void* left, const void* right, std::size_t size)
{
    const auto* a = static_cast<const volatile std::uint8_t*>(left);
    const auto* b = static_cast<const volatile std::uint8_t*>(right);
    for (std::size_t index = 0; index < size; ++index) {
        if (a[index] != b[index]) {
            return a[index] < b[index] ? -1 : 1;
        }
    }
    return 0;
}

void* memchr(const void* bytes, int value, std::size_t size)
{
    const auto* at = static_cast<const volatile std::uint8_t*>(bytes);
    for (std::size_t index = 0; index < size; ++index) {
        if (at[index] == static_cast<std::uint8_t>(value)) {
            return const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(bytes) + index);
        }
    }
    return nullptr;
}

std::size_t strlen(const char* text)
{
    std::size_t size = 0;
    while (*reinterpret_cast<const volatile char*>(text + size) != '\0') {
        ++size;
    }
    return size;
}

} // extern "C"
