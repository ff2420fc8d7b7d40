// The functions on memory that compilers and the standard headers assume: an image has no libc.
#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* target, const void* source, std::size_t size)
{
    void* result = target;
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
    return result;
}

void* memset(void* target, int value, std::size_t size)
{
    void* result = target;
    __asm__ volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(value) : "memory");
    return result;
}

void* memmove(void* target, const void* source, std::size_t size)
{
    auto* to = static_cast<std::uint8_t*>(target);
    const auto* from = static_cast<const std::uint8_t*>(source);
    if (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from) >= size) {
        return memcpy(target, source, size);
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
