"""Claims at a million items, 32 claimers, 32 durable savers, and the export of 50,000 annotations."""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sqlite_utils

from benchmarks.queue_data import WORST, add_gold, make_queue
from benchmarks.rows import Row, judged, main
from curation.recording import read_operation, record
from store.candidates import get_candidate
from store.database import open_store, transaction
from store.errors import StorageError
from store.queue import claim_next, progress_of, set_assignment_state
from store.records import Assignment
from store.writer import Writer
from tests.store.test_queue import PROCESSES, WANTED, in_processes, work_off, work_off_deferred

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = 32
WORK: dict[str, object] = {"verdict": None, "no_error": False, "omission": None, "factual_consistency": None, "logical_coherence": None, "note": "he walks"}
WORK |= {"edited_text": None, "skip_reason": None, "seconds_spent": 3.0, "watched_share": 0.5, "flags": [], "ticks": []}


def measure(quick: bool) -> list[Row]:
    """Return the rows; a full run needs 2 GB of disk and some minutes."""
    with tempfile.TemporaryDirectory() as folder:
        parts: list[Callable[[Path, bool], list[Row]]] = [claims, claimers, savers, export]
        return [row for part in parts for row in part(Path(folder), quick)]


def claims(folder: Path, quick: bool) -> list[Row]:
    """Return the time of a claim at each size, for somebody new and for somebody who has had 95 % of the queue.

    Measured within one transaction, as the writer thread does it: the wait for the disk is the savers' figure.
    """
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    rows, medians = [], []
    for items in sizes:
        data = folder / f"queue-{items}"
        count = make_queue(data, items)
        calls = min(1000, items // 25)
        with open_store(data) as db, transaction(db):
            new, worst = (claim_times(db, name, calls) for name in ("somebody new", WORST))
            ahead = [timed(lambda: progress_of(db, WORST))[0] for _ in range(100)]
            uncursored = _without_cursor(db)
        at = f"{items:,} items, {count:,} assignments"
        (cpu, wall), theirs = np.array(new + worst).T, np.array(worst)[:, 0]
        medians.append(float(np.median(cpu)))
        told = f"that person alone {np.percentile(theirs, 99):.2f} ms, without the cursor {uncursored:.0f} ms; n = {2 * calls}, half of them that person's; "
        told += f"wall clock: median {np.median(wall):.2f}, p99 {np.percentile(wall, 99):.1f} ms"
        rows.append(judged(f"claim at {at}, p99 of CPU time", float(np.percentile(cpu, 99)), "ms", "<= 1", told))
        rows.append(judged(f"progress at {at}, p99 of CPU time", float(np.percentile(ahead, 99)), "ms", None, "501 items at most are counted"))
        if items == sizes[-1]:
            add_gold(data, 0.1, 100)
            with open_store(data) as db, transaction(db):
                hidden = claim_times(db, "somebody else", calls)
            p99 = float(np.percentile(np.array(hidden)[:, 0], 99))
            rows.append(judged(f"claim at {items:,} items with gold and repeats, p99 of CPU time", p99, "ms", "<= 1", f"100 gold items, n = {calls}"))
    flat = medians[-1] / medians[0]
    rows.append(judged(f"claim, median at {sizes[-1]:,} over median at {sizes[0]:,} items", flat, "x", "<= 2", "a scan would grow with the queue"))
    return rows


def claim_times(db: sqlite_utils.Database, annotator: str, calls: int) -> list[tuple[float, float]]:
    """Return the milliseconds of each of many claims, CPU and wall clock; each item is finished before the next."""
    times = []
    for _ in range(calls):
        held: list[Assignment | None] = []
        times.append(timed(lambda held=held: held.append(claim_next(db, annotator))))  # type: ignore[misc]
        assert held[0] is not None, "the queue is too short for the measurement"
        set_assignment_state(db, held[0].id, "final")
    return times


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Return the milliseconds that `act` takes: CPU time of this thread, which other processes hardly change, and wall clock."""
    wall, cpu = time.perf_counter(), time.thread_time()
    act()
    return 1e3 * (time.thread_time() - cpu), 1e3 * (time.perf_counter() - wall)


def _without_cursor(db: sqlite_utils.Database) -> float:
    """Return the CPU milliseconds of a claim that walks past all that the worst annotator has had."""
    db.execute("UPDATE seat SET cursor = 0 WHERE annotator = ?", [WORST])
    return timed(lambda: claim_next(db, WORST))[0]


def claimers(folder: Path, quick: bool) -> list[Row]:
    """Return how many items 32 processes got among them, each by how many people."""
    items = 200 if quick else 1_000
    begun = time.perf_counter()
    done = in_processes(folder / "claimers", items, work_off)
    seconds = time.perf_counter() - begun
    pairs = {(candidate, who) for who, own in enumerate(done) for candidate in own}
    over = sum(count != WANTED for count in Counter(candidate for candidate, _ in pairs).values())
    locked = len([error for own in in_processes(folder / "deferred", items, work_off_deferred) for error in own])
    control = f"a deferred BEGIN that reads first: {locked} of {PROCESSES} processes stop at 'database is locked'"
    return [
        judged(f"{PROCESSES} processes x {items:,} items x {WANTED}: distinct claims", len(pairs), "", f"== {WANTED * items}", control),
        judged("items that not exactly 3 people got, of these", over, "", "== 0", f"all done in {seconds:.1f} s, no claim was locked out"),
    ]


def savers(folder: Path, quick: bool) -> list[Row]:
    """Return how long a durable save takes when 32 clients save one after the other without a pause, and how alike they fare."""
    seconds = 2.0 if quick else 10.0
    data = folder / "savers"
    make_queue(data, 2_000)
    writer = Writer(data)
    try:
        own = _saved(data, seconds, lambda act: writer.run(act))
    finally:
        writer.close()

    def alone(act: Callable[[sqlite_utils.Database], object]) -> object:
        with open_store(data) as db, transaction(db):
            return act(db)

    others = _saved(data, seconds, alone)
    fair, unfair = (min(map(len, times)) / max(1, *map(len, times)) for times in (own, others))
    (p50, p99), (their_p50, their_p99) = (np.percentile(np.concatenate(times), [50, 99]) for times in (own, others))
    control = f"independent writers: p50 {their_p50:.0f} ms, p99 {their_p99:,.0f} ms, {sum(map(len, others)):,} saves"
    named = f"durable save (synchronous=FULL), {CLIENTS} clients"
    return [
        judged(f"{named}, p50", float(p50), "ms", None, f"{sum(map(len, own)):,} saves in {seconds:g} s, load average {os.getloadavg()[0]:.0f}"),
        judged(f"{named}, p99", float(p99), "ms", "<= 50", control),
        judged(f"{named}, slowest / fastest client", fair, "x", ">= 0.8", f"independent writers: {unfair:.2f}"),
    ]


def _saved(data: Path, seconds: float, run: Callable[[Callable[[sqlite_utils.Database], object]], object]) -> list[list[float]]:
    """Return for each client the milliseconds of its saves: drafts, each on what was there before. They start together."""
    with open_store(data) as db, transaction(db):
        held = [_held(db, f"client-{i}") for i in range(CLIENTS)]
    times: list[list[float]] = [[] for _ in held]
    start = threading.Barrier(CLIENTS)
    threads = [threading.Thread(target=_save, args=(*one, start, seconds, run, own)) for one, own in zip(held, times, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _held(db: sqlite_utils.Database, name: str) -> tuple[Assignment, str, int]:
    """Return the client's lease, the digest of the text and the number of the last operation."""
    lease = claim_next(db, name)
    assert lease is not None
    candidate = get_candidate(db, lease.candidate_id)
    assert candidate is not None
    (base,) = db.conn.execute("SELECT coalesce(max(sequence), 0) FROM operation WHERE annotator = ?", [name]).fetchone()
    return lease, hashlib.sha256(candidate.text.encode("utf-8")).hexdigest(), int(base)


def _save(lease: Assignment, sha256: str, base: int, start: threading.Barrier, seconds: float, run: Callable[..., Any], times: list[float]) -> None:
    start.wait()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        raw = {"id": f"{lease.annotator}-{time.monotonic_ns()}", "kind": "draft", "assignment_id": lease.id, "base_sequence": base}
        operation = read_operation({**raw, "client_at": None, "text_sha256": sha256, "state": WORK})
        begun = time.perf_counter()
        try:
            base = run(lambda db, operation=operation: record(db, lease.annotator, operation)).sequence
        except StorageError:  # locked out until the patience of SQLite's busy handler ended
            until = 0.0
        times.append(1e3 * (time.perf_counter() - begun))


def export(folder: Path, quick: bool) -> list[Row]:
    """Return the time and the memory of the export of annotations, two flags each."""
    count, fewer = (5_000, 1_000) if quick else (50_000, 5_000)
    (seconds, cpu, memory), (_, _, less) = (_exported(folder / f"export-{rows}", rows) for rows in (count, fewer))
    return [
        judged(f"export of {count:,} annotations with {2 * count:,} flags, CPU time", cpu, "s", "<= 5", f"wall clock {seconds:.1f} s; file and all"),
        judged(f"its peak memory less that of {fewer:,} annotations", memory - less, "MiB", "<= 8", f"{memory:.0f} MiB in all; held as a list it would grow"),
    ]


def _exported(data: Path, count: int) -> tuple[float, float, float]:
    """Return wall clock and CPU seconds, and the most MiB that the process held."""
    make_queue(data, count)
    with open_store(data) as db, transaction(db):
        db.execute("INSERT INTO operation VALUES (1, 'operation', 'a', (SELECT id FROM candidate LIMIT 1), 1, 'submit', '{}', NULL, '2026-01-01')")
        db.execute(
            """INSERT INTO annotation SELECT 'a' || rowid, id, 'ann', 1, 'final', 'reject', 0, 'none', 2, 3, 'he walks', NULL, NULL, NULL, NULL, 20, 1, 1,
               '2026-01-01' FROM candidate WHERE id LIKE 'c000%' LIMIT ?""",
            [count],
        )
        for number in range(2):
            db.execute(
                """INSERT INTO flag SELECT ? || id, id, 'temporal_error', 0, 3, 'In ', 0.5, 1.5, 2, 'he walks first', NULL, NULL, '', NULL, NULL,
                   'before', 'after', '' FROM annotation""",
                [str(number)],
            )
    script = """
import sys, time
from pathlib import Path
from curation.annotation_export import export_annotations
begun, used = time.perf_counter(), time.process_time()
path, count = export_annotations(Path(sys.argv[1]))
held = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.perf_counter() - begun, time.process_time() - used, int(held.split()[1]) / 1024, count)
"""
    told = subprocess.run([sys.executable, "-c", script, str(data)], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert int(told[3]) == count
    return float(told[0]), float(told[1]), float(told[2])


if __name__ == "__main__":
    main(measure, __doc__ or "")
