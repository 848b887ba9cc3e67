"""SRT and WebVTT files in a folder, as the spoken lines of the clips whose names they bear."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from curation.datasets.drafts import ClipDraft, Rejection, Row, SubtitleDraft
from curation.datasets.sources import read_text
from curation.datasets.subtitles import SUFFIXES, Cue, on_clip, read_cues
from store.errors import InputError


def subtitle_rows(folder: Path, clips: Iterable[ClipDraft]) -> Iterator[Row]:
    """Yield the lines of the clips that have a file in `folder`, named like the clip or its video; each file is read once.

    A broken line, or a file that cannot be read as UTF-8, is a row without drafts. Raises InputError when `folder` is no folder.
    """
    named = _subtitle_files(folder)
    wanted: dict[Path, list[ClipDraft]] = {}
    for clip in clips:
        path = next((named[name] for name in (clip.id, Path(clip.video).name, Path(clip.video).stem) if name in named), None)
        if path is not None:
            wanted.setdefault(path, []).append(clip)
    for path, its_clips in wanted.items():
        yield from _rows(path, its_clips)


def _subtitle_files(folder: Path) -> dict[str, Path]:
    """Return the subtitle files by name without extension, and without a language behind it: film.en.srt is of film."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give the folder that holds the .srt and .vtt files.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    named: dict[str, Path] = {}
    for path in paths:
        named.setdefault(path.stem, path)
    for path in paths:
        named.setdefault(Path(path.stem).stem, path)
    return named


def _rows(path: Path, clips: list[ClipDraft]) -> Iterator[Row]:
    try:
        cues = list(read_cues(read_text(path)))
    except InputError as error:
        yield Row(path.name, 1, "subtitle", rejections=(Rejection(path.name, 1, "file", str(error)),))
        return
    for broken in (cue for cue in cues if isinstance(cue, Rejection)):
        yield Row(path.name, broken.line, "subtitle", rejections=(broken,))
    spoken = [cue for cue in cues if isinstance(cue, Cue)]
    for clip in clips:
        for cue in on_clip(spoken, clip.start_s, clip.end_s):
            draft = SubtitleDraft(clip.dataset, clip.id, cue.start_s, cue.end_s, cue.text)
            yield Row(path.name, cue.line, "subtitle", (draft,))
