"""How often a password may be tried. Functions take `db` first; the tries are the rows of login_failure.

A try is counted before the password is looked at, so that many at once cannot all slip through, and is struck off when it was right.
Five that failed for a name within 15 minutes, or thirty from an address, and the next has to wait; the same for names that nobody has.

A right password is not locked out for ever by somebody else's tries, for three reasons. What is refused is not counted, so a wait ends
at most 15 minutes after it began. A browser in which the person once signed in is not held up by the name's count, only by that of
its address (curation/ui/access.py notes that in the signed cookie). And an admin's new password, on the page or the command line,
clears the name.
"""

import math
from datetime import UTC, datetime, timedelta

import sqlite_utils

from store.database import transaction
from store.errors import UserError
from store.records import LoginFailure
from store.rows import as_row

WINDOW_S = 15 * 60
MOST_PER_NAME = 5
MOST_PER_ADDRESS = 30
Query = str
BY_NAME: Query = "SELECT at FROM login_failure WHERE name = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?"
BY_ADDRESS: Query = "SELECT at FROM login_failure WHERE address = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?"


class TooManyTriesError(UserError):
    """The password was wrong too often; `wait_s` seconds from now the next try is heard."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many tries. Wait {_in_words(wait_s)}, then try again; an admin can also give you a new password.")
        self.wait_s = wait_s


def count_try(db: sqlite_utils.Database, name: str, address: str, known_here: bool, now: datetime | None = None) -> None:
    """Count one try for a name from an address, and drop what is older than 15 minutes.

    `known_here`: the name has signed in with this browser before. Raises TooManyTriesError, and counts nothing, when it has to wait.
    """
    now = now or datetime.now(UTC)
    since = _moment(now - timedelta(seconds=WINDOW_S))
    tried = LoginFailure(name[:60], address, _moment(now))
    with transaction(db):
        db.conn.execute("DELETE FROM login_failure WHERE at <= ?", [since])
        held = [_nth_last(db, BY_ADDRESS, address, since, MOST_PER_ADDRESS)]
        if not known_here:
            held.append(_nth_last(db, BY_NAME, tried.name, since, MOST_PER_NAME))
        if waits := [moment for moment in held if moment]:
            raise TooManyTriesError(math.ceil((max(waits) + timedelta(seconds=WINDOW_S) - now).total_seconds()))
        db.table("login_failure").insert(as_row(tried))


def strike_off(db: sqlite_utils.Database, name: str) -> None:
    """Forget the tries for a name: its password was right."""
    db.conn.execute("DELETE FROM login_failure WHERE name = ?", [name[:60]])


def _nth_last(db: sqlite_utils.Database, query: Query, whose: str, since: str, most: int) -> datetime | None:
    """Return the moment of the try after whose 15 minutes fewer than `most` are left, or None when fewer are there."""
    rows = list(db.query(query, [whose, since, most - 1]))
    return datetime.fromisoformat(rows[0]["at"]) if rows else None


def _moment(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")


def _in_words(wait_s: int) -> str:
    return f"{wait_s} seconds" if wait_s < 90 else f"{-(-wait_s // 60)} minutes"
