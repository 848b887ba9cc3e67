"""The whole way, with real processes, real video and real QLoRA on the tiny random model."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from store.curated import list_sets
from store.database import open_store
from store.errors import ConflictError, InputError
from store.process import read_mark
from store.records import CuratedSet, Run
from tests.training.conftest import Studio, dpo_config, freeze_rows, row_of, sft_config, wait_until
from tests.training.stand_in import command
from training.checkpoints import verified
from training.config import STAGES
from training.context import PRESETS as PLANS
from training.events import read_events
from training.jobs import cancel, launch, load_config, resume, stop_and_save
from training.keeper import REPOSITORY
from training.presets import plan_values
from training.status import log_tail, read_result, read_status

LONG = {"epochs": 1_000_000, "max_steps": 100_000, "checkpoint_steps": 100_000}


@pytest.fixture(scope="session")
def sft_run(shared_studio: Studio) -> Run:
    """An SFT run that was started by an app which was killed at once."""
    run = shared_studio.make(sft_config(learning_rate=1e-2))
    directory = shared_studio.directory(run)
    app = "import os, signal, sys, pathlib\nfrom training.jobs import launch\nlaunch(pathlib.Path(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", app, str(directory)], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL
    shared_studio.ended(directory)
    return run


@pytest.fixture(scope="session")
def dpo_run(shared_studio: Studio, sft_run: Run) -> Run:
    run = shared_studio.make(dpo_config(shared_studio.data, sft_run))
    shared_studio.done(run)
    return run


def steps_of(directory: Path) -> list[dict]:
    return [event for event in read_events(directory / "events.jsonl").events if event["kind"] == "step"]


def wait_for_a_step(directory: Path) -> None:
    wait_until(lambda: steps_of(directory) or read_status(directory).ended, lambda: log_tail(directory))
    assert read_status(directory).state == "running", log_tail(directory)


def test_an_sft_run_outlives_the_app_that_started_it_and_leaves_an_adapter(shared_studio: Studio, sft_run: Run) -> None:
    directory = shared_studio.directory(sft_run)
    status = read_status(directory)
    assert (status.state, status.reason) == ("finished", "All steps are done.")
    assert {path.name for path in (directory / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert str(directory) not in (directory / "adapter" / "adapter_config.json").read_text(), "the adapter must not name a folder of this machine"
    assert not (directory / "frames").exists(), "decoded frames are a cache and go with the run"


def test_the_events_of_a_run_tell_each_step_with_its_figures(shared_studio: Studio, sft_run: Run) -> None:
    events = read_events(shared_studio.directory(sft_run) / "events.jsonl").events
    steps = steps_of(shared_studio.directory(sft_run))
    assert [step["step"] for step in steps] == list(range(1, 13)), "6 rows, 2 a step, 4 epochs"
    assert all(math.isfinite(step[name]) for step in steps for name in ("loss", "learning_rate", "grad_norm", "tokens_per_s"))
    assert steps[-1]["loss"] < steps[0]["loss"] - 0.5, "it does learn the sentence by heart"
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    phases = [event["phase"] for event in events if event["kind"] == "phase"]
    assert "decoding 6 clips" in phases
    assert phases.index("counting tokens") < phases.index("decoding 6 clips"), "what is refused for its length is not decoded before"
    assert phases.index("loading the model") < phases.index("training") < phases.index("saving the adapter")


def test_the_result_counts_rows_tokens_and_held_out_loss_and_says_that_weights_were_random(shared_studio: Studio, sft_run: Run) -> None:
    result = read_result(shared_studio.directory(sft_run))
    assert result is not None
    assert (result["rows"], result["rows_in_set"], result["steps"]) == (6, 8, 12)
    assert result["tokens"] == 4 * result["tokens_an_epoch"]["total"] > 4 * result["tokens_an_epoch"]["learnt"] > 0
    assert result["validation"]["rows"] == 2
    assert result["validation"]["after"]["loss"] < result["validation"]["before"]["loss"]
    assert result["random_weights"] and "learns nothing of use" in result["note"]
    assert result["frozen_tensors_checked"] > 50
    assert result["versions"]["torch"] and result["seconds"] > 0


def test_a_dpo_run_starts_at_ln_2_from_its_sft_adapter_and_then_parts_the_pair(shared_studio: Studio, dpo_run: Run) -> None:
    directory = shared_studio.directory(dpo_run)
    assert read_status(directory).state == "finished", read_status(directory).reason
    steps = steps_of(directory)
    assert steps[0]["preference_loss"] == pytest.approx(math.log(2), abs=1e-4)
    assert steps[0]["rewards/chosen"] == steps[0]["rewards/rejected"] == 0
    assert steps[-1]["preference_loss"] < steps[0]["preference_loss"]
    assert steps[-1]["rewards/accuracies"] == 1.0, "separable pairs are told apart"
    result = read_result(directory)
    assert result is not None
    assert result["frozen_tensors_checked"] > read_result(shared_studio.directory(sft_of(shared_studio, dpo_run)))["frozen_tensors_checked"], (  # type: ignore[index]
        "the frozen reference adapter is among the tensors that must not move"
    )
    assert [path.name for path in (directory / "adapter").iterdir() if path.is_dir()] == [], "the reference is not published"


INTERLEAVED = replace(PLANS["train-16"], frames=2)


@pytest.fixture(scope="session")
def interleaved_run(shared_studio: Studio) -> Run:
    """An SFT run, short, on the same clips with lines said and a pause made in them."""
    told = {"lines": [[0.1, 0.4, "Look, a bar!"], [1.0, 1.4, "It moves."]], "pause_s": 1.0, "window_s": None}
    digests = list(shared_studio.digests.values())
    sets = {stage: freeze_rows(shared_studio.data, stage, [row_of(n, digests[n % 3], stage, context=told) for n in range(8)], "told") for stage in STAGES}
    spoken = replace(shared_studio, sets=sets)
    run = spoken.make(sft_config(max_steps=2, **plan_values(INTERLEAVED)))
    spoken.done(run)
    return run


def test_a_run_on_pictures_between_lines_trains_as_one_on_videos_does(shared_studio: Studio, interleaved_run: Run) -> None:
    directory = shared_studio.directory(interleaved_run)
    assert read_status(directory).state == "finished", log_tail(directory)
    result = read_result(directory)
    assert result is not None and result["steps"] == 2
    # Two frames and the one at the pause, six tokens each.
    assert result["tokens_an_epoch"]["total"] > 4 * 3 * 6
    assert all(math.isfinite(step["loss"]) for step in steps_of(directory))


def test_dpo_on_pictures_between_lines_starts_at_ln_2_and_takes_over_what_its_sft_run_saw(shared_studio: Studio, interleaved_run: Run) -> None:
    pairs = next(made for made in list_sets_of(shared_studio, "dpo") if made.name == "told")
    studio = replace(shared_studio, sets={"dpo": pairs})
    config = dpo_config(studio.data, interleaved_run, max_steps=2)
    assert config.context_plan() == INTERLEAVED
    with pytest.raises(InputError, match="layout is 'video'"):
        studio.make(replace(config, layout="video", keyframe="none"))
    directory, status = studio.done(studio.make(config))
    assert status.state == "finished", status.reason
    assert steps_of(directory)[0]["preference_loss"] == pytest.approx(math.log(2), abs=1e-4)


def list_sets_of(studio: Studio, stage: str) -> list[CuratedSet]:
    with open_store(studio.data) as db:
        return list(list_sets(db, stage))


def sft_of(studio: Studio, run: Run) -> Run:
    return replace(run, directory=f"runs/{run.parent_id}")


@pytest.mark.gpu
def test_on_a_gpu_the_run_is_done_there(shared_studio: Studio, dpo_run: Run) -> None:
    result = read_result(shared_studio.directory(dpo_run))
    assert result is not None and result["device"] != "cpu" and result["peak_device_bytes"] > 0


def test_stop_and_save_ends_a_run_with_checkpoint_and_adapter(shared_studio: Studio) -> None:
    directory = shared_studio.directory(shared_studio.make(sft_config(**LONG)))
    launch(directory)
    wait_for_a_step(directory)
    stop_and_save(directory)
    status = shared_studio.ended(directory)
    assert (status.state, status.reason) == ("stopped", "Stopped as asked; checkpoint and adapter are saved.")
    last = steps_of(directory)[-1]["step"]
    state = json.loads((directory / "checkpoints" / f"checkpoint-{last}" / "trainer_state.json").read_text())
    assert state["global_step"] == last
    assert (directory / "adapter" / "adapter_model.safetensors").exists()
    result = read_result(directory)
    assert result is not None and result["validation"]["after"] is None and "Stopped" in result["validation"]["reason"]
    with pytest.raises(ConflictError, match="stopped already"):
        stop_and_save(directory)


def test_a_killed_child_is_crashed_and_a_cancelled_one_is_stopped(shared_studio: Studio) -> None:
    killed, cancelled = (shared_studio.directory(shared_studio.make(sft_config(**LONG))) for _ in range(2))
    launch(killed)
    # The keeper puts down the child's mark a moment after the child began to speak.
    wait_until(lambda: (killed / "events.jsonl").exists() and (killed / "process.json").exists())
    mark = read_mark(killed / "process.json")
    assert mark is not None
    os.kill(mark.pid, signal.SIGKILL)
    status = shared_studio.ended(killed)
    assert status.state == "crashed"
    assert "SIGKILL" in status.reason and "memory" in status.reason

    launch(cancelled)
    wait_for_a_step(cancelled)
    cancel(cancelled)
    status = read_status(cancelled)
    assert (status.state, status.reason) == ("stopped", "Cancelled before the first checkpoint: nothing is saved.")
    assert read_result(cancelled), "the child was asked, and left its result before it went"
    assert not (cancelled / "adapter").exists()


def test_a_run_that_is_killed_and_resumed_has_the_losses_of_one_that_was_never_interrupted(shared_studio: Studio, sft_run: Run) -> None:
    """The unbroken run saves once on its way, this one every second step: that changes no loss."""
    run = shared_studio.make(sft_config(learning_rate=1e-2, checkpoint_steps=2))
    directory = shared_studio.directory(run)
    launch(directory, command(directory, "--at", "5"))
    assert shared_studio.ended(directory).state == "crashed"
    resume(shared_studio.data, run.id)
    assert shared_studio.ended(directory).state == "finished", log_tail(directory)
    (resumed,) = (event for event in read_events(directory / "events.jsonl").events if event["kind"] == "resumed")
    assert (resumed["step"], resumed["attempt"]) == (4, 2)
    unbroken = {step["step"]: step for step in steps_of(shared_studio.directory(sft_run))}
    broken = {step["step"]: step for step in steps_of(directory)}  # of a step that was done twice the second time counts
    assert broken.keys() == unbroken.keys()
    for number, step in broken.items():
        assert step["loss"] == pytest.approx(unbroken[number]["loss"], rel=1e-2), f"step {number}, resumed after {resumed['step']}"
        assert step["learning_rate"] == unbroken[number]["learning_rate"]
        assert step["tokens"] == unbroken[number]["tokens"], "counted on, not anew"
    assert verified(directory, load_config(directory)).step == 12


@pytest.mark.parametrize(
    ("breakage", "reason"),
    [("model", "could not be loaded"), ("rows", "changed after it was frozen"), ("video", "1 clips could not be read"), ("tokens", "6 rows are longer")],
)
def test_a_run_that_fails_says_why_in_a_sentence(studio: Studio, breakage: str, reason: str) -> None:
    config = sft_config(validation_rows=0)
    if breakage == "model":
        config = replace(config, model=str(studio.data / "not-there"))
    if breakage == "tokens":
        config = replace(config, max_tokens=20)
    directory = studio.directory(studio.make(config))
    if breakage == "rows":
        with (directory / "dataset" / "rows.jsonl").open("a") as stream:
            stream.write("{}\n")
    if breakage == "video":
        digest = studio.digests["red"]
        carried = directory / "media" / digest[:2] / digest
        carried.unlink()
        carried.write_bytes(b"no video")
    launch(directory)
    status = studio.ended(directory)
    assert status.state == "failed"
    assert reason in status.reason
    assert "Traceback" in (directory / "log.txt").read_text()
