"""Passwords to hashes that are slow to guess from, and back to yes or no: Argon2id (RFC 9106), and scrypt as the first version made it."""

import hashlib
import hmac
import secrets
from functools import cache

import argon2

from store.errors import InputError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
# OWASP's least for Argon2id: 25 ms and 19 MiB a try. More memory would let a few dozen sign-ins at once take gigabytes.
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_PARALLEL = 2**14, 8, 1
NOBODYS_SCRYPT = f"{bytes(16).hex()}${bytes(64).hex()}"


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password, with its salt and costs; 25 ms. Raises InputError when it is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InputError(f"The password has {len(password)} characters. Use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,}.")
    return HASHER.hash(password)


@cache
def nobodys_hash() -> str:
    """Return the hash of a password that nobody has: what a try for an unknown name is held against."""
    return HASHER.hash(secrets.token_hex(32))


def is_password(password: str, stored: str) -> bool:
    """Return whether `stored` is a hash of this password, whichever way it was made; 25 ms, or 50 ms for scrypt."""
    if len(password) > LONGEST_PASSWORD:
        return False
    if is_scrypt(stored):
        return hmac.compare_digest(stored, _scrypt(password, bytes.fromhex(stored.partition("$")[0])))
    try:
        return HASHER.verify(stored, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


def is_scrypt(stored: str) -> bool:
    """Return whether a hash is one of the first version's."""
    return not stored.startswith("$")


def is_outdated(stored: str) -> bool:
    """Return whether a hash should be made anew, now that the password is at hand."""
    return is_scrypt(stored) or HASHER.check_needs_rehash(stored)


def _scrypt(password: str, salt: bytes) -> str:
    key = hashlib.scrypt(password.encode("utf-8"), salt=salt, n=SCRYPT_COST, r=SCRYPT_BLOCK, p=SCRYPT_PARALLEL)
    return f"{salt.hex()}${key.hex()}"
