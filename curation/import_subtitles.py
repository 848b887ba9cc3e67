"""The spoken lines of clips: from subtitle files in a folder that bear their names (SRT, WebVTT, TVQA's JSON), or from inside their video."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from curation.datasets.drafts import ClipDraft, Item, Notice, Rejection, Row, SubtitleDraft
from store.embedded_subtitles import EmbeddedStream, embedded_subtitles
from store.errors import InputError, UserError
from store.guard import GuardedWorker, limits_for
from store.subtitles import JSON_SUFFIXES, SUFFIXES, Cue, SubtitleFile, read_subtitles, read_tvqa_subtitles


def subtitle_rows(folder: Path, clips: Iterable[ClipDraft]) -> Iterator[Row]:
    """Yield the lines of the clips that have a file in `folder`, named like the clip or its video; each file is read once.

    TVQA's JSON (a name with "subtitles" in it) holds many clips by name; a file of a clip's own comes before it. Of several files
    that bear one name, as film.de.srt and film.en.srt do, the first is read and the others are told in a notice.
    A broken line, or a file that cannot be read, is a row without drafts. Raises InputError when `folder` is no folder.
    """
    clips = list(clips)
    named, many = _subtitle_files(folder)
    wanted: dict[tuple[Path, ...], list[ClipDraft]] = {}
    silent: list[ClipDraft] = []
    for clip in clips:
        paths = next((named[name] for name in _names(clip) if name in named), None)
        if paths is None:
            silent.append(clip)
        else:
            wanted.setdefault(tuple(paths), []).append(clip)
    for (path, *passed_over), its_clips in wanted.items():
        yield from _rows(path, its_clips, passed_over)
    for path in many if silent else []:
        yield from _rows_of_many(path, silent)


def embedded_rows(clips: Iterable[ClipDraft], files: Mapping[str, Path]) -> Iterator[Item]:
    """Yield the lines of each clip from the first text stream inside its video, which a child process reads.

    files: by the name of the video that clips ask for. Which stream was read, and which were not, is told in a notice; a broken line
    is a row without drafts. Cost: opening each file, and reading it twice where it has such a stream.
    """
    wanted: dict[str, list[ClipDraft]] = {}
    for clip in clips:
        if clip.video in files:
            wanted.setdefault(clip.video, []).append(clip)
    with GuardedWorker() as worker:
        for video, its_clips in wanted.items():
            path = files[video]
            try:
                streams = worker.call(embedded_subtitles, path, limits=limits_for(path.stat().st_size))
            except InputError as error:
                yield _refused(Path(video), 1, "subtitle stream", str(error).replace(path.name, video))
            else:
                yield from _rows_inside(Path(video), its_clips, streams)


def _rows_inside(video: Path, clips: Iterable[ClipDraft], streams: Sequence[EmbeddedStream]) -> Iterator[Item]:
    for stream in streams:
        if stream.reason is not None:
            yield Notice(video.name, 1, "subtitle stream", f"Stream {stream.number}: {stream.reason}")
    readable = [stream for stream in streams if stream.reason is None]
    for read in readable[:1]:
        yield Notice(video.name, 1, "subtitle stream", _taken(read, readable[1:]))
        for problem in read.problems:
            yield _refused(video, problem.line, "cue", problem.reason)
        for clip in clips:
            yield from _spoken(video, clip, on_clip(read.cues, clip.start_s, clip.end_s))


def _taken(read: EmbeddedStream, others: Sequence[EmbeddedStream]) -> str:
    taken = f"The spoken lines are those of stream {read.number} in the video ({read.language or 'no language named'})."
    if not others:
        return taken
    return f"{taken} Others are in stream {', '.join(str(other.number) for other in others)}: to take them, give them as a .srt file with --subtitles."


def on_clip(cues: Iterable[Cue], start_s: float, end_s: float | None) -> list[Cue]:
    """Return the cues that are heard in a clip, on the clip's clock and cut at its ends."""
    last_s = end_s if end_s is not None else float("inf")
    heard = (cue for cue in cues if cue.end_s > start_s and cue.start_s < last_s)
    return [Cue(max(cue.start_s - start_s, 0.0), min(cue.end_s, last_s) - start_s, cue.text, cue.line) for cue in heard]


