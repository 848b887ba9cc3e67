"""Adapters in the registry and the way between them and what they learnt from: all of it follows from the files, both ways."""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.adapters import behind_adapter, get_adapter, list_adapters, seen_by
from store.candidates import list_generators
from store.database import open_store
from store.errors import NotFoundError
from store.records import Run
from tests.training.conftest import Studio, build_studio, dpo_config, freeze_rows, row_of, sft_config
from training.jobs import Order, create_run, known_runs
from training.lineage import add_lineage, lineage_of
from training.registering import WEIGHTS, index_sets, register_finished


@dataclass(frozen=True)
class Line:
    """An SFT run and a DPO run from it, on sets whose rows say what stands behind them; nothing was trained."""

    studio: Studio
    sft: Run
    dpo: Run

    @property
    def data(self) -> Path:
        return self.studio.data


def source_of(number: int, stage: str) -> dict[str, object]:
    if stage == "sft":
        return {"candidate_id": f"text-{number}", "parent_id": None, "subject_id": f"qa-{number}", "annotation_ids": [f"said-{number}"], "decision_ids": []}
    chosen = {"chosen_id": f"text-{number}", "rejected_id": f"worse-{number}", "subject_id": f"qa-{number}"}
    return {**chosen, "pair_ids": [f"pair-{number}"], "annotation_ids": [f"said-{number}"], "comparison_ids": ["side-by-side"], "decision_ids": ["ruled"]}


def leave_adapter(directory: Path, weights: bytes = b"weights", outcome: str = "finished") -> None:
    """Leave what a run leaves that ended: the registry looks at no weight's value."""
    (directory / "adapter").mkdir(exist_ok=True)
    (directory / "adapter" / "adapter_config.json").write_text("{}")
    (directory / "adapter" / WEIGHTS).write_bytes(weights)
    (directory / "result.json").write_text(json.dumps({"outcome": outcome, "reason": "", "steps": 1}))


def make_line(data: Path) -> Line:
    studio = build_studio(data)
    digests = list(studio.digests.values())
    sets = {
        stage: freeze_rows(data, stage, [row_of(n, digests[n % 3], stage, source=source_of(n, stage)) for n in range(8)], f"told {stage}")
        for stage in ("sft", "dpo")
    }
    sft = create_run(data, Order("the first", sft_config(max_steps=0), sets["sft"], "line"))
    leave_adapter(data / sft.directory)
    (data / sft.directory / "model").mkdir()
    dpo = create_run(data, Order("the second", dpo_config(data, sft, max_steps=0), sets["dpo"], "line"))
    leave_adapter(data / dpo.directory, b"other weights")
    with open_store(data) as db:
        known_runs(db, data)
    return Line(studio, sft, dpo)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return make_line(tmp_path / "data")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = make_line(tmp_path_factory.mktemp("line") / "data")
    with open_store(made.data) as db:
        register_finished(db, made.data)
    return made


def test_an_ended_run_becomes_an_adapter_and_a_generator_once(line: Line) -> None:
    with open_store(line.data) as db:
        assert [one.run_id for one in register_finished(db, line.data)] == [line.sft.id, line.dpo.id]
        before = db.conn.total_changes
        assert register_finished(db, line.data) == [] and db.conn.total_changes == before, "asked every two seconds, it writes nothing new"
        known = get_adapter(db, line.dpo.id)
        writer = next(one for one in list_generators(db) if one.id == known.generator_id)
    assert (writer.kind, writer.name, writer.answer_given) == ("adapter", "the second", False)
    told = json.loads(writer.settings or "")
    assert told["run_id"] == line.dpo.id and len(told["config_sha256"]) == 64
    assert (known.stage, known.parent_run_id, known.set_name, known.learnt_rows) == ("dpo", line.sft.id, "told dpo", 6)


def test_a_run_that_went_on_has_its_adapter_replaced_and_keeps_its_name(line: Line) -> None:
    leave_adapter(line.data / line.sft.directory, b"half way", "stopped")
    with open_store(line.data) as db:
        register_finished(db, line.data)
        half = get_adapter(db, line.sft.id)
        leave_adapter(line.data / line.sft.directory, b"all the way")
        os.utime(line.data / line.sft.directory / "adapter" / WEIGHTS, (1_900_000_000, 1_900_000_000))
        assert [one.run_id for one in register_finished(db, line.data)] == [line.sft.id]
        whole = get_adapter(db, line.sft.id)
    assert whole.sha256 != half.sha256 and (whole.id, whole.generator_id, whole.learnt_rows) == (half.id, half.generator_id, half.learnt_rows)


