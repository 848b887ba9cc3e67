"""Frozen sets: the same rows give the same set, the manifest comes last, and what trains on them reads them as they are."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curation.export import export_pairs_jsonl, freeze_set
from curation.pairing import propose_pairs
from store.clips import add_subtitles, set_health
from store.curated import get_set, list_sets
from store.database import open_store
from store.errors import InputError, StorageError
from store.pairs import list_pairs, set_pair_state
from store.records import CuratedSet, Subtitle
from tests.curation.annotating import annotate
from tests.curation.choosing import choose_side
from tests.seeds import Seeded, seed_project
from training.rows import load_set

AWKWARD = 'He runs 🎅 — «so» \u2028 مرحبا, "quoted" \\ and\ttabs\nover two lines.'


def fill(data: Path, names: tuple[str, ...] = ("one", "two", "three")) -> list[Seeded]:
    """Put a project into `data` in which every kind of row is accepted."""
    made = []
    with open_store(data) as db:
        for name in names:
            seeded = seed_project(db, name)
            add_subtitles(db, [Subtitle(seeded.clip.id, 0, 0.5, 1.5, AWKWARD)])
            db.execute("UPDATE clip SET split = ? WHERE id = ?", [{"two": "validation", "three": "test"}.get(name, "train"), seeded.clip.id])
            annotate(db, seeded.narrative, "ann", "accept")
            annotate(db, seeded.rationale, "ann", "reject", ["temporal_error"], edited=AWKWARD)
            annotate(db, seeded.rival, "ann", "reject", ["justified_fabrication"])
            choose_side(db, "ann", seeded.rationale.id, seeded.rival.id, "left")
            made.append(seeded)
        propose_pairs(db)
        for pair in list_pairs(db, "proposed"):
            set_pair_state(db, pair.id, "accepted")
    return made


def read(data: Path, made: CuratedSet) -> tuple[list[dict], dict]:
    folder = data / made.directory
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").split("\n") if line]
    return rows, json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind, count", [("sft", 6), ("dpo", 6)])
def test_a_frozen_set_is_what_its_manifest_says_and_stands_in_the_store(tmp_path: Path, kind: str, count: int) -> None:
    fill(tmp_path)
    made = freeze_set(tmp_path, kind, "  first round ")
    rows, manifest = read(tmp_path, made)
    content = (tmp_path / made.directory / "rows.jsonl").read_bytes()
    assert made.name == "first round"
    assert made.row_count == manifest["rows"] == len(rows) == count
    assert made.sha256 == manifest["rows_sha256"] == hashlib.sha256(content).hexdigest()
    assert sum(manifest["splits"].values()) == sum(manifest["kinds"].values()) == count
    assert manifest["left_out"] == {}
    assert (manifest["id"], manifest["kind"], manifest["created_at"]) == (made.id, kind, made.created_at)
    prompt = Path(__file__).resolve().parents[2] / "assets" / "prompts" / "rationale.md"
    assert manifest["prompts"]["rationale"] == hashlib.sha256(prompt.read_bytes()).hexdigest()
    with open_store(tmp_path) as db:
        assert get_set(db, made.id) == made
    assert sorted(path.name for path in (tmp_path / "exports").iterdir()) == [made.id], "nothing half-made is left"


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_training_reads_the_rows_as_they_are(tmp_path: Path, kind: str) -> None:
    fill(tmp_path)
    made = freeze_set(tmp_path, kind, "set")
    loaded = load_set(tmp_path / made.directory)
    assert (loaded.id, loaded.kind, len(loaded.rows)) == (made.id, kind, made.row_count)
    assert any(AWKWARD in row.reply for row in loaded.rows)
    assert all([(line.start_s, line.end_s, line.text) for line in row.context.lines] == [(0.5, 1.5, AWKWARD)] for row in loaded.rows)


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_freezing_twice_gives_the_same_set_and_two_stores_with_the_same_work_the_same_rows(tmp_path: Path, kind: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    fill(one, ("one", "two", "three"))
    fill(other, ("three", "one", "two"))
    first, second, elsewhere = freeze_set(one, kind, "a"), freeze_set(one, kind, "b"), freeze_set(other, kind, "c")
    assert first == second
    assert (elsewhere.id, elsewhere.sha256) == (first.id, first.sha256)
    with open_store(one) as db:
        assert len(list_sets(db)) == 1


def test_new_work_gives_a_new_set_and_leaves_the_old_one_alone(tmp_path: Path) -> None:
    seeded = fill(tmp_path)[0]
    first = freeze_set(tmp_path, "sft", "first")
    before = read(tmp_path, first)
    with open_store(tmp_path) as db:
        annotate(db, seeded.narrative, "ann", "reject", ["other"])
    second = freeze_set(tmp_path, "sft", "second")
    assert (second.id != first.id, second.row_count) == (True, first.row_count - 1)
    assert read(tmp_path, first) == before


def test_several_who_freeze_at_once_get_one_whole_set(tmp_path: Path) -> None:
    fill(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: freeze_set(tmp_path, "sft", f"name {number}"), range(4)))
    assert len({one.id for one in made}) == 1
    assert len(load_set(tmp_path / made[0].directory).rows) == made[0].row_count
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [made[0].id]


@pytest.mark.parametrize(
    "harm", [lambda folder: (folder / "manifest.json").unlink(), lambda folder: (folder / "rows.jsonl").write_text("")], ids=["no manifest", "no rows"]
)
def test_a_folder_that_is_not_whole_is_made_whole_by_freezing_again(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    fill(tmp_path)
    first = freeze_set(tmp_path, "sft", "set")
    before = read(tmp_path, first)
    harm(tmp_path / first.directory)
    assert freeze_set(tmp_path, "sft", "set") == first
    assert read(tmp_path, first) == before


def test_a_crash_before_the_row_was_kept_leaves_a_folder_that_the_next_freeze_takes_over(tmp_path: Path) -> None:
    fill(tmp_path)
    first = freeze_set(tmp_path, "sft", "lost")
    with open_store(tmp_path) as db:
        db.execute("DELETE FROM curated_set")
    second = freeze_set(tmp_path, "sft", "found")
    assert (second.id, second.name) == (first.id, "found")
    assert read(tmp_path, second)[1]["name"] == "found"


def test_a_disk_that_refuses_is_told_in_a_sentence_and_no_set_is_kept(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "exports").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot be written"):
        freeze_set(tmp_path, "sft", "set")
    with open_store(tmp_path) as db:
        assert list_sets(db) == []


@pytest.mark.parametrize("kind, way_out", [("sft", "Annotate page"), ("dpo", "Pairs page")])
def test_an_empty_set_is_refused_with_what_to_do(tmp_path: Path, kind: str, way_out: str) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
    with pytest.raises(InputError, match=way_out):
        freeze_set(tmp_path, kind, "set")
    assert not (tmp_path / "exports").exists()


def test_an_empty_set_says_what_was_left_out(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        annotate(db, seeded.narrative, "ann", "accept")
        set_health(db, seeded.clip.digest or "", "unreadable", "No stream.")
    with pytest.raises(InputError, match="1 because the clip's media file is unreadable"):
        freeze_set(tmp_path, "sft", "set")


@pytest.mark.parametrize("kind, name", [("ppo", "set"), ("sft", " "), ("sft", "a\nb"), ("sft", "x" * 81)])
def test_a_bad_kind_or_name_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    fill(tmp_path, ("one",))
    with pytest.raises(InputError):
        freeze_set(tmp_path, kind, name)


def test_the_datasheet_tells_counts_rule_and_agreement_with_n(tmp_path: Path) -> None:
    fill(tmp_path)
    made = freeze_set(tmp_path, "sft", "a | b <i>")
    sheet = (tmp_path / made.directory / "datasheet.md").read_text(encoding="utf-8")
    assert sheet.startswith("# a \\| b &lt;i>\n")
    assert "| train | narrative | 1 |" in sheet
    assert '"min_annotations": 1' in sheet
    assert "| Verdict (nominal) | 9 | 0 | 1 | undefined | No item has two annotators (9 have one)." in sheet


# TRL reads it as it is.


def test_datasets_loads_the_preference_rows_and_nothing_else_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import datasets

    fill(tmp_path)
    frozen, download = tmp_path / freeze_set(tmp_path, "dpo", "set").directory / "rows.jsonl", export_pairs_jsonl(tmp_path)
    for path in (frozen, download):
        loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
        assert {"prompt", "chosen", "rejected"} <= set(loaded.column_names)
        assert len(loaded) == 6
        for row in loaded:
            assert [turn["role"] for turn in row["prompt"]] == ["user"]
            assert [turn["role"] for turn in row["chosen"]] == [turn["role"] for turn in row["rejected"]] == ["assistant"]
            assert row["chosen"][0]["content"] != row["rejected"][0]["content"]


def test_the_download_says_where_each_pair_comes_from_and_is_replaced_whole(tmp_path: Path) -> None:
    fill(tmp_path)
    path = export_pairs_jsonl(tmp_path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert path == tmp_path / "exports" / "pairs-accepted.jsonl"
    assert {origin for row in rows for origin in row["origins"]} == {"edit", "comparison"}
    assert all(len(row["evidence"]) == len(row["origins"]) and row["evidence"][0]["annotators"] == ["ann"] for row in rows)
    with open_store(tmp_path) as db:
        set_pair_state(db, list_pairs(db)[0].id, "dropped")
    assert len(export_pairs_jsonl(tmp_path).read_text(encoding="utf-8").split("\n")) == len(rows)
    assert len(export_pairs_jsonl(tmp_path, "dropped").read_text(encoding="utf-8").split("\n")) == 2
    with pytest.raises(InputError, match="Pairs page"):
        export_pairs_jsonl(tmp_path, "proposed")
