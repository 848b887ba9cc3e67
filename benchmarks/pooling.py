"""What it costs to pool a whole film by all four methods: CPU time against the decode alone and against a pass a method, and memory."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.child import in_child, in_turn, median_ratio
from benchmarks.films import FILM, FRAMES, make_films, make_long
from benchmarks.rows import Row, judged, main

SIDE_PX = 448
ROUNDS = 5
HOUR_S, SHORT_S = 3600, 300
OURS = ("one_pass", "planes", "pass_a_method", "reading_alone")
PEERS = {"decord": "decord_numpy", "plain PyAV": "pyav_numpy", "a pipe from ffmpeg": "ffmpeg_numpy"}  # and numpy


def measure(quick: bool) -> list[Row]:
    """Return the cost of a full pass, then the memory of a long film; `quick` takes smaller and shorter films."""
    with tempfile.TemporaryDirectory() as folder:
        return [*full_pass(Path(folder), quick), *memory(Path(folder), quick)]


def full_pass(folder: Path, quick: bool) -> list[Row]:
    """Return CPU time of the four poolings in windows of 1 s as a multiple of `ffmpeg -threads 1 -f null` on the same film."""
    film, _ = make_films(folder, quick)
    side_px = 160 if quick else SIDE_PX
    things: dict[str, tuple[object, ...]] = {"null": ("benchmarks.films:decode_to_null", str(film))}
    things |= {way: (f"benchmarks.poolers:{way}", str(film), side_px) for way in (*OURS, *PEERS.values())}
    done = in_turn(things, 1 if quick else ROUNDS)
    for way in OURS:
        assert done[way][0].failure is None, f"{way}: {done[way][0].failure}"
    ratio = {way: median_ratio(done[way], done["null"]) for way in done}
    told = {way: "fails" if found is None else f"{found:.2f} x" for way, found in ratio.items()}
    faster = median_ratio(done["pass_a_method"], done["one_pass"])
    grown = {way: max(one.grown_mib for one in done[way]) for way in ("one_pass", "planes")}
    apart = in_child("benchmarks.poolers:difference", str(film), side_px)
    assert apart.failure is None, apart.failure
    named = f"all four poolings of {FRAMES // 5 if quick else FRAMES} frames at {side_px} px, 1-s windows"
    floor_s = np.median([one.cpu_s for one in done["null"]])
    peers = ", ".join(f"{peer} and numpy {told[way]}" for peer, way in PEERS.items())
    reading = f"reading alone {told['reading_alone']}; {peers}"
    return [
        judged(f"{named}: CPU time over the null decode's", ratio["one_pass"], "x", "<= 1.6", f"{reading}; the null decode {floor_s:.2f} s; {FILM}"),
        judged(f"{named}, on planes: the same", ratio["planes"], "x", "<= 1.2", f"on pictures {told['one_pass']}"),
        judged("pictures of the mode on planes less those on pictures, mean", apart.result[0], "levels of 255", None, f"at most {apart.result[1]}"),
        judged("a pass a method over one pass for all", faster, "x", ">= 3", f"a pass a method {told['pass_a_method']} the null decode"),
        judged(f"{named}: memory beside the imports", grown["one_pass"], "MiB", None, f"on planes {grown['planes']:.0f} MiB"),
    ]


def memory(folder: Path, quick: bool) -> list[Row]:
    """Return how much more memory the pooling of a long film takes than that of a short one."""
    long_s, short_s = (SHORT_S, SHORT_S // 5) if quick else (HOUR_S, SHORT_S)
    held = {seconds: in_child("benchmarks.poolers:one_pass", str(make_long(folder / f"{seconds}.mp4", seconds)), 64) for seconds in (long_s, short_s)}
    for outcome in held.values():
        assert outcome.failure is None, outcome.failure
    more = held[long_s].grown_mib - held[short_s].grown_mib
    pictures_mib = held[long_s].result * 64 * 48 * 3 / 2**20
    control = f"{held[long_s].grown_mib:.0f} MiB in all; its {held[long_s].result:,} pictures held as a list would be {pictures_mib:.0f} MiB more"
    return [judged(f"memory of pooling {long_s // 60} minutes less that of {short_s // 60}, 64 x 48", more, "MiB", "<= 16", control)]


if __name__ == "__main__":
    main(measure, __doc__ or "")
