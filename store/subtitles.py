"""Subtitle files as cues in time order: SRT, WebVTT and TVQA's JSON, in any usual encoding; and which cues each window hears.

The reading is ours, because the readers on the registry are too kind. pysubs2 1.8.1, the best of them, puts a cue with a broken
time, a WebVTT comment and the name of the next cue into the text of the cue before, reads -00:00:01 as 1 s and 100:00:00 as 0 s,
and takes a last line "42" for a number. Here whatever is left out is told with its line. On sound files both agree; the tests
hold us to that.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from store.encodings import GUESSED, read_text
from store.errors import InputError, NotFoundError

SUFFIXES = (".srt", ".vtt")  # one clip a file
JSON_SUFFIXES = (".json", ".jsonl")  # TVQA's: many clips a file
LONGEST_TEXT = 100_000  # characters

# Neither reaches over a second opening sign, so that no text makes them slow.
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d\d:[\d:.]+>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?[ \t]([^<>]+)>")
_CLOCK = re.compile(r"(-?)(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d(?:[.,]\d{1,9})?)")
_WEBVTT_HEADS = ("WEBVTT", "NOTE", "STYLE", "REGION")

_Lines = list[tuple[int, str]]  # a line of the file and its number


@dataclass(frozen=True)
class Cue:
    """A spoken line on the clock of its file, start_s < end_s, and the line of the file where its times stand."""

    start_s: float
    end_s: float
    text: str
    line: int = 0  # 0: it stands in no file of lines


class Timed(Protocol):
    """What lasts from one time to another."""

    @property
    def start_s(self) -> float:
        """Return when it begins."""

    @property
    def end_s(self) -> float:
        """Return when it ends."""


T = TypeVar("T", bound=Timed)


@dataclass(frozen=True)
class Problem:
    """Something of a subtitle file that is no cue: the line where it stands (from 1), and why, as a sentence."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.reason}"


@dataclass(frozen=True)
class SubtitleFile:
    """The cues of one clip in time order, what was left out, and the encoding that the file was read in."""

    cues: tuple[Cue, ...]
    problems: tuple[Problem, ...] = ()
    encoding: str = "utf-8"

    @property
    def is_guessed(self) -> bool:
        """Return whether the encoding is a guess: the file is in an old one, which nothing in it names."""
        return self.encoding in GUESSED


def read_subtitles(path: Path | str, clip: str | None = None) -> SubtitleFile:
    """Return the cues of a subtitle file: SRT, WebVTT, or TVQA's JSON, told by content and extension.

    Tags are taken out, a WebVTT speaker stays ("Mary: Hello"), a cue without words is passed over. clip: the one that is wanted
    of a JSON file with many. Memory: the whole file.

    Raises NotFoundError when there is no file or `clip` is not in it; InputError when it cannot be read or is of another format.
    """
    path = Path(path)
    if path.suffix.lower() in JSON_SUFFIXES:
        clips = read_tvqa_subtitles(path)
        if clip is None and len(clips) == 1:
            return next(iter(clips.values()))
        if clip is None:
            raise InputError(f"{path.name} holds the subtitles of {len(clips):,} clips: say of which one they are wanted.")
        if clip not in clips:
            raise NotFoundError(f"{path.name} has no clip {clip!r} among its {len(clips):,}: check the name.")
        return clips[clip]
    text, encoding = read_text(path)
    if text.lstrip().startswith("[Script Info]"):
        raise InputError(f"{path.name} is in ASS/SSA format, which is not read: convert it to .srt, as `ffmpeg -i` does.")
    cues, problems = _cues_of(text, is_webvtt=text.startswith("WEBVTT") or path.suffix.lower() == ".vtt")
    return SubtitleFile(in_order(cues), tuple(problems), encoding)


