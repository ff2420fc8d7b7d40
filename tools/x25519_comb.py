#!/usr/bin/env python3
"""Writes the table of multiples of X25519's base point (core/crypto/kernels/x25519_comb.hpp) as C++.

Usage: x25519_comb.py > x25519_comb_table.cpp

Plain affine arithmetic on -x^2 + y^2 = 1 + d x^2 y^2 (RFC 7748, section 4.1); nothing here is secret.
"""
P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
WINDOWS, WINDOW_BITS, POINTS = 43, 6, 32
LIMBS, LIMB_BITS = 5, 51
COFACTOR_BITS = 3  # a clamped secret is a multiple of 8


def base_point():
    """y = 4/5 and the even x, which is X25519's u = 9."""
    y = 4 * pow(5, -1, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square
    return (x if x % 2 == 0 else P - x), y


def added(a, b):
    both = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + both, -1, P) % P
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - both, -1, P) % P
    return x, y


def doubled(point, times=1):
    for _ in range(times):
        point = added(point, point)
    return point


def odd_multiples(point):
    twice = doubled(point)
    for _ in range(POINTS):
        yield point
        point = added(point, twice)


def limbs(number):
    return [number >> LIMB_BITS * index & 2**LIMB_BITS - 1 for index in range(LIMBS)]


def row(numbers):
    return "{" + ", ".join(f"{number:#x}U" for number in numbers) + "}"


def main():
    windows = []
    point = doubled(base_point(), COFACTOR_BITS)
    for _ in range(WINDOWS):
        entries = [((y + x) % P, (y - x) % P, 2 * D * x * y % P) for x, y in odd_multiples(point)]
        parts = []
        for part in zip(*entries):
            parts.append("{" + ",\n".join(row(limb) for limb in zip(*map(limbs, part))) + "}")
        windows.append("{" + ",\n".join(parts) + "}")
        point = doubled(point, WINDOW_BITS)
    print('#include "core/crypto/kernels/x25519_comb.hpp"\n')
    print("namespace caisson::crypto::kernels {\n")
    print("constinit const Comb comb{{" + ",\n".join(windows) + "}};\n")
    print("} // namespace caisson::crypto::kernels")


if __name__ == "__main__":
    main()
