// The functions of libsodium that take or give a CURVE secret, with libsodium's own signatures and layouts.
// Only these are exported (shim/symbols.map); everything else a program binds stays libsodium's.
// Spec: docs/spec/shim.md.
#pragma once

#pragma GCC visibility push(default)

extern "C" {

int crypto_box_keypair(unsigned char* public_key, unsigned char* handle);
int crypto_scalarmult_base(unsigned char* public_key, const unsigned char* handle);
int crypto_box_beforenm(unsigned char* shared, const unsigned char* public_key, const unsigned char* handle);

// "box": 32 zero octets before the message, 16 before the box (NaCl).
int crypto_box(unsigned char* box, const unsigned char* message, unsigned long long size, const unsigned char* nonce,
               const unsigned char* public_key, const unsigned char* handle);
int crypto_box_open(unsigned char* message, const unsigned char* box, unsigned long long size,
                    const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle);
int crypto_box_afternm(unsigned char* box, const unsigned char* message, unsigned long long size,
                       const unsigned char* nonce, const unsigned char* shared);
int crypto_box_open_afternm(unsigned char* message, const unsigned char* box, unsigned long long size,
                            const unsigned char* nonce, const unsigned char* shared);

// "easy": tag, then ciphertext; `size` is that of the input.
int crypto_box_easy(unsigned char* box, const unsigned char* message, unsigned long long size,
                    const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle);
int crypto_box_open_easy(unsigned char* message, const unsigned char* box, unsigned long long size,
                         const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle);
int crypto_box_easy_afternm(unsigned char* box, const unsigned char* message, unsigned long long size,
                            const unsigned char* nonce, const unsigned char* shared);
int crypto_box_open_easy_afternm(unsigned char* message, const unsigned char* box, unsigned long long size,
                                 const unsigned char* nonce, const unsigned char* shared);

// "detached": the tag apart; `size` is that of the message.
int crypto_box_detached(unsigned char* box, unsigned char* tag, const unsigned char* message, unsigned long long size,
                        const unsigned char* nonce, const unsigned char* public_key, const unsigned char* handle);
int crypto_box_open_detached(unsigned char* message, const unsigned char* box, const unsigned char* tag,
                             unsigned long long size, const unsigned char* nonce, const unsigned char* public_key,
                             const unsigned char* handle);
int crypto_box_detached_afternm(unsigned char* box, unsigned char* tag, const unsigned char* message,
                                unsigned long long size, const unsigned char* nonce, const unsigned char* shared);
int crypto_box_open_detached_afternm(unsigned char* message, const unsigned char* box, const unsigned char* tag,
                                     unsigned long long size, const unsigned char* nonce, const unsigned char* shared);
}

#pragma GCC visibility pop
