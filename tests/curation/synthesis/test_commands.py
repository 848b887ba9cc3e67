"""The commands about syntheses: an order as words and back, a whole run in one command, and Ctrl+C."""

import argparse
import json
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.__main__ import main
from curation.synthesis.arms import ANSWERS, ORDERS, PRESETS, SHOWN, Arm
from curation.synthesis.choosing import Chosen
from curation.synthesis.commands import add_synthesis
from curation.synthesis.ordering import command_of, wish_of
from curation.synthesis.plan import Limits, Prices, WriterSpec
from curation.synthesis.prompts import load, prompt_of
from curation.synthesis.wishes import BATCH, Wish
from curation.synthesis.writing import Sampling
from store.candidates import list_candidates
from store.database import open_store
from store.synthesis import waiting_of
from tests.conftest import ROOT
from tests.model_acts import blocked
from tests.model_server import ModelServer

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12).filter(str.strip)
MAYBE = st.none() | WORD
AMOUNT = st.floats(0.001, 1e6)
COUNT = st.integers(1, 1000)
NARRATIVE = st.builds(Arm, st.just("narrative"), st.sampled_from(SHOWN), st.sampled_from(ORDERS), *[st.booleans()] * 4)
RATIONALE = st.builds(Arm, st.just("rationale"), st.sampled_from(SHOWN), answer=st.sampled_from(ANSWERS), citations=st.booleans())
WRITER = st.builds(
    WriterSpec, st.sampled_from(["template", "gemini", "openai", "local"]), WORD, MAYBE, MAYBE, MAYBE, st.sampled_from([None, "nf4", "none"]), AMOUNT
)
CHOSEN = st.builds(Chosen, *[st.lists(WORD, max_size=2).map(tuple)] * 3, WORD | st.just(""), st.none() | COUNT, COUNT)
LIMITS = st.builds(Limits, COUNT, st.none() | AMOUNT, st.none() | AMOUNT, COUNT, st.none() | AMOUNT, st.none() | COUNT, COUNT)
WISHES = st.builds(
    lambda arm, **fields: Wish(kind=arm.kind, arm=arm, prompt=load(arm.kind), **fields),
    NARRATIVE | RATIONALE,
    writer=WRITER,
    sampling=st.builds(Sampling, AMOUNT, COUNT, COUNT),
    seeds=COUNT,
    chosen=CHOSEN,
    limits=LIMITS,
    prices=st.none() | st.builds(Prices, AMOUNT, AMOUNT, WORD),
    view=st.dictionaries(st.sampled_from(["frames", "longest_px"]), COUNT),
    batch=MAYBE,
    wanted=COUNT,
    executor=st.sampled_from(["local", "ray"]),
)


