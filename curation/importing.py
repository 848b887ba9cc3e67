"""One import: read all of it, take in its files, then put every row in within one transaction. Stopped half way, it leaves no row."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import sqlite_utils

from curation.datasets import FORMATS, Format, format_named, read_texts
from curation.datasets.checks import check_across
from curation.datasets.drafts import ClipDraft, Draft, Item, Notice, Row, SubtitleDraft
from curation.datasets.sources import Source, TextFile, read_text
from curation.import_media import MediaFound, find_media, give_all, state_of, take_in
from curation.import_records import Shelf, clip_id
from curation.import_rows import store_rows
from curation.import_subtitles import embedded_rows, subtitle_rows
from curation.import_summary import Summary, summary_of
from curation.proxies import start_proxy_maker
from curation.video_index import index_videos
from store.clips import add_import, get_clip, get_media, subtitles_of, waiting_clips
from store.database import open_store, transaction
from store.errors import InputError
from store.media_files import media_path
from store.records import Clip, ImportRecord
from store.rows import digest_id, utc_now

__all__ = ["FORMATS", "ImportRequest", "find_media", "run_import", "start_proxy_maker"]

Progress = Callable[[float, str], None]
# Shares of the whole, for the progress bar: decoding takes nearly all of it.
READ, MEDIA = 0.05, 0.85


@dataclass(frozen=True)
class ImportRequest:
    """What is to be imported, from where, into which data directory."""

    format: str
    file: Path
    data: Path
    videos: Path | None = None  # None: the clips wait for their files
    subtitles: Path | None = None
    candidates: Path | None = None
    intervals: Path | None = None
    dataset: str | None = None  # None: what the format says
    overlap: int = 2  # annotations wanted of each candidate; 0 queues none


@dataclass(frozen=True)
class Reading:
    """All that was read, before anything is kept."""

    file: TextFile
    items: tuple[Item, ...]
    spoken: tuple[Item, ...]

    @property
    def clips(self) -> tuple[ClipDraft, ...]:
        """Return each clip that the rows bring, once."""
        return tuple(dict.fromkeys(draft for draft in _drafts(self.items) if isinstance(draft, ClipDraft)))

    @property
    def silent(self) -> tuple[ClipDraft, ...]:
        """Return the clips without a spoken line."""
        drafts = (*_drafts(self.items), *_drafts(self.spoken))
        spoken = {(draft.dataset, draft.clip) for draft in drafts if isinstance(draft, SubtitleDraft)}
        return tuple(clip for clip in self.clips if (clip.dataset, clip.id) not in spoken)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the data sets that the rows name."""
        return tuple(dict.fromkeys(draft.dataset for draft in _drafts(self.items)))


def run_import(request: ImportRequest, progress: Progress = lambda share, text: None) -> Summary:
    """Import what is asked for and return what became of it; the same again adds nothing. Raises UserError when a file or folder cannot be used.

    Costs about 0.2 ms a row, and for each new video two readings, a copy and a probe.
    """
    if request.overlap < 0:
        raise InputError(f"The overlap is {request.overlap}; it is the number of annotations wanted of each text, 0 or more.")
    progress(0.0, f"Reading {request.file.name}")
    reading = read_all(request)
    index = index_videos(request.videos) if request.videos else None
    here = _files_here(request.data, reading)
    names = [clip.video for clip in reading.clips if clip.video not in here] + _waiting_names(request.data, reading.datasets)
    media = take_in(request.data, index, names, lambda share, text: progress(READ + (MEDIA - READ) * share, text))
    new = {name: media_path(request.data, digest) for name, digest in media.digests.items()}
    reading = replace(reading, spoken=(*reading.spoken, *embedded_rows(_without_lines(request.data, reading.silent), new)))
    with open_store(request.data) as db, transaction(db):
        return _store_all(db, request, reading, replace(media, digests={**here, **media.digests}), progress)


