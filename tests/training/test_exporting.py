"""A run's measurements for other people's pages: files that TensorBoard itself reads, and the calls that trackio gets."""

import argparse
import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c as their_crc32c
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from store.errors import InputError
from store.process import write_whole
from store.records import Run
from tests.training.conftest import Studio, sft_config
from training import exporting
from training.events import EventLog
from training.exporting import add_export, crc32c, export, masked_crc, scalars_of


@pytest.fixture
def run(studio: Studio) -> Run:
    """A run that has learnt for three steps and was resumed after its second."""
    made = studio.make(sft_config(), name="a run")
    log = EventLog(studio.directory(made) / "events.jsonl")
    log.emit("phase", phase="training", total_steps=4)
    for step in (1, 2, 3):
        log.emit("step", step=step, loss=4.0 - step, learning_rate=1e-4, grad_norm=None, tokens=100 * step, **{"rewards/margins": 0.5})
    log.emit("resumed", step=2)
    log.emit("step", step=3, loss=0.25, tokens=300)
    log.emit("accuracy", step=3, correct=3, n=4, low=0.3, high=0.95)
    log.emit("validation", rows=8, loss=1.5)
    return made


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    read = EventAccumulator(str(folder))
    read.Reload()
    return {name: [(one.step, one.value) for one in read.Scalars(name)] for name in read.Tags()["scalars"]}


def test_tensorboard_reads_what_is_written_and_takes_back_what_a_resumed_run_does_again(studio: Studio, run: Run, tmp_path: Path) -> None:
    assert export(studio.data, run, "tensorboard", tmp_path) == 8
    found = scalars(tmp_path / run.id)
    assert found["loss"] == [(1, 3.0), (2, 2.0), (3, 0.25)], "step 3 was done twice, and only the second stands"
    assert found["rewards/margins"] == [(1, 0.5), (2, 0.5)] and "grad_norm" not in found
    assert found["accuracy"] == [(3, 0.75)] and found["accuracy_low"] == [(3, pytest.approx(0.3))]
    assert found["validation/loss"] == [(3, 1.5)]
    export(studio.data, run, "tensorboard", tmp_path)
    assert scalars(tmp_path / run.id) == found, "given twice, nothing stands there twice"


def test_what_is_followed_is_whole_when_the_run_has_ended(studio: Studio, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, looked = studio.directory(run), threading.Event()
    monkeypatch.setattr(exporting, "LOOK_EVERY_S", 0.01)
    reads = exporting.read_events

    def reading(path: Path, *more: int) -> Any:
        looked.set()
        return reads(path, *more)

    monkeypatch.setattr(exporting, "read_events", reading)
    following = threading.Thread(target=export, args=(studio.data, run, "tensorboard", tmp_path, True))
    following.start()
    assert looked.wait(10)
    EventLog(directory / "events.jsonl").emit("step", step=4, loss=0.125)
    write_whole(directory / "result.json", json.dumps({"outcome": "finished", "reason": ""}))
    following.join(10)
    assert not following.is_alive() and scalars(tmp_path / run.id)["loss"][-1] == (4, 0.125)


@given(st.binary(max_size=300))
def test_the_checksum_is_the_one_that_tensorboard_reckons(content: bytes) -> None:
    assert (crc32c(content), masked_crc(content)) == (their_crc32c(content), masked_crc32c(content))


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(bytes(32)) == 0x8A9136AA, "RFC 3720, B.4, and the usual check value"


def test_trackio_gets_each_measurement_once_however_often_one_exports(studio: Studio, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    begun: list[tuple[Any, ...]] = []

    def init(project: str, name: str, **more: Any) -> Any:
        begun.append((project, name, more["resume"], more["config"]["model"]))
        return SimpleNamespace(log=lambda values, step: logged.append((step, values)), finish=lambda: None)

    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=init))
    monkeypatch.setenv("TRACKIO_DIR", "before")
    export(studio.data, run, "trackio", tmp_path)
    assert begun == [("eyewitness", f"a run {run.id[:8]}", "allow", "pipeline-check")]
    assert [step for step, _ in logged] == [1, 2, 3, 3, 3, 3] and logged[0][1]["loss"] == 3.0
    EventLog(studio.directory(run) / "events.jsonl").emit("step", step=4, loss=0.125)
    export(studio.data, run, "trackio", tmp_path)
    assert len(logged) == 7 and logged[-1] == (4, {"loss": 0.125})
    export(studio.data, run, "trackio", tmp_path / "elsewhere")
    assert len(logged) == 14, "another folder gets all of it"


def test_a_library_that_is_missing_is_a_sentence_with_a_way_out(studio: Studio, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", "before")
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(InputError, match="trackio is not installed: pip install trackio"):
        export(studio.data, run, "trackio", tmp_path)


def test_only_measurements_are_given_away() -> None:
    assert scalars_of({"kind": "note", "step": 1, "lora_layers": 5}) == {}
    assert scalars_of({"kind": "step", "step": 1, "at": 9.0, "loss": 1, "phase": "training", "ok": True, "grad_norm": None}) == {"loss": 1.0}
    assert scalars_of({"kind": "accuracy", "step": 1, "correct": 0, "n": 0}) == {}


def test_the_command_exports_and_says_how_to_look(studio: Studio, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_export(parser.add_subparsers())
    options = parser.parse_args(["export", run.id, "--to", "tensorboard", "--data", str(studio.data)])
    assert options.act(options) == 0
    assert f"8 events of a run are in {studio.data / 'tensorboard'}. To see them: tensorboard --logdir" in capsys.readouterr().out
    assert "loss" in scalars(studio.data / "tensorboard" / run.id)
