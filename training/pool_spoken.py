"""What is said in a film that is pooled, and what lets one doubt it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.embedded_subtitles import embedded_subtitles
from store.errors import InputError
from store.subtitles import JSON_SUFFIXES, SUFFIXES, Cue, read_subtitles


@dataclass(frozen=True)
class Spoken:
    """The lines of a film in time order, on its clock; as sentences what was left out or is in doubt; the encoding of their file."""

    cues: tuple[Cue, ...] = ()
    problems: tuple[str, ...] = ()
    encoding: str | None = None


def spoken_in(path: Path, film: str, end_s: float) -> Spoken:
    """Return what a subtitle file says of a film, or the first text stream of a video.

    film: its name in a file of TVQA with many. end_s: where the film ends; lines behind it stay and are doubted.
    Raises NotFoundError when there is no file or `film` is not in it, InputError when it holds no subtitles that can be read as text.
    """
    spoken = _of_file(path, film) if path.suffix.lower() in SUFFIXES + JSON_SUFFIXES else _of_video(path)
    return Spoken(spoken.cues, (*_doubts(spoken.cues, end_s), *spoken.problems), spoken.encoding)


def _of_file(path: Path, film: str) -> Spoken:
    file = read_subtitles(path, film if path.suffix.lower() in JSON_SUFFIXES else None)
    guess = (f"Read as {file.encoding}, as it is not UTF-8: look whether accents are right.",) if file.is_guessed else ()
    return Spoken(file.cues, (*guess, *map(str, file.problems)), file.encoding)


def _of_video(path: Path) -> Spoken:
    try:
        streams = embedded_subtitles(path)
    except InputError as error:
        raise InputError(f"{path.name} is no subtitle file by its name ({', '.join(SUFFIXES + JSON_SUFFIXES)}), and as a video: {error}") from error
    texts = [stream for stream in streams if stream.reason is None]
    if not texts:
        reasons = " ".join(str(stream.reason) for stream in streams) or "It has no subtitle stream."
        raise InputError(f"{path.name} holds no subtitles that are read as text. {reasons}")
    first = texts[0]
    choice = f"Read its text stream {first.number} ({first.language or 'no language told'}), the first of {len(texts)}."
    return Spoken(first.cues, (*((choice,) if len(texts) > 1 else ()), *map(str, first.problems)), "utf-8")


def _doubts(cues: Sequence[Cue], end_s: float) -> Iterator[str]:
    """Yield what lets one doubt that these are the film's lines."""
    if not cues:
        yield "No spoken line was found in it: look whether it is the right file."
    behind = sum(cue.start_s >= end_s for cue in cues)
    if behind:
        yield f"{behind} of its {len(cues)} lines begin after the film's end at {end_s:.3f} s: look whether it is this film's."
