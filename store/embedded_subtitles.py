"""Subtitles inside a video file: each stream's cues on the clip's clock, or why it has none."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from store.subtitles import Cue, Problem, checked_times, in_order, kept, plain_text
from store.video import demuxed, opened, streams

if TYPE_CHECKING:
    import av

_ASS_TEXT = 8  # the ninth field; the fourth is who speaks
_ASS_SPEAKER = 3
_ASS_SHAPE = re.compile(r"\{[^{}]*\\p[1-9]")  # what follows is a drawing


@dataclass(frozen=True)
class EmbeddedStream:
    """A subtitle stream of a file: its cues in time order on the clip's clock, or the reason why there are none."""

    number: int  # among all streams of the file, as FFmpeg counts
    codec: str
    language: str | None  # as the file says, mostly three letters: "eng"
    title: str | None
    cues: tuple[Cue, ...] = ()  # `line` is the number of the packet in the stream
    problems: tuple[Problem, ...] = ()
    reason: str | None = None  # a sentence, where the stream is not read


class _Packet(NamedTuple):
    begin_s: float | None
    lasts_s: float | None
    content: bytes


def embedded_subtitles(path: Path | str) -> tuple[EmbeddedStream, ...]:
    """Return the subtitle streams of a video in the file's order: MP4's timed text, SubRip, WebVTT and ASS as words.

    Bitmap subtitles (DVD, Blu-ray, DVB) are pictures of words; the reason of their stream says so. Cost: reading the file twice,
    or only its header when it has no such stream; nothing is decoded, as the packets of these formats hold the words as they are.

    Raises NotFoundError when there is no file, InputError when it is no video.
    """
    with streams(Path(path)) as (container, _):
        if not container.streams.subtitles:
            return ()
    with opened(path) as video:
        start_s = video.index.start_s
    with streams(Path(path)) as (container, _):
        packets: dict[int, list[_Packet]] = {stream.index: [] for stream in container.streams.subtitles}
        for packet in demuxed(container, *container.streams.subtitles) if packets else ():
            tick_s = packet.time_base or 0
            begin_s = None if packet.pts is None else float(packet.pts * tick_s) - start_s
            packets[packet.stream_index].append(_Packet(begin_s, float(packet.duration * tick_s) if packet.duration else None, bytes(packet)))
        return tuple(_stream_of(stream, packets[stream.index]) for stream in container.streams.subtitles)


def _stream_of(stream: "av.subtitles.stream.SubtitleStream", packets: list[_Packet]) -> EmbeddedStream:
    codec = stream.codec_context.codec if stream.codec_context else None
    name = codec.canonical_name if codec else "unknown"
    cues: list[Cue] = []
    problems: list[Problem] = []
    reason = None
    if name in _WORDS:
        for number, packet in enumerate(packets, start=1):
            _take(packet, number, _WORDS[name], cues, problems)
    elif codec and codec.bitmap_sub:
        reason = f"These subtitles are pictures ({name}), which are not read as text: give them as a .srt file."
    else:
        reason = f"These subtitles are in the format {name}, which is not read: give them as a .srt file."
    title = stream.metadata.get("title") or stream.metadata.get("name")
    spoken = in_order(kept(cues, problems))
    return EmbeddedStream(stream.index, name, stream.language, title, spoken, tuple(problems), reason)


def _take(packet: _Packet, number: int, words_of: Callable[[bytes], str], cues: list[Cue], problems: list[Problem]) -> None:
    """Add a packet to the cues, or to the problems; one without words to neither."""
    try:
        words = words_of(packet.content)
    except (UnicodeDecodeError, IndexError):
        problems.append(Problem(number, "The subtitle is not text in UTF-8, as its format asks for."))
        return
    if not words:
        return
    if packet.begin_s is None or packet.lasts_s is None:
        problems.append(Problem(number, "The file does not say when the subtitle begins and ends."))
        return
    # A line may begin before the first picture does: it is heard from the clip's start.
    end_s = round(packet.begin_s + packet.lasts_s, 6)
    times = checked_times(round(max(packet.begin_s, min(0.0, end_s)), 6), end_s)
    if isinstance(times, str):
        problems.append(Problem(number, times))
    else:
        cues.append(Cue(*times, words, number))


def _tagged(content: bytes) -> str:
    return plain_text(content.decode())


def _timed_text(content: bytes) -> str:
    """Return the words of MP4's timed text: their length in two bytes, then they; styles follow (3GPP TS 26.245, 5.17)."""
    said = content[2 : 2 + int.from_bytes(content[:2], "big")]
    return said.decode("utf-16" if said[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8").strip()


def _ass(content: bytes) -> str:
    """Return the words of a line of ASS as Matroska keeps it: ReadOrder, Layer, Style, Name, three margins, Effect, Text."""
    fields = content.decode().split(",", _ASS_TEXT)
    text, speaker = fields[_ASS_TEXT], fields[_ASS_SPEAKER].strip()
    if _ASS_SHAPE.search(text):
        return ""
    said = re.sub(r"\{[^{}]*\}", "", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ").strip()
    return f"{speaker}: {said}" if speaker and said else said


_WORDS: dict[str, Callable[[bytes], str]] = {
    "subrip": _tagged,
    "srt": _tagged,
    "webvtt": _tagged,
    "text": lambda content: content.decode().strip(),
    "mov_text": _timed_text,
    "ass": _ass,
    "ssa": _ass,
}
