"""NExT-GQA: NExT-QA's questions (`answer` is the option's text) joined with the intervals that show the answer (gsub JSON).

The intervals file is `{video: {"duration": seconds, "location": {qid: [[start_s, end_s], ...]}}}`. The ids and the content
equal NExT-QA's, so that the evidence reaches questions that are here already.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from curation.datasets.drafts import Item, Notice, QADraft, Span
from curation.datasets.fields import BadField, Fault, cut, id_field, optional_text, options_of, seconds, sound_spans, text_field
from curation.datasets.nextqa import MULTIPLE_CHOICE, OPTIONS, clip_of
from curation.datasets.sources import Parsed, Source, TextFile, csv_columns, csv_rows, require_columns, rows_of
from store.errors import InputError

FIELD = "intervals"


def read(source: Source) -> Iterator[Item]:
    """Yield the rows of the table with their evidence, then a notice for intervals that no row asked for.

    Raises InputError when a column or the intervals file is missing or unusable.
    """
    columns = csv_columns(source.file)
    video_column = "video" if "video" in columns else "video_id"
    require_columns(source.file, columns, (video_column, "question", "answer", "qid", "type", *OPTIONS))
    if source.intervals is None:
        looked = f"neither gsub_{source.file.stem}.json nor one *.gsub.json stands beside it"
        raise InputError(f"{source.file.name} needs its intervals, and {looked}. Name the intervals file (--intervals FILE).")
    intervals = read_intervals(source.intervals)
    dataset = source.dataset or MULTIPLE_CHOICE
    return _joined(source, intervals, dataset, video_column)


def read_intervals(file: TextFile) -> Mapping[str, Any]:
    """Return what the intervals file says of each video. Raises InputError when it is not a JSON object."""
    try:
        found = json.loads(file.text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file.name} is not JSON: {error}. Give NExT-GQA's gsub file.") from error
    if not isinstance(found, dict):
        raise InputError(f"{file.name} must hold one JSON object, from video to intervals. Give NExT-GQA's gsub file.")
    return found


def _joined(source: Source, intervals: Mapping[str, Any], dataset: str, video_column: str) -> Iterator[Item]:
    asked: set[tuple[str, str]] = set()

    def parse(values: Mapping[str, Any]) -> Parsed:
        video, qid = id_field(values, video_column), id_field(values, "qid")
        asked.add((video, qid))
        return _parse(dataset, video, qid, values, intervals.get(video))

    yield from rows_of(source.file, csv_rows(source.file), lambda raw: parse(raw.values))
    if source.intervals is not None:
        name, unasked = source.intervals.name, sorted(_asked_by(intervals) - asked)
        for video, qid in unasked:
            yield Notice(name, 1, FIELD, f"There are intervals for question {qid} of video {video}, which is not in {source.file.name}.")


def _asked_by(intervals: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return (video, qid) of everything that the intervals file speaks of."""
    spoken = ((video, known.get("location")) for video, known in intervals.items() if isinstance(known, dict))
    return {(video, qid) for video, location in spoken if isinstance(location, dict) for qid in location}


def _parse(dataset: str, video: str, qid: str, values: Mapping[str, Any], known: Any) -> Parsed:
    options, answer = options_of(values, OPTIONS), text_field(values, "answer")
    index = next((place for place, option in enumerate(options) if option.strip() == answer.strip()), None)
    if index is None:
        raise BadField("answer", "answer is none of the options a0 to a4; it must repeat the text of one of them.")
    evidence, faults, notices = _evidence(qid, known)
    pair = QADraft(dataset, video, qid, text_field(values, "question"), options[index], options, index, optional_text(values, "type"), evidence)
    return Parsed((clip_of(dataset, video), pair), faults, notices)


def _evidence(qid: str, known: Any) -> tuple[tuple[Span, ...], tuple[Fault, ...], tuple[Fault, ...]]:
    """Return the question's spans cut at the file's own declared duration, what was left out, and what was cut."""
    location = known.get("location") if isinstance(known, dict) else None
    found = location.get(qid) if isinstance(location, dict) else None
    if found is None:
        return (), (), (Fault(FIELD, "The intervals file has no interval for this question."),)
    try:
        spans, faults = sound_spans(FIELD, found)
        duration_s = seconds("duration", known["duration"]) if known.get("duration") is not None else None
    except BadField as bad:
        return (), (Fault(FIELD, f"Evidence left out: {bad.reason}", is_span=True),), ()
    if duration_s is None:
        return spans, faults, ()
    kept, behind, shortened = cut(spans, duration_s, FIELD)
    return kept, faults + behind, shortened
