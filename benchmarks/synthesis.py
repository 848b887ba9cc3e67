"""What a synthesis costs beside the model: the runner's throughput and time an item, what a kill costs, and planning, merging, composing and showing."""

import asyncio
import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.films import make_films
from benchmarks.rows import Row, judged, main
from curation.synthesis.answers import compose, read
from curation.synthesis.arms import arm_of
from curation.synthesis.driving import drive
from curation.synthesis.executors.local import LocalExecutor
from curation.synthesis.executors.on_ray import RayExecutor
from curation.synthesis.executors.tasks import Executor
from curation.synthesis.journal import results_of, see
from curation.synthesis.merging import merge
from curation.synthesis.pictures import Shower
from curation.synthesis.plan import Limits, WriterSpec
from curation.synthesis.plan_files import read_items, read_plan
from curation.synthesis.planning import plan_run
from curation.synthesis.prompts import load
from curation.synthesis.status import read_status
from curation.synthesis.wishes import Wish
from curation.synthesis.writers.making import make_writer
from curation.synthesis.writing import Reply, Sampling
from store.database import open_store
from store.media_files import media_path
from tests.curation.synthesis.conftest import put_clip
from tests.curation.synthesis.orders import ROOT, asked, lines, order, serving, subject

IN_FLIGHT, DELAY_MS = 64, 200.0
PAIRS = 9  # of a clip; NExT-GQA's validation split has 8.8


def measure(quick: bool) -> list[Row]:
    """Return the figures; `quick` asks a quarter as much."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            *throughput(Path(folder), 10 if quick else 80),
            *killed(Path(folder)),
            *of_an_item(Path(folder), 100 if quick else 400),
            *store_work(Path(folder) / "store", 200 if quick else 2_000),
            *showing(Path(folder) / "shown", quick),
            *starts(Path(folder)),
        ]


def throughput(folder: Path, rounds: int) -> list[Row]:
    """Return how near the runner, one process, comes to what a server that takes 200 ms allows: with short prompts, and with those of a data set's clips."""
    items, alone = rounds * IN_FLIGHT, 15
    ideal_s = rounds * DELAY_MS / 1000
    rows = []
    with serving(DELAY_MS) as server:
        asked(order(folder, IN_FLIGHT, server.address, name="warm", limits=Limits(in_flight=IN_FLIGHT)))  # the language model is loaded once a process
        for pairs in (3, PAIRS):
            one_s, _ = timed(order(folder, alone, server.address, name=f"one-{pairs}", pairs=pairs, limits=Limits(in_flight=1)))
            took_s, cpu_s = timed(order(folder, items, server.address, name=f"many-{pairs}", pairs=pairs, limits=Limits(in_flight=IN_FLIGHT)))
            what = f"narratives of {pairs} pairs, {IN_FLIGHT} in flight, a server that takes {DELAY_MS:.0f} ms"
            times = one_s / alone / (took_s / items)
            seen = server.counts()["most_in_flight"]
            control = f"n = {items:,}; 1 in flight takes {times:.3g} times as long an item (ideal {IN_FLIGHT}, n = {alone}); the server saw {seen}"
            speed = f"the same run; prompt, checks and HTTP are in it; a million additions took {loop_ms():.0f} ms"
            rows.append(judged(f"throughput as a share of the ideal: {what}", ideal_s / took_s, "of 1", ">= 0.9", control))
            rows.append(judged(f"the runner, narratives of {pairs} pairs", 1000 * cpu_s / items, "ms CPU an item", None, speed))
    return rows


def loop_ms() -> float:
    """Return how fast this machine is now: milliseconds of CPU for a million additions in Python."""
    begun_s, number = time.process_time(), 0
    while number < 1_000_000:
        number += 1
    return 1000 * (time.process_time() - begun_s)


def timed(directory: Path) -> tuple[float, float]:
    """Work through a run's one shard; return seconds and seconds of CPU."""
    begun_s, cpu_s = time.perf_counter(), time.process_time()
    if asked(directory) != "done":
        raise AssertionError(f"the run did not end well: {lines(directory, what='ended')[-1]}")
    return time.perf_counter() - begun_s, time.process_time() - cpu_s


def killed(folder: Path) -> list[Row]:
    """Return what is asked again after a kill -9 in the middle."""
    items, in_flight = 400, 32
    with serving(DELAY_MS) as server:
        directory = order(folder, items, server.address, name="killed", limits=Limits(in_flight=in_flight))
        worker = subprocess.Popen([sys.executable, "-m", "curation.synthesis.worker", str(directory), "000"], cwd=ROOT)
        while server.counts()["requests"] < items // 2:
            time.sleep(0.02)
        worker.kill()
        worker.wait()
        held, open_then = see(results_of(directory, "000")).held.keys(), see(results_of(directory, "000")).open.keys()
        asked(directory)
        counts = server.counts()
    begun = [line["key"] for line in lines(directory, what="begun")]
    twice = {key for key in begun if begun.count(key) > 1}
    written = {line["key"] for line in lines(directory, what="written")}
    control = f"n = {items}, {len(held)} on disk and {len(open_then)} in flight at the kill; {counts['requests'] - items} asked twice"
    return [
        judged("texts on disk at a kill -9 that are asked for again", len(twice & held), "texts", "== 0", control),
        judged("texts that a kill -9 loses for good", items - len(written), "texts", "== 0", "the same run, resumed"),
    ]


