"""Run directories: whole or not at all, once for each order, complete enough to be carried away."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError, StorageError
from store.records import Run
from store.runs import list_runs
from tests.training.conftest import Studio, dpo_config, freeze_rows, row_of, sft_config
from training import jobs
from training.jobs import create_run, known_runs, launch, load_config, parent_problem, read_run, runs_on_disk
from training.rows import load_set


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


def test_many_presses_at_once_make_and_launch_one_run(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(jobs, "REPOSITORY", studio.data)  # no training.run there: the child ends at once
    order, made = studio.order(sft_config()), []

    def press() -> None:
        run = create_run(studio.data, order)
        made.append(run)
        if launch(studio.directory(run)) is not None:
            started.append(run.id)

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1 and len(made) == 8
    assert len((studio.directory(made[0]) / "log.txt").read_text().splitlines()) <= 1, "one process wrote to the log"
    assert not [path for path in (studio.data / "runs").iterdir() if path.name.startswith(".")], "no half-made directory is left"
    studio.ended(studio.directory(made[0]))


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


def test_a_dpo_run_carries_its_parent_and_is_locked_to_it(studio: Studio) -> None:
    parent = finished(studio)
    config = dpo_config(studio.data, parent)
    directory = studio.directory(studio.make(config))
    carried = {path.relative_to(directory / "parent").as_posix() for path in (directory / "parent").rglob("*") if path.is_file()}
    assert carried == {"config.json", "result.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "model/config.json"}
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
