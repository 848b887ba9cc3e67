"""What an import says when it is done. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curation.datasets.drafts import Notice, Rejection
from curation.import_media import MediaState
from curation.import_records import ADDED, REJECTED, UNCHANGED
from curation.import_rows import Ledger

# Plural, in the order in which they are shown.
RECORDS = {"clip": "clips", "qa": "qa_pairs", "evidence": "evidence_spans", "subtitle": "subtitles", "candidate": "candidates"}
RECORDS |= {"signal": "signals", "suggested_flag": "suggested_flags", "gold": "known_verdicts"}  # of texts, those that are here already too
SHOWN = 200


@dataclass(frozen=True)
class Counts:
    """How many were new, here already, or refused."""

    added: int
    unchanged: int
    rejected: int


@dataclass(frozen=True)
class Summary:
    """What became of every row, record and file of one import. `rows_read` is the sum of the counts of `rows`."""

    format: str
    file: str
    rows_read: int
    rows: Counts
    records: Mapping[str, Counts]  # by the names of RECORDS
    queued: int
    rejections: tuple[Rejection, ...]
    warnings: tuple[Notice, ...]
    media: MediaState

    def as_json(self) -> dict[str, Any]:
        """Return the summary for JSON: the first 200 rejections and warnings, and how many there are in all."""
        return {
            "format": self.format,
            "file": self.file,
            "rows_read": self.rows_read,
            **asdict(self.rows),
            "records": {name: asdict(counts) for name, counts in self.records.items()},
            "queued": self.queued,
            "rejections": [asdict(rejection) for rejection in self.rejections[:SHOWN]],
            "rejections_total": len(self.rejections),
            "warnings": [asdict(notice) for notice in self.warnings[:SHOWN]],
            "warnings_total": len(self.warnings),
            "media": media_json(self.media),
        }


def media_json(media: MediaState) -> dict[str, Any]:
    """Return for JSON how files stand: how many were found, and by name what is not as it should be."""
    return {
        "found": len(media.found),
        "missing": list(media.missing),
        "unreadable": [asdict(trouble) for trouble in media.unreadable],
        "damaged": [asdict(trouble) for trouble in media.damaged],
        "waiting_for_proxy": list(media.waiting_for_proxy),
    }


def summary_of(name: str, file: str, rows: Ledger, spoken: Ledger, media: MediaState, notices: Sequence[Notice]) -> Summary:
    """Return the summary of the rows of the files and of the subtitles beside them, whose lines are records but no rows."""
    records = Counter(rows.records)
    records.update(spoken.records)
    return Summary(
        format=name,
        file=file,
        rows_read=rows.rows_read,
        rows=Counts(rows.rows(ADDED), rows.rows(UNCHANGED), rows.rows(REJECTED)),
        records={plural: _counts(records, kind) for kind, plural in RECORDS.items()},
        queued=rows.queued,
        rejections=_in_place([*rows.rejections, *spoken.rejections]),
        warnings=_in_place([*rows.notices, *spoken.notices, *notices]),
        media=media,
    )


def _counts(records: Mapping[tuple[str, str], int], kind: str) -> Counts:
    return Counts(*(records[kind, fate] for fate in (ADDED, UNCHANGED, REJECTED)))


def _in_place(told: Sequence[Any]) -> tuple[Any, ...]:
    """Return what was told in the order of the files, without what was told twice of one place."""
    files = list(dict.fromkeys(one.file for one in told))
    return tuple(sorted(dict.fromkeys(told), key=lambda one: (files.index(one.file), one.line)))