def _names(clip: ClipDraft) -> tuple[str, str, str]:
    return clip.id, Path(clip.video).name, Path(clip.video).stem


def _subtitle_files(folder: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """Return the files of one clip by name without extension, else without a language behind it (film.en.srt is of film); and the files of many."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give the folder that holds the subtitle files (.srt, .vtt, or TVQA's .jsonl).")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    paths = [path for path in files if path.suffix.lower() in SUFFIXES]
    exact: dict[str, list[Path]] = {}
    shortened: dict[str, list[Path]] = {}
    for path in paths:
        exact.setdefault(path.stem, []).append(path)
        shortened.setdefault(Path(path.stem).stem, []).append(path)
    return shortened | exact, [path for path in files if path.suffix.lower() in JSON_SUFFIXES and "subtitles" in path.stem.lower()]


def _rows(path: Path, clips: Iterable[ClipDraft], passed_over: Sequence[Path]) -> Iterator[Row]:
    try:
        file = read_subtitles(path)
    except UserError as error:
        yield _refused(path, 1, "file", str(error))
        return
    yield from _refusals(path, file)
    rows = (row for clip in clips for row in _spoken(path, clip, on_clip(file.cues, clip.start_s, clip.end_s)))
    yield from _noticed(rows, [*_guess(path, file), *_others(path, passed_over)])


def _rows_of_many(path: Path, clips: Iterable[ClipDraft]) -> Iterator[Row]:
    """Yield the lines of the clips that stand in TVQA's file, which are on the clip's own clock already."""
    try:
        files = read_tvqa_subtitles(path)
    except UserError as error:
        yield _refused(path, 1, "file", str(error))
        return
    of_clips = [(clip, next((files[name] for name in _names(clip) if name in files), None)) for clip in clips]
    read = [(clip, file) for clip, file in of_clips if file is not None]
    for _, file in read:
        yield from _refusals(path, file)
    rows = (row for clip, file in read for row in _spoken(path, clip, file.cues))
    yield from _noticed(rows, _guess(path, read[0][1]) if read else [])


def _refusals(path: Path, file: SubtitleFile) -> Iterator[Row]:
    for problem in file.problems:
        yield _refused(path, problem.line, "cue", problem.reason)


def _spoken(path: Path, clip: ClipDraft, cues: Iterable[Cue]) -> Iterator[Row]:
    for cue in cues:
        yield Row(path.name, cue.line, "subtitle", (SubtitleDraft(clip.dataset, clip.id, cue.start_s, cue.end_s, cue.text),))


def _noticed(rows: Iterable[Row], notices: Sequence[Notice]) -> Iterator[Row]:
    """Yield the rows of a file; the first one bears the notices, so that each is told once and not with every line."""
    for number, row in enumerate(rows):
        yield row if number else replace(row, notices=tuple(notices))


def _guess(path: Path, file: SubtitleFile) -> list[Notice]:
    reason = f"The file names no encoding and is not UTF-8; it was read as {file.encoding}. If accents look wrong, save it as UTF-8 and import it anew."
    return [Notice(path.name, 1, "encoding", reason)] if file.is_guessed else []


def _others(path: Path, passed_over: Sequence[Path]) -> list[Notice]:
    names = ", ".join(other.name for other in passed_over)
    reason = f"{names} bears the same name and was not read. If it is the right one, take {path.name} out of the folder and import anew."
    return [Notice(path.name, 1, "file", reason)] if passed_over else []


def _refused(path: Path, line: int, field: str, reason: str) -> Row:
    return Row(path.name, line, "subtitle", rejections=(Rejection(path.name, line, field, reason),))