@pytest.mark.parametrize("outcome", ["failed", None])
def test_a_run_that_failed_or_goes_on_has_no_adapter(line: Line, outcome: str | None) -> None:
    for run in (line.sft, line.dpo):
        leave_adapter(line.data / run.directory, outcome=outcome or "")
        if outcome is None:
            (line.data / run.directory / "result.json").unlink()
    with open_store(line.data) as db:
        assert register_finished(db, line.data) == [] == list_adapters(db)


def test_a_half_deleted_run_keeps_the_others_in(line: Line) -> None:
    (line.data / line.sft.directory / "config.json").unlink()
    with open_store(line.data) as db:
        assert [one.run_id for one in register_finished(db, line.data)] == [line.dpo.id]
        generations = {one.generation: one.adapter_id for one in behind_adapter(db, get_adapter(db, line.dpo.id).id)}
    assert generations[1] is None, "the parent is told, without rows"


def test_what_an_adapter_learnt_from_is_walked_back_through_its_parent(shared: Line) -> None:
    with open_store(shared.data) as db:
        behind = behind_adapter(db, get_adapter(db, shared.dpo.id).id)
    kinds = {(one.generation, one.kind) for one in behind}
    assert {(0, "pair"), (0, "comparison"), (0, "decision"), (1, "annotation"), (1, "candidate"), (1, "subject")} <= kinds
    assert {one.row_id for one in behind if one.generation == 0} == {f"dpo-{n}" for n in range(6)}, "held-out rows are not behind it"
    assert {one.source_id for one in behind if (one.generation, one.kind) == (1, "candidate")} == {f"text-{n}" for n in range(6)}


@given(number=st.integers(0, 7), kind=st.sampled_from(["text", "worse", "said", "pair", "qa"]))
@settings(max_examples=25, deadline=None)
def test_both_ways_tell_the_same(shared: Line, number: int, kind: str) -> None:
    source = f"{kind}-{number}"
    with open_store(shared.data) as db:
        for known in list_adapters(db):
            back = any(one.source_id == source for one in behind_adapter(db, known.id))
            forth = any(one.adapter_id == known.id and (one.learnt or one.inherited) for one in seen_by(db, source))
            assert back == forth == (number < 6 and (known.stage == "dpo" or kind in ("text", "said", "qa")))


def test_a_held_out_text_is_found_in_its_sets_and_was_not_learnt(shared: Line) -> None:
    with open_store(shared.data) as db:
        seen = seen_by(db, "text-7")
        assert {one.set_name for one in seen} == {"told sft", "told dpo"} and not any(one.learnt for one in seen)
        with pytest.raises(NotFoundError, match="Nothing that was trained on"):
            lineage_of(db, "nobody")


def test_rows_that_tell_no_source_are_known_by_their_clip_and_a_set_is_read_once(shared: Line) -> None:
    with open_store(shared.data) as db:
        index_sets(db, shared.data)
        before = db.conn.total_changes
        index_sets(db, shared.data)
        assert db.conn.total_changes == before
        assert {one.set_name for one in seen_by(db, "clip-1")} == {"sft set", "dpo set"}, "the studio's own sets, whose rows tell nothing"


def test_the_command_prints_both_ways(shared: Line, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_lineage(parser.add_subparsers())

    def run(*words: str) -> str:
        options = parser.parse_args(["lineage", *words, "--data", str(shared.data)])
        assert options.act(options) == 0
        return capsys.readouterr().out

    told = run(shared.dpo.id)
    assert "learnt in the second (dpo" in told and "started from the first (sft" in told and "6 rows of the set told dpo" in told
    assert "texts: 12" in told and "decisions: 1" in told
    assert "the first (sft" in run("said-0") and "started from an adapter that learnt it" in run("said-0")
    assert json.loads(run("said-0", "--json"))["seen"][0]["row_id"] == "sft-0"