def read_tvqa_subtitles(path: Path | str) -> dict[str, SubtitleFile]:
    """Return the subtitles by clip of TVQA's preprocessed file: {"vid_name", "sub": [{"start", "end", "text"}]} a line, or an array.

    Start and end in seconds of the clip. The line of a cue and of a problem is that of its clip; in an array, its place from 1.
    A clip that comes again is a problem of its first. Memory: the whole file (TVQA's own has 21,793 clips).

    Raises NotFoundError when there is no file, InputError when it is not in this form.
    """
    path = Path(path)
    text, encoding = read_text(path)
    clips: dict[str, SubtitleFile] = {}
    for line, row in _json_rows(path.name, text):
        name, spoken = row.get("vid_name"), row.get("sub")
        if not isinstance(name, str) or not isinstance(spoken, list):
            raise InputError(f"{path.name}, line {line}, has no vid_name and sub as TVQA's preprocessed subtitles have: give that file or the .srt files.")
        cues, problems = _tvqa_cues(line, spoken)
        if name in clips:
            again = Problem(line, f"{name} stands in the file twice; these {len(spoken)} lines were left out.")
            clips[name] = replace(clips[name], problems=(*clips[name].problems, again))
        else:
            clips[name] = SubtitleFile(in_order(cues), tuple(problems), encoding)
    return clips


def align(cues: Sequence[T], windows: Sequence[tuple[float, float]]) -> list[tuple[T, ...]]:
    """Return for each window (start_s, end_s) the cues, or other spans, that share more than a moment with it, in time order.

    By true time: max(starts) < min(ends); a long cue is heard in several windows. Windows may overlap and come in any order.
    Cost: one pass over both, sorted, and what overlaps.
    """
    spoken = sorted(cues, key=lambda cue: cue.start_s)
    heard: list[tuple[T, ...]] = [()] * len(windows)
    waiting, running = 0, list[T]()
    for place in sorted(range(len(windows)), key=lambda place: windows[place][0]):
        start_s, end_s = windows[place]
        while waiting < len(spoken) and spoken[waiting].start_s < end_s:
            running.append(spoken[waiting])
            waiting += 1
        running = [cue for cue in running if cue.end_s > start_s]  # no later window starts earlier
        heard[place] = tuple(cue for cue in running if max(cue.start_s, start_s) < min(cue.end_s, end_s))
    return heard


def plain_text(text: str) -> str:
    """Return a cue's text without tags and entities; a WebVTT voice becomes "Mary: "."""
    return html.unescape(_TAG.sub("", _VOICE.sub(lambda voice: f"{voice[1].strip()}: ", text))).strip()


# ---- SRT and WebVTT ------------------------------------------------------------------------------------------------


def _cues_of(text: str, *, is_webvtt: bool) -> tuple[list[Cue], list[Problem]]:
    found: list[tuple[Cue, list[str]]] = []  # times, and the words line by line
    problems: list[Problem] = []
    is_open = False  # whether text behind an empty line belongs to the cue before
    for block in _blocks(text):
        place = next((place for place, (_, words) in enumerate(block) if "-->" in words), len(block))
        before, times, said = block[:place], block[place : place + 1], [words for _, words in block[place + 1 :]]
        if times and before and (is_webvtt or _is_number(before[-1])):
            before = before[:-1]  # the cue's name or number
        if is_open and not is_webvtt and _goes_on(before):
            found[-1][1].extend(words for _, words in before)
        elif before and not _says_nothing(before, is_webvtt=is_webvtt):
            is_open = False
            problems.append(Problem(before[0][0], f"{_shown(before[0][1])} has no line of times before it, as in 00:00:01,000 --> 00:00:02,500."))
        for line, words in times:
            span = _times(words)
            if is_open := not isinstance(span, str):
                found.append((Cue(*span, "", line), said))
            else:
                problems.append(Problem(line, span))
    cues = kept((replace(cue, text=plain_text("\n".join(said))) for cue, said in found), problems)
    return cues, sorted(problems, key=lambda problem: problem.line)


def _blocks(text: str) -> Iterator[_Lines]:
    """Yield the runs of lines between empty ones; a second line of times begins a new run, with the number before it."""
    block: _Lines = []
    has_times = False
    for number, words in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if not words.strip():
            if block:
                yield block
            block, has_times = [], False
            continue
        if "-->" in words:
            if has_times:
                own = [block.pop()] if _is_number(block[-1]) else []
                yield block
                block = own
            has_times = True
        block.append((number, words))
    if block:
        yield block


