"""Who may sign in, and as what. Functions take `db` first; what takes long (a password's hash) is done before `db` is written."""

import unicodedata
from dataclasses import replace

import sqlite_utils

from store.database import transaction
from store.errors import ConflictError, InputError, NotFoundError
from store.passwords import NOBODYS_SCRYPT, hash_password, is_outdated, is_password, is_scrypt, nobodys_hash
from store.records import Account
from store.rows import as_record, as_row, utc_now

ROLES = ("annotator", "adjudicator", "admin")  # each may do what the ones before it may
ADMIN = ROLES[-1]
# Everywhere that somebody's name stands beside what they did; a new person must not step into it.
TRACES = """SELECT EXISTS (SELECT 1 FROM assignment WHERE annotator = :n) OR EXISTS (SELECT 1 FROM annotation WHERE annotator = :n)
    OR EXISTS (SELECT 1 FROM comparison WHERE annotator = :n) OR EXISTS (SELECT 1 FROM decision WHERE adjudicator = :n)
    OR EXISTS (SELECT 1 FROM guideline_issue WHERE asked_by = :n OR answered_by = :n) AS found"""


def add_account(db: sqlite_utils.Database, name: str, password: str, role: str, change: bool = False) -> Account:
    """Make an account with one of the ROLES, or with `change` give one that is there another password and role; 25 ms for the hash.

    Raises InputError for a bad name, role or password, ConflictError when the name is taken or the last admin would be none.
    """
    account = new_account(name, password, role)
    with transaction(db):
        known = find_account(db, account.name)
        if known and not change:
            raise ConflictError(f"There is an account {account.name!r} already. Choose another name, or change it with --change.")
        if known:
            set_role(db, known.name, role)
            set_password_hash(db, known.name, account.password_hash)
        else:
            db.table("account").insert(as_row(account))
    return account


def new_account(name: str, password: str, role: str) -> Account:
    """Return an account that is not kept yet; 25 ms. Raises InputError for a bad name, role or password."""
    clean = check_name(name)
    check_role(role)
    return Account(clean, role, hash_password(password), utc_now())


def check_name(name: str) -> str:
    """Return the name as it is kept. Raises InputError when it is empty, over 40 characters or has control characters."""
    clean = plain_name(name)
    if not clean or len(clean) > 40 or not clean.isprintable():
        raise InputError(f"The name {name[:60]!r} is not usable. Use 1 to 40 printable characters.")
    return clean


def plain_name(name: str) -> str:
    """Return the name as it is kept: without outer spaces, one way to write each letter."""
    return unicodedata.normalize("NFKC", name).strip()


def check_role(role: str) -> None:
    """Raise InputError for a role that is not known."""
    if role not in ROLES:
        raise InputError(f"The role {role!r} is not known. Use {', '.join(ROLES[:-1])} or {ROLES[-1]}.")


def find_account(db: sqlite_utils.Database, name: str) -> Account | None:
    """Return the account of this name, or None."""
    rows = list(db.query("SELECT * FROM account WHERE name = ?", [name]))
    return as_record(Account, rows[0]) if rows else None


def list_accounts(db: sqlite_utils.Database) -> list[Account]:
    """Return all accounts by name."""
    return [as_record(Account, row) for row in db.query("SELECT * FROM account ORDER BY name")]


def count_finished(db: sqlite_utils.Database) -> dict[str, int]:
    """Return how many items each person has finished, those without an account included; reads one index."""
    query = "SELECT annotator, count(*) AS n FROM assignment WHERE state = 'final' GROUP BY annotator"
    return {row["annotator"]: row["n"] for row in db.query(query)}


def refuse_taken_name(db: sqlite_utils.Database, name: str) -> None:
    """Raise ConflictError when the name is an account's, but for capitals, or stands beside work: whoever takes it could open that work."""
    if name.casefold() in {account.name.casefold() for account in list_accounts(db)} or next(db.query(TRACES, {"n": name}))["found"]:
        raise ConflictError(
            f"The name {name!r} is taken. Choose another one; if it is yours, an admin makes the account with: python -m store account NAME ROLE."
        )


def verify(db: sqlite_utils.Database, name: str, password: str) -> Account | None:
    """Return the account when the password is right, else None; as long for a name that nobody has.

    While there are hashes of the first version, each try is held against both kinds, so that the time tells neither the kind.
    """
    account = find_account(db, plain_name(name))
    stored = account.password_hash if account else nobodys_hash()
    right = is_password(password, stored)
    if _has_scrypt(db):
        is_password(password, nobodys_hash() if is_scrypt(stored) else NOBODYS_SCRYPT)
    return account if right else None


def renew_hash(db: sqlite_utils.Database, account: Account, new_hash: str) -> Account:
    """Replace an outdated hash by one of the same password; return the account, unchanged when somebody gave it another password meanwhile."""
    done = db.conn.execute("UPDATE account SET password_hash = ? WHERE name = ? AND password_hash = ?", [new_hash, account.name, account.password_hash])
    return replace(account, password_hash=new_hash) if done.rowcount else account


def fresh_hash(account: Account, password: str) -> str | None:
    """Return a new hash of the right password when the one that is kept is outdated, else None; 25 ms when it is."""
    return hash_password(password) if is_outdated(account.password_hash) else None


def set_role(db: sqlite_utils.Database, name: str, role: str) -> None:
    """Give an account another role. Raises NotFoundError for an unknown name, ConflictError when no admin would be left."""
    check_role(role)
    with transaction(db):
        if role != ADMIN:
            _refuse_last_admin(db, _account(db, name))
        db.conn.execute("UPDATE account SET role = ? WHERE name = ?", [role, _account(db, name).name])


def set_password_hash(db: sqlite_utils.Database, name: str, password_hash: str) -> None:
    """Give an account another password, and its name a clean slate at the door. Raises NotFoundError for an unknown name."""
    with transaction(db):
        db.conn.execute("UPDATE account SET password_hash = ? WHERE name = ?", [password_hash, _account(db, name).name])
        db.conn.execute("DELETE FROM login_failure WHERE name = ?", [name])


def remove_account(db: sqlite_utils.Database, name: str) -> None:
    """Take the account away; what the person did stays under the name. Raises NotFoundError, or ConflictError when no admin would be left."""
    with transaction(db):
        _refuse_last_admin(db, _account(db, name))
        db.conn.execute("DELETE FROM account WHERE name = ?", [name])


def count_accounts(db: sqlite_utils.Database) -> int:
    """Return how many accounts there are; none means that names alone sign in, on loopback only."""
    return int(next(db.query("SELECT count(*) AS n FROM account"))["n"])


def _account(db: sqlite_utils.Database, name: str) -> Account:
    account = find_account(db, name)
    if account is None:
        raise NotFoundError(f"There is no account {name[:60]!r}. Reload the page to see who is there.")
    return account


def _refuse_last_admin(db: sqlite_utils.Database, account: Account) -> None:
    if account.role == ADMIN and next(db.query("SELECT count(*) AS n FROM account WHERE role = 'admin'"))["n"] == 1:
        raise ConflictError(f"{account.name} is the only admin, and somebody has to be. Make another admin first.")


def _has_scrypt(db: sqlite_utils.Database) -> bool:
    return bool(next(db.query("SELECT EXISTS (SELECT 1 FROM account WHERE password_hash NOT LIKE '$%') AS found"))["found"])