def read_all(request: ImportRequest) -> Reading:
    """Return everything that the request's files say. Raises InputError when one cannot be read."""
    format, file = format_named(request.format), read_text(request.file)
    items = list(check_across(format.read(Source(file, request.dataset, _intervals(request, format))), format.id_column))
    if request.candidates:
        texts = Source(read_text(request.candidates), request.dataset)
        items += check_across(read_texts(texts), "id")
    reading = Reading(file, tuple(items), ())
    if request.subtitles is None:
        return reading
    return replace(reading, spoken=tuple(subtitle_rows(request.subtitles, reading.silent)))


def _store_all(db: sqlite_utils.Database, request: ImportRequest, reading: Reading, media: MediaFound, progress: Progress) -> Summary:
    progress(MEDIA, f"Storing {len(reading.items):,} rows")
    shelf = Shelf(db, media.digests, request.overlap)
    give_all(db, media, reading.datasets)
    rows = store_rows(shelf, reading.items, lambda share: progress(MEDIA + (1 - MEDIA) * share, f"Storing {len(reading.items):,} rows"))
    spoken = store_rows(shelf, [item for item in reading.spoken if isinstance(item, Notice) or _clip_is_here(db, item)])
    state = state_of(db, media, [clip.video for clip in reading.clips])
    summary = summary_of(request.format, request.file.name, rows, spoken, state, media.notices)
    finished_at, told = utc_now(), json.dumps(summary.as_json(), ensure_ascii=False)
    record_id = digest_id("import", request.format, reading.file.sha256, finished_at)
    add_import(db, ImportRecord(record_id, request.format, request.file.name, reading.file.sha256, told, finished_at))
    return summary


def _files_here(data: Path, reading: Reading) -> dict[str, str]:
    """Return the digests of the files that every clip asking for them by name has already."""
    digests: dict[str, str | None] = {}
    with open_store(data) as db:
        for draft in reading.clips:
            clip = get_clip(db, clip_id(draft.dataset, draft.id))
            digest = _readable_digest(db, clip)
            digests[draft.video] = digest if digests.get(draft.video, digest) == digest else None
    return {name: digest for name, digest in digests.items() if digest is not None}


def _readable_digest(db: sqlite_utils.Database, clip: Clip | None) -> str | None:
    media = get_media(db, clip.digest) if clip and clip.digest else None
    return media.digest if media and media.health != "unreadable" else None


def _waiting_names(data: Path, datasets: Iterable[str]) -> list[str]:
    """Return the names that clips of these data sets wait for since an earlier import."""
    with open_store(data) as db:
        return [clip.media_name for dataset in datasets for clip in waiting_clips(db, dataset)]


def _without_lines(data: Path, clips: Iterable[ClipDraft]) -> list[ClipDraft]:
    """Return those of the clips that no earlier import gave spoken lines."""
    with open_store(data) as db:
        return [clip for clip in clips if not subtitles_of(db, clip_id(clip.dataset, clip.id))]


def _clip_is_here(db: sqlite_utils.Database, row: Row) -> bool:
    """Return whether the clip of a spoken line was taken in; a refused clip need not be told of again for each line."""
    return all(isinstance(draft, SubtitleDraft) and get_clip(db, clip_id(draft.dataset, draft.clip)) is not None for draft in row.drafts)


def _intervals(request: ImportRequest, format: Format) -> TextFile | None:
    """Return the intervals file that was named, or that stands beside the table of a format that needs one."""
    if request.intervals:
        return read_text(request.intervals)
    if format.name != "nextgqa":
        return None
    named = request.file.with_name(f"gsub_{request.file.stem}.json")
    beside = sorted(request.file.parent.glob("*.gsub.json"))
    alike = [path for path in beside if path.name.split(".")[0] == request.file.name.split(".")[0]] or beside
    path = named if named.is_file() else alike[0] if len(alike) == 1 else None
    return read_text(path) if path else None


def _drafts(items: Iterable[Item]) -> list[Draft]:
    return [draft for item in items if isinstance(item, Row) for draft in item.drafts]
