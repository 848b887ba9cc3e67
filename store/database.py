"""The one SQLite file of a data directory: a connection per call, pragmas, migration, backup, check."""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlite_utils

from store.errors import NotFoundError, StorageError
from store.schema import is_current, migrate

FILE_NAME = "eyewitness.db"
# A writer waits this long for another one before it gives up, in milliseconds.
BUSY_MS = 10_000
# How a transaction begins, ends well and ends ill: on its own, and inside another one.
IMMEDIATE = ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",))
SAVEPOINT = ("SAVEPOINT step", "RELEASE step", ("ROLLBACK TO step", "RELEASE step"))


@contextmanager
def open_store(data: Path, one_thread: bool = True) -> Iterator[sqlite_utils.Database]:
    """Yield a fresh connection to the database of `data`, made and migrated when needed; 0.5 ms.

    Without `one_thread` several threads may use it, one after the other: a stream's next lines are asked for in whichever is free. Raises
    StorageError when the directory or the disk refuses.
    """
    with storage_errors(data):
        # For the owner alone: it holds what people said of each other's work, and password hashes.
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(_connect(data / FILE_NAME, one_thread)) as conn:
            db = sqlite_utils.Database(conn)
            if not is_current(db):
                with transaction(db):
                    migrate(db)
            yield db


@contextmanager
def transaction(db: sqlite_utils.Database) -> Iterator[None]:
    """Hold one immediate transaction: all of it is kept, or none. Inside an open one it is a savepoint, which fails alone.

    A deferred BEGIN that reads and then writes would fail at once with SQLITE_BUSY_SNAPSHOT beside another writer.
    """
    begin, commit, roll_back = SAVEPOINT if db.conn.in_transaction else IMMEDIATE
    db.conn.execute(begin)
    kept = False
    try:
        yield
        db.conn.execute(commit)
        kept = True
    finally:
        # A full disk has rolled back by itself, the transaction around a savepoint included.
        if not kept and db.conn.in_transaction:
            for step in roll_back:
                db.conn.execute(step)


def backup(data: Path, target: Path) -> int:
    """Copy the database to `target`, whole or not at all, while others work (SQLite's online backup); return its size in bytes.

    Raises NotFoundError when there is no database, StorageError when `target` exists or cannot be written.
    """
    if target.exists():
        raise StorageError(f"{target} exists already. Give a new file name; a backup never overwrites.")
    part = target.with_name(f".{target.name}.part")
    try:
        with closing(_connect(existing_file(data))) as source, closing(sqlite3.connect(part)) as copy:
            source.backup(copy)
        part.rename(target)
    except (OSError, sqlite3.OperationalError) as error:
        raise StorageError(f"The backup could not be written to {target}: {error}. Give another file name, or make room and rights.") from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def existing_file(data: Path) -> Path:
    """Return the database file of `data`. Raises NotFoundError when there is none: a mistyped directory is not made."""
    path = data / FILE_NAME
    if not path.is_file():
        raise NotFoundError(f"There is no database in {data}. Check the name of the --data directory.")
    return path


def check(data: Path) -> list[str]:
    """Return a sentence for each thing that is wrong: integrity, foreign keys, media digests. Reads every media file."""
    existing_file(data)
    problems: list[str] = []
    with open_store(data) as db:
        for (message,) in db.conn.execute("PRAGMA integrity_check"):
            if message != "ok":
                problems.append(f"Integrity: {message}.")
        for table, rowid, parent, _ in db.conn.execute("PRAGMA foreign_key_check"):
            problems.append(f"Foreign key: row {rowid} of {table} points at nothing in {parent}.")
        known = {row["digest"] for row in db.query("SELECT digest FROM media")}
        known |= {row["proxy_digest"] for row in db.query("SELECT proxy_digest FROM media WHERE proxy_digest IS NOT NULL")}
    return problems + [problem for digest in sorted(known) if (problem := _media_problem(data, digest))]


def _media_problem(data: Path, digest: str) -> str | None:
    path = data / "media" / digest[:2] / digest
    if not path.is_file():
        return f"Media: {digest} is missing from {path.parent}."
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if found == digest else f"Media: {path} has changed; its digest is now {found}."


def _is_full(data: Path) -> bool:
    """Return whether not even a page of the database fits: SQLite then speaks of I/O errors."""
    return shutil.disk_usage(data).free < 64 * 1024 if data.is_dir() else False


def _connect(path: Path, one_thread: bool = True) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=one_thread)
    # busy_timeout stands before journal_mode, which itself may have to wait.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        conn.execute("PRAGMA " + pragma)
    return conn


@contextmanager
def storage_errors(data: Path) -> Iterator[None]:
    """Turn what the disk says into a sentence; what is our own mistake travels as it is."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{data} cannot be used: {error.strerror or error}. Give another --data directory, or make room and rights.") from error
    except sqlite3.OperationalError as error:
        told = "the disk is full" if _is_full(data) else str(error)
        if any(part in told for part in ("readonly", "read-only", "unable to open", "is full", "disk I/O", "locked")):
            raise StorageError(f"The database in {data} cannot be written: {told}. Nothing of this step was kept.") from error
        raise
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error) or "malformed" in str(error):
            raise StorageError(f"{data / FILE_NAME} is not a sound SQLite database: {error}. Restore a backup.") from error
        raise
