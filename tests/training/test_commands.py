"""`python -m training launch | status | logs | stop | resume`: the page's acts without the page, for people and for programs."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from store.process import read_mark
from store.records import Run
from tests.training.conftest import Studio, sft_config, wait_until
from tests.training.stand_in import SAVES_EVERY, stand_in
from training import commands, jobs
from training.__main__ import main
from training.events import read_events
from training.jobs import order_json, read_run, runs_on_disk
from training.keeper import REPOSITORY
from training.status import log_tail, read_status
from training.turns import CPU, advance


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is started is a stand-in that goes on until it is told to end, or for as many steps as the list's first word says."""
    options: list[str] = []
    quick = partial(advance, find=lambda: (CPU,), start=lambda directory: stand_in(directory, *options))
    monkeypatch.setattr(jobs, "advance", quick)
    monkeypatch.setattr(commands, "advance", quick)
    return options


@pytest.fixture
def file(studio: Studio, tmp_path: Path) -> Path:
    path = tmp_path / "order.json"
    path.write_text(order_json(studio.order(sft_config(), name="by file")))
    return path


def ask(capsys: pytest.CaptureFixture[str], data: Path, *words: str, code: int = 0) -> Any:
    """Return the JSON that a command answers with, after a look at its exit code."""
    assert main([*words, "--data", str(data), "--json"]) == code
    said = capsys.readouterr()
    return json.loads(said.err if code == 2 else said.out)


def said(capsys: pytest.CaptureFixture[str], data: Path, *words: str, code: int = 0) -> str:
    """Return what a command says to a person."""
    assert main([*words, "--data", str(data)]) == code
    return "".join(capsys.readouterr())


def step_of(told: dict[str, Any]) -> int:
    return read_status(Path(told["directory"])).step or 0