def read(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_synthesis(parser.add_subparsers())
    return parser.parse_args(words)


@given(wish=WISHES)
def test_the_command_that_an_order_is_told_as_orders_the_same(wish: Wish) -> None:
    words = shlex.split(command_of(wish, Path("/some where/data")))
    assert words[:3] == ["python", "-m", "curation"]
    given = read(words[3:])
    assert wish_of(given) == wish
    assert given.data == Path("/some where/data")


@pytest.mark.parametrize(
    ("words", "batch"),
    [
        ([], BATCH),
        (["--overlap", "0"], None),
        (["--batch", ""], None),
        (["--batch", "June"], "June"),
        (["--arm", "wrong"], None),
        (["--arm", "wrong", "--batch", "June"], "June"),
    ],
)
def test_texts_wait_for_annotators_unless_they_are_wrong_on_purpose_or_nobody_is_wanted(words: list[str], batch: str | None) -> None:
    assert wish_of(read(["synthesise", "rationale", *words])).batch == batch


def test_a_prompt_of_ones_own_travels_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '## always\nIt\'s "$pairs" \\ `date` and\n\nEND\n'
    wish = Wish("narrative", PRESETS["narrative"]["file"], WriterSpec("template", "1"), Sampling(), prompt_of("my own", text))
    *writing, last = command_of(wish, tmp_path).splitlines()
    subprocess.run(["bash", "-c", "\n".join(writing)], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    assert wish_of(read(shlex.split(last)[3:])) == wish
    assert len(command_of(replace(wish, prompt=load("narrative")), tmp_path).splitlines()) == 1, "the project's own needs no file"


def said_by(*words: str, data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """Run a command that goes well in this process; return its JSON and what it said on standard error."""
    assert main([*words, "--data", str(data)]) == 0
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def test_one_command_writes_the_narratives_of_a_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, _ = said_by("synthesise", "narrative", "--dry-run", data=project, capsys=capsys)
    assert (said["new"], said["known"], said["estimate"]["requests"]) == (4, 0, 0)
    assert not (project / "synthesis").exists(), "a dry run writes nothing"
    done, progress = said_by("synthesise", "narrative", data=project, capsys=capsys)
    assert (done["state"], done["written"], done["of"], done["order"]["new"]) == ("finished", 4, 4, 4)
    assert "4 of 4" in progress
    with open_store(project) as db:
        texts = list_candidates(db)
        waiting = [(queued.batch_name, queued.texts) for queued in waiting_of(db, done["run"])]
    assert len(texts) == 4 and all(text.kind == "narrative" for text in texts)
    assert waiting == [(BATCH, 4)]
    again, _ = said_by("synthesise", "narrative", data=project, capsys=capsys)
    assert (again["run"], again["state"]) == (done["run"], "finished")
    assert (again["order"]["goes_on"], again["order"]["known"]) == (True, 4)
    part, _ = said_by("synthesise", "narrative", "--dataset", "yard", data=project, capsys=capsys)
    assert (part["run"], part["order"]["known"]) == (None, 3)
    one, _ = said_by("syntheses", done["run"], data=project, capsys=capsys)
    everything, _ = said_by("syntheses", data=project, capsys=capsys)
    assert one["set_aside"] == [] and everything["runs"] == [{name: value for name, value in one.items() if name != "set_aside"}]


def test_what_cannot_be_is_one_sentence_and_the_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesise", "narrative", "--data", str(tmp_path / "new")]) == 2
    assert "demo project" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(["synthesise", "narrative", "--arm", "none", "--data", str(tmp_path)]) == 2
    assert main(["stop-synthesis", "../..", "--data", str(tmp_path)]) == 2
    assert "no synthesis" in capsys.readouterr().err


def test_ctrl_c_awaits_what_is_in_flight_and_a_resumed_run_pays_for_nothing_twice(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer(delay_s=0.3) as server:
        order = ["rationale", "--generator", "openai", "--model", "m", "--address", server.address, "--in-flight", "2"]
        command = [sys.executable, "-m", "curation", "synthesise", *order, "--option", "shown=nothing", "--data", str(project)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until_s = time.monotonic() + 30
        while not server.asked:
            assert time.monotonic() < until_s and process.poll() is None, process.communicate()
            threading.Event().wait(0.05)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
        stopped = json.loads(out)
        assert process.returncode == 2, said
        assert 0 < stopped["written"] < 12
        assert stopped["state"] == "stopped"
        assert f"resume-synthesis {stopped['run']}" in said
        first, server.delay_s = dict(server.delivered), 0.0
        server.play()
        done, _ = said_by("resume-synthesis", stopped["run"], data=project, capsys=capsys)
    assert (done["state"], done["written"]) == ("finished", 12)
    assert len(first) == stopped["written"] and len(server.delivered) == 12 - stopped["written"]
    assert not set(first) & set(server.delivered) and {*first.values(), *server.delivered.values()} == {1}, "each was paid for once"


def test_a_run_in_which_all_was_set_aside_is_a_problem(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ModelServer(lambda question: blocked("answer")) as server:
        words = ["synthesise", "narrative", "--generator", "openai", "--model", "m", "--address", server.address, "--dataset", "street"]
        assert main([*words, "--data", str(project)]) == 2
    told = capsys.readouterr()
    done = json.loads(told.out)
    assert (done["state"], done["written"], sum(done["dead"].values())) == ("finished", 0, 1)
    assert "0 of 1 are written. 1 were set aside" in told.err
    one, _ = said_by("syntheses", done["run"], data=project, capsys=capsys)
    assert one["set_aside"][0]["name"] == "street · clip-3" and one["set_aside"][0]["reason"]
