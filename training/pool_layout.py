"""POVQA's folder of a pooled film as values: names of files, the lines with their pictures, the summary. Pure.

    <out>/<film>/<method>/frame00001.jpg            one picture a window, from 1
                 KEY_FRAMES/KEY_00-08-32_0000.jpg   time and number of the question
                 metadata_text_centric_<method>.json
                 run_summary.json

as movie_processing.py of POVQA (arXiv 2510.01009) writes it and its training and evaluation read it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.errors import InputError
from store.subtitles import Cue, align

FOLDERS = {
    "WA": "weighted_average",
    "WAE": "weighted_average_exponential",
    "WAR": "weighted_average_ramp",
    "BBLF": "blend_blur_with_last_frame",
}
KEY_FOLDER = "KEY_FRAMES"
_LEAST_GAP_S = 1e-3
_TIME = re.compile(r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:\.\d{1,6})?)")


@dataclass(frozen=True)
class Chunk:
    """A window of the film, on the clip's clock, and what its pictures are made of."""

    number: int  # of its pictures, from 1
    start_s: float
    end_s: float
    frames: int  # in its pictures; 0: nothing sound was on display, and there is no picture
    first_frame: int  # of the film, from 1
    last_frame: int
    damaged: int  # frames that were left out because they rest on damage
    is_cut: bool


@dataclass(frozen=True)
class KeyFrame:
    """A moment to be kept as a picture of its own, and the name of its file without an ending."""

    time_s: float
    name: str


def key_frame(time: str, number: int) -> KeyFrame:
    """Return the key frame at "HH:MM:SS", "MM:SS" or seconds. Raises InputError when it is no such time."""
    told = time.strip()
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", told):
        whole, _, rest = told.partition(".")
        told = f"{int(whole) // 3600:02}:{int(whole) // 60 % 60:02}:{int(whole) % 60:02}" + (f".{rest}" if rest else "")
    match = _TIME.fullmatch(told)
    if match is None:
        raise InputError(f"{time[:60]!r} is no time of a key frame: give HH:MM:SS or seconds.")
    hours, minutes, seconds = match.groups()
    return KeyFrame(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds), f"KEY_{told.replace(':', '-')}_{number:04d}")


def annotated_key_frames(items: Any) -> tuple[KeyFrame, ...]:
    """Return the key frames of POVQA's annotations: a list of objects with `timestamp` and `index`.

    Raises InputError when they are not in this form; the sentence counts the items from 1.
    """
    if not isinstance(items, list):
        raise InputError("The annotations must be a JSON array of objects with timestamp and index.")
    found = []
    for place, item in enumerate(items, start=1):
        match item:
            case {"timestamp": str(time), "index": int(number)} if number >= 0 and not isinstance(number, bool):
                found.append(key_frame(time, number))
            case _:
                raise InputError(f"Item {place} of the annotations lacks a timestamp as HH:MM:SS or an index of 0 or more.")
    return tuple(found)


def metadata(chunks: Sequence[Chunk], cues: Iterable[Cue], suffix: str) -> list[dict[str, Any]]:
    """Return the lines in time order, and the silences between them as lines without text, each with the chunks that it overlaps.

    Seconds with 3 decimals. A silence that no chunk overlaps is left out, a spoken line never. suffix: of the pictures.
    """
    shown = [chunk for chunk in chunks if chunk.frames]
    segments = _segments(cues, shown[-1].end_s if shown else 0.0)
    hung = align(shown, [(start_s, end_s) for _, start_s, end_s in segments])
    return [
        {
            "text": text,
            "text_start_time_sec": round(start_s, 3),
            "text_end_time_sec": round(end_s, 3),
            "corresponding_chunks": [_chunk_entry(chunk, suffix) for chunk in its_chunks],
        }
        for (text, start_s, end_s), its_chunks in zip(segments, hung, strict=True)
        if text or its_chunks
    ]


def summary(settings: Mapping[str, Any], chunks: Sequence[Chunk], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return run_summary.json: POVQA's 17 keys in its order, and what only we know under `eyewitness`.

    settings: the keys that do not follow from the chunks. Keys of POVQA's other mode, windows of a fixed number of frames, are null.
    """
    shown = [chunk for chunk in chunks if chunk.frames]
    known = {
        "fps_mode": "seconds_window",
        "target_fps_arg": None,
        "chunk_size_arg": None,
        "skip_frames_between_chunks": 0,
        "total_chunks": len(shown),
    }
    counts = {
        "windows_without_picture": [chunk.number for chunk in chunks if not chunk.frames],
        "windows_with_damage": [chunk.number for chunk in chunks if chunk.damaged],
        "damaged_frames": sum(chunk.damaged for chunk in chunks),
        "windows_at_cuts": sum(chunk.is_cut for chunk in chunks),
    }
    given = {**known, **settings}
    return {key: given[key] for key in _SUMMARY_KEYS} | {"eyewitness": {**ours, **counts}}


_SUMMARY_KEYS = (
    "movie",
    "video_path",
    "fps_mode",
    "fps_used_or_native",
    "target_fps_arg",
    "chunk_size_arg",
    "chunk_seconds",
    "skip_frames_between_chunks",
    "resize_to",
    "avg_method",
    "total_chunks",
    "frames_processed",
    "has_subtitles",
    "key_frames_found",
    "key_frames_total_in_annotations",
    "annotation_file",
    "output_dir",
)


def _segments(cues: Iterable[Cue], end_s: float) -> list[tuple[str, float, float]]:
    """Return (text, start_s, end_s) of the lines and of the silences between them, the last one up to `end_s`."""
    segments = []
    reached_s = 0.0
    for cue in cues:
        if cue.start_s > reached_s + _LEAST_GAP_S:
            segments.append(("", reached_s, cue.start_s))
        segments.append((cue.text.replace("\n", " "), cue.start_s, cue.end_s))
        reached_s = max(reached_s, cue.end_s)
    if end_s > reached_s + _LEAST_GAP_S:
        segments.append(("", reached_s, end_s))
    return segments


def _chunk_entry(chunk: Chunk, suffix: str) -> dict[str, Any]:
    return {
        "image_file_range": f"sample{chunk.first_frame:05d}-sample{chunk.last_frame:05d}",
        "saved_chunk_filename": f"frame{chunk.number:05d}{suffix}",
        "chunk_start_time_sec": chunk.start_s,
        "chunk_end_time_sec": chunk.end_s,
    }
