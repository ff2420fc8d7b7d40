"""Passwords as lists keep them: scrypt, `SALT$HASH` in hexadecimal."""
import hashlib
import hmac
import secrets

COST, BLOCK, PARALLEL, HASH_OCTETS, SALT_OCTETS = 2 ** 14, 8, 1, 32, 16


def hash_of(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL, dklen=HASH_OCTETS)


def kept(password):
    """The text to keep for a password."""
    salt = secrets.token_bytes(SALT_OCTETS)
    return f"{salt.hex()}${hash_of(password, salt).hex()}"


NOBODY = kept(secrets.token_hex(16))  # compared when there is no such user, so that a miss takes as long as a hit


def matches(password, text):
    """Whether `password` is the one kept as `text`; None: nobody's."""
    salt, _, expected = (text or NOBODY).partition("$")
    right = hmac.compare_digest(hash_of(password, bytes.fromhex(salt)), bytes.fromhex(expected))
    return right and text is not None