def test_what_the_page_offers_as_a_file_is_trained_by_the_command_line_to_the_end(shared_studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    path.write_text(order_json(shared_studio.order(sft_config(max_steps=2, validation_rows=0), name="by file")))
    call = [sys.executable, "-m", "training"]
    data = ["--data", os.path.relpath(shared_studio.data, REPOSITORY), "--json"]
    both = [subprocess.Popen([*call, "launch", str(path), *data], cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(2)]
    told = [json.loads(process.communicate()[0]) for process in both]
    assert told[0]["id"] == told[1]["id"], "two programs at once start one run"
    assert read_run(shared_studio.data, told[0]["id"]).name == "by file"
    followed = subprocess.run([*call, "logs", told[0]["id"], "--follow", *data], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert followed.returncode == 0, followed.stderr + log_tail(Path(told[0]["directory"]))
    events = [json.loads(line) for line in followed.stdout.splitlines()]
    assert [event["step"] for event in events if event["kind"] == "step"] == [1, 2]
    assert events[-1]["outcome"] == "finished"


def test_the_same_file_is_the_same_run_until_another_is_asked_for(studio: Studio, file: Path, stand_ins: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    stand_ins += ["--steps", "2"]
    first = ask(capsys, studio.data, "launch", str(file))
    assert ask(capsys, studio.data, "launch", str(file))["id"] == first["id"]
    studio.ended(Path(first["directory"]))
    assert ask(capsys, studio.data, "launch", str(file))["state"] == "finished", "its end changes nothing"
    keeper = read_mark(Path(first["directory"]) / "keeper.json")
    assert keeper is not None and keeper.wait(60), "it would start what it finds in the queue, and not as a stand-in"
    again = ask(capsys, studio.data, "launch", str(file), "--again")
    assert again["id"] != first["id"] and len(runs_on_disk(studio.data)) == 2
    studio.ended(Path(again["directory"]))


def test_a_run_is_watched_stopped_and_resumed(studio: Studio, file: Path, stand_ins: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, studio.data, "launch", str(file))
    directory = Path(told["directory"])
    assert told["device"] == "cpu"
    wait_until(lambda: step_of(told) >= SAVES_EVERY, lambda: log_tail(directory))
    (listed,) = ask(capsys, studio.data, "status")
    assert (listed["id"], listed["state"]) == (told["id"], "running")
    assert "running" in said(capsys, studio.data, "status", "by file")
    assert "asked to stop" in ask(capsys, studio.data, "stop", told["id"])["reason"]
    studio.ended(directory)
    shown = ask(capsys, studio.data, "status", told["id"])
    assert (shown["state"], shown["result"]["outcome"]) == ("stopped", "stopped")
    stand_ins += ["--steps", str(shown["step"] + 3)]
    ask(capsys, studio.data, "resume", told["id"])
    assert said(capsys, studio.data, "logs", told["id"], "--follow") == "", "the stand-in says nothing"
    assert ask(capsys, studio.data, "status", told["id"])["state"] == "finished"
    (resumed,) = (event for event in read_events(directory / "events.jsonl").events if event["kind"] == "resumed")
    assert resumed["step"] == shown["step"]


def test_a_run_that_went_wrong_is_told_by_the_exit_code(studio: Studio, file: Path, stand_ins: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, studio.data, "launch", str(file))
    directory = Path(told["directory"])
    wait_until(lambda: step_of(told) > 0, lambda: log_tail(directory))
    mark = read_mark(directory / "process.json")
    assert mark is not None
    mark.send(signal.SIGKILL, whole_group=False)
    assert said(capsys, studio.data, "logs", told["id"], "--follow", code=1) == ""
    assert "SIGKILL" in ask(capsys, studio.data, "status", told["id"], code=1)["reason"]
    assert len(ask(capsys, studio.data, "status")) == 1, "a list is no verdict"
    assert "crashed already" in ask(capsys, studio.data, "stop", told["id"], code=2)["error"]


def test_stop_now_returns_when_the_run_is_gone(studio: Studio, file: Path, stand_ins: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = ask(capsys, studio.data, "launch", str(file))
    wait_until(lambda: step_of(told) > 0, lambda: log_tail(Path(told["directory"])))
    assert ask(capsys, studio.data, "stop", told["id"], "--now")["state"] == "stopped"


def test_a_run_is_named_by_all_of_its_id_or_name(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    made: dict[str, Run] = {name: studio.make(sft_config(), name=name) for name in ("run1", "run10")}
    assert ask(capsys, studio.data, "status", "run1")["id"] == made["run1"].id
    assert ask(capsys, studio.data, "status", made["run10"].id)["name"] == "run10"
    for wrong in ("run", made["run1"].id[:10], "run100"):
        assert f"has the id or the name {wrong}" in ask(capsys, studio.data, "status", wrong, code=2)["error"]
    studio.make(sft_config(), name="run1")
    assert "2 runs have the name run1" in said(capsys, studio.data, "stop", "run1", code=2)


def test_what_cannot_be_done_is_a_sentence_and_exit_code_2(studio: Studio, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = json.loads(file.read_text())
    unknown, broken, untrainable = tmp_path / "unknown.json", tmp_path / "broken.json", tmp_path / "untrainable.json"
    unknown.write_text(json.dumps({**order, "set": "no such set"}))
    broken.write_text("[1]")
    untrainable.write_text(json.dumps({**order, "config": {**order["config"], "model": str(tmp_path / "nowhere")}}))
    for path, words in ((unknown, "no such set"), (broken, "is no order"), (tmp_path / "gone.json", "cannot be read"), (untrainable, "no folder|No CUDA GPU")):
        told = said(capsys, studio.data, "launch", str(path), code=2)
        assert any(word in told for word in words.split("|")) and told.count("\n") == 1, told
    assert not runs_on_disk(studio.data)
    assert main(["status", "--data", str(tmp_path / "empty")]) == 2 and not (tmp_path / "empty").exists(), "looking makes no project"


def test_a_file_says_all_that_an_order_says(studio: Studio) -> None:
    order = studio.order(sft_config(), name="a name")
    told = json.loads(order_json(order))
    assert told == {"name": "a name", "set": order.curated.id, "questions": None, "config": json.loads(order.config.to_json())}
    asked = replace(order, questions=replace(order.curated, id="questions-1"))
    assert json.loads(order_json(asked))["questions"] == "questions-1"
