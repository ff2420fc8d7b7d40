// A program that keeps a key the way programs do: in its heap, and in a memory file that it has mapped. The control of
// the attack suite: it must leak. usage: plain_victim KEY_HEX [dumpable=0]; prints "PID ADDRESS" and waits for the end
// of its input.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

int main(int count, char** arguments)
{
    constexpr std::size_t key_bytes = 32;
    if (count < 2 || std::strlen(arguments[1]) != 2 * key_bytes) {
        return 64;
    }
    auto* key = static_cast<std::uint8_t*>(std::malloc(key_bytes));
    for (std::size_t index = 0; index < key_bytes; ++index) {
        const char digits[3] = {arguments[1][2 * index], arguments[1][2 * index + 1], 0};
        key[index] = static_cast<std::uint8_t>(std::strtoul(digits, nullptr, 16));
    }
    const int file = ::memfd_create("key", 0);
    if (file < 0 || ::write(file, key, key_bytes) != static_cast<ssize_t>(key_bytes)) {
        return 70;
    }
    void* mapped = ::mmap(nullptr, key_bytes, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        return 70;
    }
    if (count > 2 && ::prctl(PR_SET_DUMPABLE, 0) != 0) {
        return 70;
    }
    std::printf("%d %lx\n", ::getpid(), reinterpret_cast<unsigned long>(mapped));
    std::fflush(stdout);
    char byte = 0;
    while (::read(0, &byte, 1) > 0) {
    }
    std::free(key);
    return 0;
}
