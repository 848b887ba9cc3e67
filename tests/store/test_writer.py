"""The writer: what it answers is on the disk, in the order of asking, and one job's trouble is its own."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlite_utils

from store.database import FILE_NAME, backup, open_store, transaction
from store.errors import ConflictError, StorageError
from store.writer import MOST_JOBS, Writer

Job = Callable[[sqlite_utils.Database], int]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with open_store(tmp_path) as db:
        db.execute("CREATE TABLE word (place INTEGER PRIMARY KEY, word TEXT UNIQUE)")
    made = Writer(tmp_path, group_s=60)  # what waits together is one group, however slow the machine is
    yield made
    made.close()


def add(word: str) -> Job:
    return lambda db: int(db.execute("INSERT INTO word (word) VALUES (?)", [word]).lastrowid or 0)


def count(db: sqlite_utils.Database) -> int:
    return db.table("word").count


def words(data: Path) -> list[str]:
    with open_store(data) as db:
        return [row["word"] for row in db.query("SELECT word FROM word ORDER BY place")]


class Gate:
    """A job that keeps the writer busy until it is opened, so that what is sent meanwhile becomes one group."""

    def __init__(self, writer: Writer) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.answer = writer._submit(self.wait)

    def wait(self, db: sqlite_utils.Database) -> int:
        self.entered.set()
        assert self.opened.wait(60)
        return 0


def in_one_group(writer: Writer, *jobs: Job) -> list[object]:
    """Return what each job returned or raised when all were waiting at once, in this order."""
    gate = Gate(writer)
    sent = [writer._submit(job) for job in jobs]
    gate.opened.set()
    return [one.exception(60) or one.result(60) for one in sent]


def test_what_is_answered_can_be_read_by_everybody(writer: Writer, tmp_path: Path) -> None:
    assert writer.run(add("one")) == 1
    assert words(tmp_path) == ["one"]


def test_nothing_is_answered_before_the_commit(writer: Writer, tmp_path: Path) -> None:
    before = Gate(writer)
    assert before.entered.wait(60)
    first, after = writer._submit(add("one")), Gate(writer)
    before.opened.set()
    assert after.entered.wait(60)
    assert words(tmp_path) == (["one"] if first.done() else [])
    after.opened.set()
    assert (first.result(60), words(tmp_path)) == (1, ["one"])


def test_a_job_that_fails_takes_nothing_with_it(writer: Writer, tmp_path: Path) -> None:
    def fail(db: sqlite_utils.Database) -> int:
        add("half")(db)
        raise ConflictError("Somebody was there first.")

    first, second, third, fourth = in_one_group(writer, add("one"), fail, add("one"), add("two"))
    assert (first, fourth, words(tmp_path)) == (1, 2, ["one", "two"])
    assert isinstance(second, ConflictError) and isinstance(third, sqlite3.IntegrityError)


def test_a_job_sees_what_those_before_it_did(writer: Writer) -> None:
    assert in_one_group(writer, add("one"), count, add("two"), count) == [1, 1, 2, 2]


def test_transactions_inside_a_job_fail_alone(writer: Writer, tmp_path: Path) -> None:
    def act(db: sqlite_utils.Database) -> int:
        with transaction(db):
            add("kept")(db)
        with pytest.raises(ConflictError), transaction(db):
            add("lost")(db)
            raise ConflictError("No.")
        return count(db)

    assert (writer.run(act), words(tmp_path)) == (1, ["kept"])


def test_jobs_are_done_in_the_order_in_which_they_came_also_over_many_groups(writer: Writer, tmp_path: Path) -> None:
    asked = [f"word {number}" for number in range(3 * MOST_JOBS)]
    assert in_one_group(writer, *map(add, asked)) == list(range(1, len(asked) + 1))
    assert words(tmp_path) == asked


def test_a_group_pays_for_one_commit(writer: Writer) -> None:
    commits: list[str] = []

    def watch(db: sqlite_utils.Database) -> int:
        db.conn.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        return 0

    writer.run(watch)
    commits.clear()
    in_one_group(writer, *(add(f"word {number}") for number in range(MOST_JOBS)))
    together = len(commits)
    for number in range(5):
        writer.run(add(f"alone {number}"))
    assert (together, len(commits) - together) == (2, 5), "the gate is one of the jobs; the control: one after the other, each pays"


def test_threads_and_coroutines_are_served_alike(writer: Writer, tmp_path: Path) -> None:
    async def ask() -> list[int]:
        return await asyncio.gather(*(writer.run_async(add(f"async {number}")) for number in range(20)))

    with ThreadPoolExecutor(8) as pool:
        threads = list(pool.map(lambda number: writer.run(add(f"thread {number}")), range(50)))
        # In a thread of its own: a browser driven by this one may have an event loop here already.
        coroutines = pool.submit(lambda: asyncio.run(ask())).result()
    assert len({*threads, *coroutines}) == len(words(tmp_path)) == 70


def test_a_caller_that_went_away_before_its_turn_leaves_nothing(writer: Writer, tmp_path: Path) -> None:
    gate = Gate(writer)
    gone, here = writer._submit(add("gone")), writer._submit(add("here"))
    assert gone.cancel()
    gate.opened.set()
    here.result(60)
    assert words(tmp_path) == ["here"]


def limit(pages: int) -> Job:
    return lambda db: int(db.conn.execute(f"PRAGMA max_page_count = {pages}").fetchone()[0])


def test_a_full_disk_is_told_and_the_writer_works_again_when_there_is_room(writer: Writer, tmp_path: Path) -> None:
    pages = writer.run(lambda db: int(db.conn.execute("PRAGMA page_count").fetchone()[0]))
    writer.run(limit(pages))  # SQLite's own ceiling raises the very error that a full disk does
    small, large = in_one_group(writer, add("small"), add("large" * 100_000))
    assert isinstance(large, StorageError) and "disk is full" in str(large)
    assert (small == 1) == (words(tmp_path) == ["small"]), "kept if and only if acknowledged"
    writer.run(limit(1_000_000))
    writer.run(add("large" * 100_000))
    assert len(words(tmp_path)[-1]) == 500_000


def test_when_the_commit_fails_the_whole_group_is_told_and_nothing_is_kept(writer: Writer, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        db.execute("CREATE TABLE child (word TEXT REFERENCES word (word) DEFERRABLE INITIALLY DEFERRED)")

    def orphan(db: sqlite_utils.Database) -> int:
        db.execute("INSERT INTO child VALUES ('nobody')")
        return 0

    gate = Gate(writer)
    gone = writer._submit(add("gone"))
    assert gone.cancel()
    sent = [writer._submit(job) for job in (add("one"), orphan, add("two"))]
    gate.opened.set()
    told = [one.exception(60) for one in sent]
    assert [type(one) for one in told] == [sqlite3.IntegrityError] * 3
    assert words(tmp_path) == []
    assert writer.run(add("three")) == 1


def test_a_database_that_cannot_be_opened_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a directory should be")
    writer = Writer(tmp_path / "data")
    with pytest.raises(StorageError, match="Give another --data directory"):
        writer.run(lambda db: 1)
    (tmp_path / "data").unlink()
    assert writer.run(lambda db: db.table("operation").count) == 0
    writer.close()


def test_a_backup_that_is_put_in_the_place_of_the_database_is_written_to(writer: Writer, tmp_path: Path) -> None:
    writer.run(add("before"))
    backup(tmp_path, tmp_path / "copy.db")
    writer.run(add("lost with the old file"))
    (tmp_path / "copy.db").replace(tmp_path / FILE_NAME)
    for name in ("-wal", "-shm"):
        (tmp_path / (FILE_NAME + name)).unlink()
    writer.run(add("after"))
    assert words(tmp_path) == ["before", "after"]


def test_what_waits_is_kept_when_the_app_stops_and_what_comes_later_is_refused(writer: Writer, tmp_path: Path) -> None:
    gate = Gate(writer)
    sent = [writer._submit(add(f"word {number}")) for number in range(3)]
    threading.Timer(0.01, gate.opened.set).start()
    writer.close()
    assert [one.result(0) for one in sent] == [1, 2, 3]
    with pytest.raises(StorageError, match="stopping"):
        writer.run(count)
    assert [thread for thread in threading.enumerate() if thread is writer._thread] == []


def test_a_writer_that_wrote_nothing_has_no_thread_and_closes(tmp_path: Path) -> None:
    before = threading.active_count()
    Writer(tmp_path).close()
    assert threading.active_count() == before


def test_a_job_that_would_wait_for_itself_is_a_bug_that_is_told(writer: Writer) -> None:
    with pytest.raises(RuntimeError, match="another one"):
        writer.run(lambda db: writer.run(count))
