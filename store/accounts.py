"""Who may sign in. Functions take `db` first. Passwords are kept as scrypt hashes (RFC 7914)."""

import hashlib
import hmac
import secrets

import sqlite_utils

from store.errors import ConflictError, InputError
from store.records import Account
from store.rows import as_record, as_row, utc_now

SHORTEST_PASSWORD = 8
COST, BLOCK, PARALLEL = 2**14, 8, 1


def add_account(db: sqlite_utils.Database, name: str, password: str, role: str, change: bool = False) -> Account:
    """Make an account with role "annotator" or "lead", or with `change` give one that is there another password and role; 50 ms for the hash.

    Raises InputError for a bad name, role or password, ConflictError when the name is taken.
    """
    clean = check_name(name)
    if role not in ("annotator", "lead"):
        raise InputError(f"The role {role!r} is not known. Use annotator or lead.")
    if len(password) < SHORTEST_PASSWORD:
        raise InputError(f"The password has {len(password)} characters. Use {SHORTEST_PASSWORD} or more.")
    if find_account(db, clean) and not change:
        raise ConflictError(f"There is an account {clean!r} already. Choose another name, or change it with --change.")
    account = Account(clean, role, _hash(password, secrets.token_bytes(16)), utc_now())
    db.table("account").insert(as_row(account), replace=change)
    return account


def check_name(name: str) -> str:
    """Return the name without outer spaces. Raises InputError when it is empty, over 40 characters or has control characters."""
    clean = name.strip()
    if not clean or len(clean) > 40 or not clean.isprintable():
        raise InputError(f"The name {name[:60]!r} is not usable. Use 1 to 40 printable characters.")
    return clean


def find_account(db: sqlite_utils.Database, name: str) -> Account | None:
    """Return the account of this name, or None."""
    rows = list(db.query("SELECT * FROM account WHERE name = ?", [name]))
    return as_record(Account, rows[0]) if rows else None


def verify(db: sqlite_utils.Database, name: str, password: str) -> Account | None:
    """Return the account when the password is right, else None; the same time either way."""
    account = find_account(db, name.strip())
    stored = account.password_hash if account else _hash("", bytes(16))
    salt = bytes.fromhex(stored.partition("$")[0])
    return account if hmac.compare_digest(stored, _hash(password, salt)) and account else None


def count_accounts(db: sqlite_utils.Database) -> int:
    """Return how many accounts there are; none means that names alone sign in, on loopback only."""
    return int(next(db.query("SELECT count(*) AS n FROM account"))["n"])


def _hash(password: str, salt: bytes) -> str:
    key = hashlib.scrypt(password.encode("utf-8"), salt=salt, n=COST, r=BLOCK, p=PARALLEL)
    return f"{salt.hex()}${key.hex()}"
