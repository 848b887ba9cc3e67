"""What the benchmarks promise: rows of one form, things measured apart, and pages of which a run renews only its own tables."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks import decoders
from benchmarks.__main__ import SUBJECTS, renew, with_places, with_table
from benchmarks.child import Outcome, in_child, median_ratio
from benchmarks.decoders import right_frames
from benchmarks.readers import READERS, numbers_read
from benchmarks.rows import COMPARE, Row, as_table, judged
from tests.clips import make_clip
from tests.coded import KINDS

DOCS = Path(__file__).resolve().parents[1] / "docs"
MET = {True: "met", False: "**missed**", None: ""}


def tables_in(page: Path) -> dict[str, list[list[str]]]:
    """Return the rows of each table of figures in a page, by subject, as cells."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"<!-- figures: (\w+) -->\n(.*?)<!-- end of \1 -->", text, re.DOTALL)
    return {subject: [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:] for subject, table in found}


@pytest.mark.parametrize("page", ["benchmarks.md", "decoding.md"])
def test_committed_figures_have_the_form_and_are_judged_by_their_goals(page: str) -> None:
    tables = tables_in(DOCS / page)
    assert tables.keys() <= set(SUBJECTS) and tables
    for subject, rows in tables.items():
        assert rows, f"{page} has no figures of {subject}: run python -m benchmarks {subject}"
        for cells in rows:
            name, value, goal, met, control = (cell.strip() for cell in cells)
            number = float(value.split()[0])
            sign, bound = goal.split() if goal else ("<=", "inf")
            assert met == (MET[COMPARE[sign](number, float(bound))] if goal else ""), name
            assert name and control, "a figure has a name, and a control that shows what it means"


def test_the_page_on_decoding_has_a_row_for_each_kind_of_clip() -> None:
    rows = tables_in(DOCS / "decoding.md")["decoders"]
    for kind in KINDS:
        (row,) = (cells for cells in rows if kind in cells[0])
        assert "decord" in row[4] and "PyAV" in row[4] and "ffmpeg -ss" in row[4]


def test_a_run_renews_its_own_table_on_every_page_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("Before\n<!-- figures: pooling -->\nold\n<!-- end of pooling -->\nAfter\n")
    renew(tmp_path, "pooling", r"| new \1 |")
    assert (tmp_path / "other.md").read_text() == "Before\n<!-- figures: pooling -->\n| new \\1 |\n<!-- end of pooling -->\nAfter\n"
    page = (tmp_path / "benchmarks.md").read_text()
    renew(tmp_path, "walk", "| walked |")
    assert (tmp_path / "benchmarks.md").read_text() == with_table(page, "walk", "| walked |") != page
    assert r"| new \1 |" in (tmp_path / "benchmarks.md").read_text()
    assert re.findall("^## (.*)$", page, re.MULTILINE) == list(SUBJECTS)
    assert with_places(page) == page


def test_a_row_prints_as_it_was_judged() -> None:
    rows = [judged("fast", 0.5, "x", "<= 0.7", "c"), judged("slow", 0.9, "x", "<= 0.7", "c"), judged("lost", None, "x", "<= 0.7", "c")]
    assert [row.met for row in rows] == [True, False, None]
    assert [field.name for field in fields(Row)] == ["name", "value", "unit", "goal", "met", "control"]
    assert as_table(rows).splitlines()[2:] == [
        "| fast | 0.5 x | <= 0.7 | met | c |",
        "| slow | 0.9 x | <= 0.7 | **missed** | c |",
        "| lost | unknown | <= 0.7 |  | c |",
    ]


def test_what_dies_in_its_own_process_is_a_failure(tmp_path: Path) -> None:
    assert "No module named 'no_such_peer'" in str(in_child("no_such_peer:read").failure)
    assert in_child("os:abort").failure == "ended by signal 6"
    assert in_child("os:getcwd").failure is None, "the control"


def test_time_that_a_command_burns_is_counted_and_waiting_is_not(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", seconds=2, fps=60, size=(640, 256))
    decoding, waiting = in_child("benchmarks.films:decode_to_null", str(tmp_path / "clip.mp4")), in_child("time:sleep", 0.3)
    assert decoding.failure is None and waiting.failure is None
    assert decoding.cpu_s > 2 * waiting.cpu_s
    assert decoding.grown_mib > 10 > waiting.grown_mib, "an ffmpeg holds more than that"


def test_a_ratio_is_the_median_of_rounds_and_none_when_one_failed() -> None:
    floors = [Outcome(0, 1.0, 0.0), Outcome(0, 2.0, 0.0), Outcome(0, 4.0, 0.0)]
    assert median_ratio([Outcome(0, 0.5, 0.0), Outcome(0, 2.0, 0.0), Outcome(0, 3.0, 0.0)], floors) == 0.75
    assert median_ratio([Outcome(0, 0.5, 0.0), Outcome(None, 0.0, 0.0, "died"), Outcome(0, 3.0, 0.0)], floors) is None


def test_every_reader_that_needs_no_peer_reads_the_frames_it_is_asked_for(tmp_path: Path) -> None:
    kind = "H.264 mp4, constant rate"
    clip = KINDS[kind](tmp_path, 40, kind)
    numbers = [3, 17, 31]
    asked = (numbers, clip.times_s[numbers].tolist(), clip.middles_s[numbers].tolist())
    for reader in ("ours", "pyav_seek", "pyav_through", "ffmpeg_begin"):
        assert numbers_read(reader, str(clip.path), 0, *asked) == numbers, reader
    assert numbers_read("ffmpeg_amid", str(clip.path), 0, *asked) == [4, 18, 32], "the control: it gives the first frame that begins from then on"
    assert numbers_read("ffmpeg_select", str(clip.path), 0, *asked, (80, 32)) == numbers
    assert in_child("benchmarks.readers:numbers_read", "ours", str(clip.path), 0, *asked).result == numbers
    assert len(READERS) == 10


def test_right_frames_of_one_kind_make_rows_that_json_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "PEERS", {"a peer": {"by seek": "pyav_seek", "that is none": "nothing"}})
    kind = "cut without encoding (edit list)"
    rows = right_frames([KINDS[kind](tmp_path, 30, kind)], 4)
    assert [row.value for row in rows] == [0, 0] and all(row.met for row in rows)
    assert rows[0].control == "right: a peer 100 % by seek, that is none fails"
    assert [Row(**row) for row in json.loads(json.dumps([vars(row) for row in rows]))] == rows
