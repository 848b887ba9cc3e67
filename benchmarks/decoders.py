"""Right frames and CPU time of our reader, of decord, of plain PyAV and of the ffmpeg command, on the same clips."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import av
import numpy as np

from benchmarks.child import Outcome, in_child, in_turn, median_ratio
from benchmarks.films import FILM, FRAMES, RATE, make_films
from benchmarks.rows import Row, judged, main
from store.proxy import make_proxy
from tests.coded import CodedClip, coded_clips

ASKED, QUICK_ASKED = 120, 16  # frames of each clip
PEERS = {
    "decord": {"by batch": "decord_batch", "one by one": "decord_each", "by its own times": "decord_times", "by average rate": "decord_rate"},
    "PyAV": {"by seek and decode": "pyav_seek"},
    "ffmpeg -ss": {"at the frame's begin": "ffmpeg_begin", "amid it": "ffmpeg_amid"},
}
FEW = 8  # frames asked of `ffmpeg -ss`, a process each
FEW_SEEKS = 16  # a seek a frame takes 8 times the null decode for 60: most of the time of this benchmark
ROUNDS = 5
SIDE_PX = 448
DECORD_RELEASED = date(2021, 6, 14)  # 0.6.0, on PyPI


def measure(quick: bool) -> list[Row]:
    """Return right frames a kind of clip, then CPU time and memory; `quick` reads fewer frames of smaller films."""
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder tells of itself otherwise
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips, films = coded_clips(folder / "coded"), make_films(folder, quick)
        return [
            *right_frames(clips, QUICK_ASKED if quick else ASKED),
            *costs(films, quick),
            proxies(folder, [films[0], *(clip.path for clip in clips)]),
            *upkeep(),
        ]


# ---- right frames --------------------------------------------------------------------------------------------------


def right_frames(clips: Sequence[CodedClip], count: int) -> list[Row]:
    """Return the wrong frames of ours for each kind of clip, with the peers' right ones, and the sum."""
    rows = [_of_kind(clip, count) for clip in clips]
    asked = len(rows) * count
    wrong = sum(row.value or 0 for row in rows)
    control = "the peers' right frames stand in the rows above"
    return [*rows, judged(f"wrong frames of ours, all kinds: of {asked:,}", wrong, "frames", "== 0", control)]


def _of_kind(clip: CodedClip, count: int) -> Row:
    picked = np.random.default_rng(0).permutation(len(clip.times_s))[:count]
    own = _right(clip, "ours", picked)
    assert own is not None, f"our reader fails on {clip.kind}"
    told = "; ".join(f"{peer} {_told(clip, ways, picked)}" for peer, ways in PEERS.items())
    return judged(f"wrong frames of ours, {clip.kind}: of {count}", round((1 - own) * count), "frames", "== 0", f"right: {told}")


def _told(clip: CodedClip, ways: Mapping[str, str], picked: np.ndarray) -> str:
    shares = {way: _right(clip, reader, picked) for way, reader in ways.items()}
    return ", ".join(f"{way} fails" if share is None else f"{100 * share:.0f} % {way}" for way, share in shares.items())