def _times(words: str) -> tuple[float, float] | str:
    """Return start and end in seconds of a line of times, or a sentence that says what is wrong."""
    start, _, rest = words.partition("-->")
    # WebVTT puts the cue's place on the screen behind its end.
    end = (rest.split() or [""])[0]
    return checked_times(_seconds(start), _seconds(end))


def checked_times(start_s: float | str, end_s: float | str) -> tuple[float, float] | str:
    """Return start and end in seconds, or a sentence that says why no cue can have them; a sentence given is handed on."""
    if isinstance(start_s, str) or isinstance(end_s, str):
        return start_s if isinstance(start_s, str) else str(end_s)
    if not 0 <= start_s < end_s < float("inf"):
        return f"The cue goes from {start_s:g} s to {end_s:g} s; times are 0 or more and the end comes after the start."
    return start_s, end_s


def _seconds(words: str) -> float | str:
    match = _CLOCK.fullmatch(words.strip())
    if match is None:
        return f"{_shown(words.strip())} is no time as HH:MM:SS,mmm."
    sign, hours, minutes, rest = match.groups()
    # Rounded, so that 1:22.764 is the number 82.764 and not one beside it.
    return round(float(f"{sign}1") * (int(hours or 0) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))), 9)


def _goes_on(block: _Lines) -> bool:
    """Return whether lines without times are words that go on behind an empty line, as SRT files have them; a numbered or timed cue is not."""
    return bool(block) and not _is_number(block[0]) and not any(_CLOCK.search(words) for _, words in block)


def _says_nothing(block: _Lines, *, is_webvtt: bool) -> bool:
    """Return whether lines without times are no text: a comment or a style of WebVTT, or a number of its own."""
    return block[0][1].startswith(_WEBVTT_HEADS) if is_webvtt else len(block) == 1 and _is_number(block[0])


def _is_number(line: tuple[int, str]) -> bool:
    return line[1].strip().isdecimal()


def kept(cues: Iterable[Cue], problems: list[Problem]) -> list[Cue]:
    """Return the cues without those that say nothing; one with a text that cannot be stored becomes a problem."""
    spoken = []
    for cue in cues:
        said = cue.text
        if "\0" in said or any("\ud800" <= character <= "\udfff" for character in said):
            problems.append(Problem(cue.line, "The text holds a NUL or half of a surrogate pair, which no UTF-8 text may hold."))
        elif len(said) > LONGEST_TEXT:
            problems.append(Problem(cue.line, f"The text has {len(said):,} characters; {LONGEST_TEXT:,} is the most."))
        elif said:
            spoken.append(cue)
    return spoken


def in_order(cues: Iterable[Cue]) -> tuple[Cue, ...]:
    """Return the cues by start, then end; those at the same time as they came."""
    return tuple(sorted(cues, key=lambda cue: (cue.start_s, cue.end_s)))


# ---- TVQA's JSON ---------------------------------------------------------------------------------------------------


def _json_rows(name: str, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the objects of JSON lines or of an array, each with its number."""
    try:
        if text.lstrip().startswith("["):
            rows = list(enumerate(json.loads(text), start=1))
        else:
            rows = [(line, json.loads(row)) for line, row in enumerate(text.split("\n"), start=1) if row.strip()]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON, one object a line or an array of them ({error}): copy it again.") from error
    for line, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{name}, line {line}, is {_shown(str(row))} and no JSON object: give TVQA's preprocessed subtitles.")
        yield line, row


def _tvqa_cues(line: int, spoken: Iterable[Any]) -> tuple[list[Cue], list[Problem]]:
    cues: list[Cue] = []
    problems: list[Problem] = []
    for place, one in enumerate(spoken, start=1):
        fields = [one.get(name) for name in ("start", "end", "text")] if isinstance(one, dict) else [None]
        match fields:
            case [int() | float() as start, int() | float() as end, str(text)]:
                times = checked_times(float(start), float(end))
            case _:
                times, text = f"{_shown(json.dumps(one))} lacks a start and an end in seconds, or a text.", ""
        if isinstance(times, str):
            problems.append(Problem(line, f"Subtitle {place}: {times}"))
        else:
            cues.append(Cue(*times, plain_text(text), line))
    return kept(cues, problems), problems


def _shown(words: str) -> str:
    told = repr(words)
    return told if len(told) <= 60 else told[:57] + "..."
