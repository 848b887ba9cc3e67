"""Every annotation goes out with its flags, ticks and origin; the file is whole or not there; memory does not grow."""

import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curation import annotation_export
from curation.__main__ import main
from curation.annotation_export import FILE, annotation_lines, export_annotations
from store.database import open_store, transaction
from store.errors import NotFoundError, StorageError
from tests.curation.annotating import annotate
from tests.seeds import Seeded, seed_project


@pytest.fixture
def seeded(tmp_path: Path) -> Seeded:
    with open_store(tmp_path) as db:
        made = seed_project(db)
        annotate(db, made.rationale, "ann", "reject", flags=("other", "omission"), stars=(2, 5))
        annotate(db, made.narrative, "ben", "accept")
        tick = "INSERT INTO claim_tick SELECT id, 0, 3, 'supported' FROM annotation WHERE annotator = 'ben'"
        db.execute(tick)
        again = "INSERT INTO assignment VALUES ('x', ?, 'ann', 2, 'final', '2026-01-01', '2026-01-01')"
        db.execute(again, [made.rationale.id])
    return made


def test_each_annotation_is_one_line_with_all_that_was_said(tmp_path: Path, seeded: Seeded) -> None:
    path, count = export_annotations(tmp_path)
    assert (path, count) == (tmp_path / FILE, 2)
    rows = {row["annotator"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    ann, ben = rows["ann"], rows["ben"]
    assert (ann["dataset"], ann["clip"], ann["qa"], ann["text"]) == ("test", "one", "1", seeded.rationale.text)
    assert (ann["verdict"], ann["factual_consistency"], ann["round"], ann["state"]) == ("reject", 2, 1, "final")
    assert [flag["kind"] for flag in ann["flags"]] == ["other", "omission"]
    assert (ann["options"], ann["batch"], ann["part"], ann["scratch"]) == (["to catch it", "for fun"], "All that is imported", "main", False)
    assert (ben["qa"], ben["ticks"], ben["flags"]) == (None, [{"text_start": 0, "text_end": 3, "support": "supported"}], [])


def test_memory_does_not_grow_with_the_number_of_annotations(tmp_path: Path, seeded: Seeded) -> None:
    def peak() -> int:
        tracemalloc.start()
        for _ in annotation_lines(tmp_path):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    def add(count: int) -> None:
        with open_store(tmp_path) as db, transaction(db):
            for i in range(count):
                annotate(db, seeded.rationale, f"person {i}", "accept")

    add(600)
    before = peak()
    add(3000)
    assert peak() < 1.2 * before


def test_each_part_of_the_stream_may_be_asked_for_by_another_thread(tmp_path: Path, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_export, "LINES_AT_ONCE", 1)
    lines = annotation_lines(tmp_path)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        read = [one.submit(next, lines).result(), *other.submit(list, lines).result()]
    assert {json.loads(part)["annotator"] for part in read if part} == {"ann", "ben"}


def test_the_command_writes_the_file_and_says_how_many(tmp_path: Path, seeded: Seeded, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-annotations", "--data", str(tmp_path), "--out", str(tmp_path / "out.jsonl")]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(tmp_path / "out.jsonl"), "annotations": 2}
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_a_failed_export_leaves_the_earlier_file(tmp_path: Path, seeded: Seeded) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(StorageError, match="cannot be written"):
        export_annotations(tmp_path, tmp_path / "taken" / "out.jsonl")
    with pytest.raises(NotFoundError):
        export_annotations(tmp_path / "nowhere")