def _right(clip: CodedClip, reader: str, picked: np.ndarray) -> float | None:
    """Return the share of the picked frames that a reader gives; None when it fails."""
    if reader.startswith("ffmpeg"):
        picked = picked[: min(FEW, len(picked) // 4)]
    asked = (picked.tolist(), clip.times_s[picked].tolist(), clip.middles_s[picked].tolist())
    outcome = in_child("benchmarks.readers:numbers_read", reader, str(clip.path), clip.quarter_turns, *asked)
    if outcome.failure or len(outcome.result) != len(picked):
        return None
    return float(np.mean(np.array(outcome.result) == clip.numbers[picked]))


# ---- cost ----------------------------------------------------------------------------------------------------------


def costs(films: tuple[Path, Path], quick: bool) -> list[Row]:
    """Return CPU time as a multiple of `ffmpeg -threads 1 -f null` on the same file, and memory."""
    film, short_groups = films
    frames = FRAMES // 5 if quick else FRAMES
    size = (160, 90) if quick else (SIDE_PX, SIDE_PX * 720 // 1280)
    few, many = _uniform(frames, 16), np.sort(np.append(_uniform(frames, 59), frames // 3 + 1))
    named = f"of {frames} frames at {size[0]} px"
    return [
        *_compared(film, f"16 {named}", _asked(few, size), "<= 0.7", quick),
        *_compared(short_groups, f"16 {named}, a key frame each second", _asked(few, size), "<= 0.35", quick),
        *_compared(film, f"59 + key frame {named}", _asked(many, size), "<= 1", quick),
    ]


def _uniform(frames: int, count: int) -> np.ndarray:
    """Return the frames on display at the middle of `count` equal parts."""
    return ((np.arange(count) + 0.5) * frames / count).astype(int)


def _asked(numbers: np.ndarray, size: tuple[int, int]) -> Sequence[Sequence[float]]:
    return numbers.tolist(), (numbers / RATE).tolist(), ((numbers + 0.5) / RATE).tolist(), size


def _compared(film: Path, name: str, asked: Sequence[Sequence[float]], goal: str | None, quick: bool) -> list[Row]:
    readers = {"decord": "decord_batch", "ffmpeg's select": "ffmpeg_select", "PyAV, all frames": "pyav_through", "PyAV, a seek a frame": "pyav_seek"}
    if len(asked[0]) > FEW_SEEKS:
        del readers["PyAV, a seek a frame"]
    things: dict[str, tuple[object, ...]] = {"null": ("benchmarks.films:decode_to_null", str(film))}
    things |= {reader: ("benchmarks.readers:count_read", reader, str(film), *asked) for reader in ("ours", *readers.values())}
    done = in_turn(things, 1 if quick else ROUNDS)
    assert done["ours"][0].failure is None, done["ours"][0].failure
    own = median_ratio(done["ours"], done["null"])
    peers = ", ".join(f"{peer} {_times(median_ratio(done[reader], done['null']))}" for peer, reader in readers.items())
    memory = ", ".join(f"{peer} {_grown(done[reader])}" for peer, reader in readers.items())
    floor_s = np.median([one.cpu_s for one in done["null"]])
    return [
        judged(f"{name}: CPU time over the null decode's", own, "x", goal, f"{peers}; the null decode {floor_s:.2f} s; {FILM}"),
        judged(f"{name}: memory beside the imports", _grown_mib(done["ours"]), "MiB", None, memory),
    ]


def _times(ratio: float | None) -> str:
    return "fails" if ratio is None else f"{ratio:.2f} x"


def _grown_mib(outcomes: list[Outcome]) -> float | None:
    return None if any(one.failure for one in outcomes) else float(np.median([one.grown_mib for one in outcomes]))


def _grown(outcomes: list[Outcome]) -> str:
    grown = _grown_mib(outcomes)
    return "fails" if grown is None else f"{grown:.0f} MiB"


def proxies(folder: Path, sources: Sequence[Path]) -> Row:
    """Return the longest stretch that must be decoded for a frame of a proxy, over all kinds of sources."""
    made = []
    for source in sources:
        made.append(folder / f"proxy of {source.stem}.mp4")
        make_proxy(source, made[-1])
    longest_s = max(_longest_group_s(path) for path in made)
    control = f"in the film they are made from {_longest_group_s(sources[0]):.2f} s"
    return judged(f"from a key frame to the last frame before the next, the longest of {len(made)} proxies", longest_s, "s", "<= 1", control)


def _longest_group_s(path: Path) -> float:
    """Return the longest time from the begin of a key frame to the begin of the last frame that rests on it."""
    with av.open(str(path)) as film:
        shown = sorted((float(packet.pts * packet.time_base), packet.is_keyframe) for packet in film.demux(video=0) if packet.size)
    longest_s = key_s = 0.0
    for time_s, is_key in shown:
        key_s = time_s if is_key else key_s
        longest_s = max(longest_s, time_s - key_s)
    return longest_s


# ---- upkeep --------------------------------------------------------------------------------------------------------


def upkeep() -> list[Row]:
    """Return the age of decord's last release, with what the FFmpeg in its wheel says of its licence."""
    wheel = in_child("benchmarks.readers:wheel_of_decord")
    years = (date.today() - DECORD_RELEASED).days / 365.25
    told = f"libavcodec {wheel.result['avcodec']} in its wheel calls its licence '{wheel.result['licence']}'" if wheel.result else f"no wheel: {wheel.failure}"
    return [judged("since the last release of decord (0.6.0, 2021-06-14)", round(years, 1), "years", None, told)]


if __name__ == "__main__":
    main(measure, __doc__ or "")