def of_an_item(folder: Path, n: int) -> list[Row]:
    """Return what an item costs without a network: prompt and checks, the composer, and the reading of its lines by a status."""
    directory = order(folder, n, name="template", pairs=PAIRS, limits=Limits(in_flight=8))
    plan, items = read_plan(directory), list(read_items(directory / "shards" / "000.jsonl"))
    writer = make_writer(plan.writer, None)
    replies = asyncio.run(answers(writer, [compose(item, plan) for item in items]))
    read(items[0], plan, replies[0], ())
    begun_s = time.process_time()
    for item, reply in zip(items, replies, strict=True):
        compose(item, plan)
        read(item, plan, reply, ())
    checks_ms = 1000 * (time.process_time() - begun_s) / n
    begun_s = time.process_time()
    asyncio.run(answers(writer, [compose(item, plan) for item in items]))
    template_ms = 1000 * (time.process_time() - begun_s) / n
    asked(directory)
    begun_s = time.process_time()
    read_status(directory)
    status_us = 1e6 * (time.process_time() - begun_s) / (2 * n)
    size_kib = sum(path.stat().st_size for path in directory.rglob("*.jsonl")) / n / 1024
    told = f"n = {n:,} narratives of {PAIRS} pairs"
    return [
        judged("of this: prompt, reading and checks of an answer", checks_ms, "ms CPU an item", None, told),
        judged("the composer: prompt and text", template_ms, "ms CPU an item", None, f"{told}; no model, so this is all that a text costs"),
        judged("a status from nothing", status_us, "us CPU a line", None, "two lines an item; a page reads only what is new"),
        judged("order and results on disk", size_kib, "KiB an item", None, told),
    ]


async def answers(writer: object, asks: Sequence[object]) -> list[Reply]:
    """Return what a writer says to each."""
    return [await writer.write(ask) for ask in asks]  # type: ignore[attr-defined]


def store_work(data: Path, clips: int) -> list[Row]:
    """Return what planning a run costs, and putting its texts into the store."""
    with open_store(data) as db:
        with db.conn:
            for number in range(clips):
                put_clip(db, f"clip-{number}", questions=PAIRS)
        writer = WriterSpec("template", "1")
        wish = Wish(kind="narrative", arm=arm_of("narrative"), writer=writer, sampling=Sampling(), prompt=load("narrative"))
        planning_s = -time.process_time()
        directory = plan_run(db, data, wish).directory
        planning_s += time.process_time()
        if directory is None:
            raise AssertionError("nothing was planned")
        for shard in sorted(path.stem for path in (directory / "shards").iterdir()):
            asked(directory, shard)
        merging_s = -time.process_time()
        new = merge(db, directory).new
        merging_s += time.process_time()
        again_s = -time.process_time()
        merge(db, directory)
        again_s += time.process_time()
    told = f"n = {clips:,} clips of {PAIRS} pairs"
    again = f"{told}; all of them again, none new: {1e6 * again_s / new:.0f} us"
    return [
        judged("planning: prompts, keys and shards", 1000 * planning_s / clips, "ms CPU an item", None, told),
        judged(
            "putting an answer into the store",
            1000 * merging_s / new,
            "ms CPU an item",
            None,
            again,
        ),
    ]


def showing(folder: Path, quick: bool) -> list[Row]:
    """Return what the frames of a clip cost."""
    films = folder / "films"
    films.mkdir(parents=True)
    film, _ = make_films(films, quick)
    media = media_path(folder, "f" * 64)
    media.parent.mkdir(parents=True)
    film.rename(media)
    clips, length_s = (3, 2.0) if quick else (10, 3.0)
    subjects = [replace(subject(n), digest="f" * 64, start_s=n * length_s / 2, end_s=n * length_s / 2 + length_s) for n in range(clips)]

    async def show() -> float:
        shower = Shower(folder, folder / "run", 1)
        await shower.parts_of(replace(subjects[0], end_s=1.0), {}, "warm")
        begun_s = time.perf_counter()
        for one in subjects:
            await shower.parts_of(one, {}, "what is shown")
        took_s = time.perf_counter() - begun_s
        await shower.close()
        return took_s

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took_s = asyncio.run(show())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    control = f"n = {clips} windows of {length_s:g} s of a {'360p' if quick else '720p'} film; {cpu_s:.1f} s CPU with the start of the process that shows"
    return [judged("16 frames of a clip, 448 pixels, one process", 1000 * took_s / clips, "ms a clip", None, control)]


def starts(folder: Path) -> list[Row]:
    """Return what a worker's start costs, locally and through Ray."""
    n = 4
    found = {"local": started(folder / "local", n, lambda: LocalExecutor(1))}
    if importlib.util.find_spec("ray") is not None:
        found["Ray"] = started(folder / "ray", n, lambda: RayExecutor(1))
    return [
        judged(f"a shard's worker from start to end, {name}", each_s, "s a shard", None, f"n = {n} shards of one text; the executor itself took {own_s:.1f} s")
        for name, (each_s, own_s) in found.items()
    ]


def started(folder: Path, n: int, make: object) -> tuple[float, float]:
    """Return seconds a shard, and seconds to start and close the executor."""
    directory = order(folder, n, shards=n)
    begun_s = time.perf_counter()
    executor: Executor = make()  # type: ignore[operator]
    made_s = time.perf_counter()
    drive(directory, executor, lambda: None)
    done_s = time.perf_counter()
    executor.close()
    return (done_s - made_s) / n, made_s - begun_s + time.perf_counter() - done_s


if __name__ == "__main__":
    main(measure, __doc__ or "")
