"""Run directories: whole or not at all, once for each order, complete enough to be carried away."""

import json
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError, StorageError
from store.records import Run
from store.runs import list_runs
from tests.training.conftest import Studio, dpo_config, freeze_rows, row_of, sft_config
from tests.training.quizzes import freeze_quiz
from training import jobs
from training.jobs import Order, create_run, known_runs, launch, load_config, parent_problem, read_order, read_run, runs_on_disk
from training.presets import PRESETS
from training.questions import load_questions
from training.rows import load_set, planned_rows
from training.status import read_status


def finished(studio: Studio, **changes: object) -> Run:
    """Return an SFT run that looks finished: these tests are about files, and need no training."""
    run = studio.make(sft_config(**changes))
    directory = studio.directory(run)
    for name in ("adapter/adapter_config.json", "adapter/adapter_model.safetensors", "model/config.json"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(name)
    (directory / "result.json").write_text(json.dumps({"outcome": "finished", "reason": "All steps are done."}))
    return run


def test_a_run_directory_holds_all_that_the_run_needs(studio: Studio) -> None:
    run = studio.make(sft_config())
    directory = studio.directory(run)
    assert load_config(directory) == sft_config()
    assert load_set(directory / "dataset").sha256 == studio.sets["sft"].sha256
    for digest in studio.digests.values():
        carried = directory / "media" / digest[:2] / digest
        assert carried.read_bytes() == (studio.data / "media" / digest[:2] / digest).read_bytes()
        assert carried.stat().st_ino == (studio.data / "media" / digest[:2] / digest).stat().st_ino, "linked, so it costs no room"
    assert read_run(studio.data, run.id) == run
    shutil.rmtree(studio.data / "media")
    shutil.rmtree(studio.data / "exports")
    assert load_set(directory / "dataset").rows and carried.stat().st_size, "it stands alone"


def test_only_clips_that_a_step_can_reach_are_carried(studio: Studio) -> None:
    run = studio.make(sft_config(max_steps=1, accumulation=1, validation_rows=0))
    assert len([path for path in (studio.directory(run) / "media").rglob("*") if path.is_file()]) == 1


def test_an_order_given_twice_makes_one_run_and_another_order_another(studio: Studio) -> None:
    order = studio.order(sft_config())
    first, again = create_run(studio.data, order), create_run(studio.data, order)
    assert first == again
    assert create_run(studio.data, replace(order, token="another press")).id != first.id
    assert create_run(studio.data, replace(order, config=sft_config(seed=9))).id != first.id
    assert len(runs_on_disk(studio.data)) == 3


def test_many_presses_at_once_make_and_launch_one_run(studio: Studio) -> None:
    order, made = studio.order(sft_config()), []

    def press() -> None:
        run = create_run(studio.data, order)
        made.append(run)
        launch(studio.directory(run), (sys.executable, "-c", "print('I am the child')"))

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1 and len(made) == 8
    directory = studio.directory(made[0])
    studio.ended(directory)
    assert (directory / "log.txt").read_text().count("I am the child") == 1
    assert not [path for path in (studio.data / "runs").iterdir() if path.name.startswith(".")], "no half-made directory is left"


def test_missing_videos_are_named_and_nothing_half_made_is_left(studio: Studio) -> None:
    for name in ("red", "blue"):
        digest = studio.digests[name]
        (studio.data / "media" / digest[:2] / digest).unlink()
    with pytest.raises(NotFoundError, match="2 clips is missing") as refused:
        studio.make(sft_config())
    assert "clip-0" in str(refused.value) and "clip-2" in str(refused.value)
    assert list((studio.data / "runs").iterdir()) == []


def test_a_set_that_is_not_what_it_was_is_refused(studio: Studio) -> None:
    with pytest.raises(InputError, match="kind dpo"):
        create_run(studio.data, replace(studio.order(sft_config()), curated=studio.sets["dpo"]))
    forged = replace(studio.sets["sft"], sha256="f" * 64)
    with pytest.raises(StorageError, match="by their hash"):
        create_run(studio.data, replace(studio.order(sft_config()), curated=forged))
    (studio.data / studio.sets["sft"].directory / "rows.jsonl").unlink()
    with pytest.raises(NotFoundError, match="Freeze the set again"):
        studio.make(sft_config())


def test_a_run_with_questions_carries_them_with_the_videos_that_they_ask_about(studio: Studio) -> None:
    quiz = freeze_quiz(studio, clips=("green",))
    config = sft_config(max_steps=1, accumulation=1, validation_rows=0, question_set=quiz.id)
    order = next(  # the one row that the step reaches depends on the seed
        order
        for seed in range(30)
        if studio.digests["green"] not in learnt_from(studio, order := replace(studio.order(replace(config, seed=seed)), questions=quiz))
    )
    directory = studio.directory(create_run(studio.data, order))
    assert len(load_questions(directory / "questions")) == quiz.row_count
    assert {path.name for path in (directory / "media").rglob("*") if path.is_file()} == {studio.digests["green"], *learnt_from(studio, order)}
    with pytest.raises(InputError, match="test its memory"):
        create_run(studio.data, replace(order, config=replace(config, max_steps=0)))
    with pytest.raises(InputError, match="Choose it again"):
        create_run(studio.data, replace(order, questions=None, token="another press"))


def learnt_from(studio: Studio, order: Order) -> set[str]:
    train, _ = planned_rows(load_set(studio.data / order.curated.directory).rows, order.config)
    return {row.clip.digest for row in train}


def test_an_evaluation_has_questions_and_no_rows_and_takes_the_adapter_of_either_stage(studio: Studio) -> None:
    parent, quiz = finished(studio), freeze_quiz(studio)
    child = studio.make(dpo_config(studio.data, parent))
    for name in ("adapter/adapter_config.json", "result.json"):
        (studio.directory(child) / name).parent.mkdir(exist_ok=True)
        (studio.directory(child) / name).write_text(json.dumps({"outcome": "finished", "reason": "All steps are done."}))
    preset = next(preset for preset in PRESETS if preset.name == "Pipeline check (evaluate)")
    for run in (parent, child):
        config = preset.config(question_set=quiz.id, parent_run=run.id)
        directory = studio.directory(create_run(studio.data, Order("look", config, quiz, run.id)))
        assert not (directory / "dataset").exists() and load_questions(directory / "questions")
        assert (directory / "parent" / "adapter" / "adapter_config.json").exists()
        assert (directory / "parent" / "model" / "config.json").exists(), "a DPO run's model lies in its own parent"
        assert json.loads((directory / "manifest.json").read_text())["learnt_from"] == sorted(studio.digests.values()), "what its adapter has seen"
    with pytest.raises(InputError, match="works on questions"):
        create_run(studio.data, Order("look", config, studio.sets["sft"], "t"))
    with pytest.raises(InputError, match="was trained on"):
        create_run(studio.data, Order("look", replace(config, model="another/model"), quiz, "t"))


def test_a_run_that_evaluates_is_resumed_without_a_checkpoint_and_keeps_what_it_has_scored(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "advance", lambda data: [])
    quiz = freeze_quiz(studio)
    preset = next(preset for preset in PRESETS if preset.name == "Pipeline check (evaluate)")
    run = create_run(studio.data, Order("look", preset.config(question_set=quiz.id), quiz, "t"))
    directory = studio.directory(run)
    (directory / "launched").touch()
    (directory / "predictions.jsonl").write_text("{}\n")
    (directory / "result.json").write_text(json.dumps({"outcome": "stopped", "reason": "1 of 6 questions."}))
    (directory / "keeper.json").write_text(json.dumps({"pid": 2**22 - 3, "create_time": 1.0, "started_at": ""}))
    assert jobs.resume_problem(studio.data, run.id) is None
    jobs.resume(studio.data, run.id)
    assert read_status(directory).state == "queued" and (directory / "predictions.jsonl").exists()
    assert (jobs.attempts_of(directory)[0] / "result.json").exists()


def test_a_dpo_run_carries_its_parent_and_is_locked_to_it(studio: Studio) -> None:
    parent = finished(studio)
    config = dpo_config(studio.data, parent)
    directory = studio.directory(studio.make(config))
    carried = {path.relative_to(directory / "parent").as_posix() for path in (directory / "parent").rglob("*") if path.is_file()}
    assert carried == {"config.json", "manifest.json", "result.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "model/config.json"}
    for change in ({"frames": 8}, {"longest_side_px": 56}, {"quantisation": "none"}, {"model": "a/b"}):
        with pytest.raises(InputError, match="same model and pixels"):
            studio.make(replace(config, **change))


def test_a_run_that_cannot_be_a_parent_says_why(studio: Studio) -> None:
    good, unfinished = finished(studio), studio.make(sft_config(seed=5))
    assert parent_problem(studio.data, good.id) is None, "the control"
    assert "has no adapter: it is waiting" in str(parent_problem(studio.data, unfinished.id))
    assert "is not in" in str(parent_problem(studio.data, "unheard-of"))
    child = studio.make(dpo_config(studio.data, good))
    assert "is a DPO run" in str(parent_problem(studio.data, child.id))
    with pytest.raises(InputError, match="has no adapter"):
        studio.make(dpo_config(studio.data, unfinished))
    (studio.directory(good) / "result.json").write_text(json.dumps({"outcome": "failed", "reason": "2 frozen tensors have changed."}))
    assert "it is failed" in str(parent_problem(studio.data, good.id)), "although it has saved an adapter"


def test_a_run_whose_parent_does_not_tell_what_it_learnt_from_is_not_asked_about_its_own_clips(studio: Studio) -> None:
    parent, quiz = finished(studio), freeze_quiz(studio)
    manifest = json.loads((studio.directory(parent) / "manifest.json").read_text())
    (studio.directory(parent) / "manifest.json").write_text(json.dumps({name: value for name, value in manifest.items() if name != "learnt_from"}))
    order = studio.order(dpo_config(studio.data, parent))
    alone = studio.directory(create_run(studio.data, order))
    assert json.loads((alone / "manifest.json").read_text())["learnt_from"] is None, "the control: without questions it is made"
    with pytest.raises(InputError, match="test its memory"):
        create_run(studio.data, replace(order, config=replace(order.config, question_set=quiz.id), questions=quiz))


@pytest.mark.parametrize("way", ["../runs/{}", "./{}", "{}/", "/{}"])
def test_an_id_that_leads_elsewhere_is_no_run(studio: Studio, way: str) -> None:
    run = finished(studio)
    assert read_run(studio.data, run.id) == run and parent_problem(studio.data, run.id) is None, "the control"
    with pytest.raises(NotFoundError):
        read_run(studio.data, way.format(run.id))
    assert "is not in" in str(parent_problem(studio.data, way.format(run.id)))


def test_a_look_at_the_runs_reads_none_that_is_listed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    first, read, reading = studio.make(sft_config()), list[str](), jobs.read_run

    def heard(data: Path, run_id: str) -> Run:
        read.append(run_id)
        return reading(data, run_id)

    monkeypatch.setattr(jobs, "read_run", heard)
    with open_store(studio.data) as db:
        known_runs(db, studio.data)
        assert set(read) == {first.id}, "the control: what is new is read"
        read.clear()
        assert known_runs(db, studio.data) == [first] and read == []


@pytest.mark.parametrize("config", [5, None, [1], "text"])
def test_an_order_whose_config_is_no_object_is_refused_in_a_sentence(studio: Studio, tmp_path: Path, config: object) -> None:
    (tmp_path / "order.json").write_text(json.dumps({"set": studio.sets["sft"].id, "config": config}))
    with open_store(studio.data) as db, pytest.raises(InputError, match="is no order"):
        read_order(db, tmp_path / "order.json")


def test_the_list_of_runs_is_found_again_from_the_directories(studio: Studio) -> None:
    parent = finished(studio)
    child = studio.make(dpo_config(studio.data, parent))
    with open_store(studio.data) as db:
        assert list_runs(db) == []
        assert {run.id for run in known_runs(db, studio.data)} == {parent.id, child.id}
        assert known_runs(db, studio.data) == list_runs(db), "listing again adds nothing"


def test_a_directory_that_came_from_elsewhere_is_not_listed(studio: Studio, tmp_path: Path) -> None:
    stranger = freeze_rows(tmp_path / "elsewhere", "sft", [row_of(0, studio.digests["red"])])
    shutil.copytree(tmp_path / "elsewhere" / stranger.directory, studio.data / stranger.directory)
    run = create_run(studio.data, replace(studio.order(sft_config()), curated=stranger))
    assert (studio.directory(run) / "manifest.json").exists()
    with open_store(studio.data) as db:
        assert known_runs(db, studio.data) == []


def test_a_run_that_is_over_cannot_be_stopped(studio: Studio) -> None:
    directory = studio.directory(finished(studio))
    for stop in (jobs.stop_and_save, jobs.cancel):
        with pytest.raises(ConflictError, match="nothing to stop"):
            stop(directory)
    assert not (directory / "stop").exists()
