"""How long a save takes, and what is left when the server is killed 200 times while annotators write."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, judged, main
from tests.kills import Outcome, endure, fill, saves

KILLS, ANNOTATORS = 200, 6
USERS, THINK_S, CLIPS = 20, 0.5, 16_667  # three texts a clip: 50,000 items


def measure(quick: bool) -> list[Row]:
    """Return what became of the annotators' acts, with the outbox and without; `quick` kills a tenth as often."""
    kills = KILLS // 10 if quick else KILLS
    kept, bare = survived(kills, True), survived(kills // 4, False)
    without = f"without the outbox {bare.lost:,} of {bare.made:,} acts were lost in {bare.kills} kills"
    return [
        *saving(quick),
        judged(f"acts lost in {kills} kills of the server, {kept.made:,} made", kept.lost, "acts", "== 0", without),
        judged(f"of {kept.acknowledged:,} acknowledged operations lost", kept.acknowledged_lost, "operations", "== 0", without),
        judged("operations that nobody made, or twice", kept.foreign, "operations", "== 0", "acts go out again until they are answered, with the same id"),
        judged("problems of database and replayed log", len(kept.problems), "sentences", "== 0", "see tests/curation/test_replaying.py"),
    ]


def saving(quick: bool) -> list[Row]:
    """Return how long drafts and submissions take over HTTP when 20 people work in a large project."""
    clips, seconds = (200, 3.0) if quick else (CLIPS, 30.0)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), clips, USERS)
        took = saves(Path(folder), USERS, THINK_S, seconds)
    named = f"save over HTTP, {USERS} people in {3 * clips:,} items, an act each {THINK_S:g} s"
    peers = "a save in Potato took 7 ms at the median, in Label Studio 82 ms (measured 2026-11-21, one user)"
    return [
        judged(f"{named}: median", float(np.median(took)), "ms", "<= 7", f"n = {len(took):,}, a quarter of them submissions that bring the next item; {peers}"),
        judged(f"{named}: p95", float(np.percentile(took, 95)), "ms", "<= 50", "the same"),
    ]


def survived(kills: int, outbox: bool) -> Outcome:
    """Return what `kills` deaths leave of a fresh project."""
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), clips=20 + kills, annotators=ANNOTATORS)
        return endure(Path(folder), kills, ANNOTATORS, outbox)


if __name__ == "__main__":
    main(measure, __doc__ or "")
