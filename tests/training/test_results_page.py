"""What runs came to, in words and curves, and the tab that shows it."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from store.context import Context
from store.database import open_store
from store.errors import NotFoundError
from store.records import Run
from tests.training.conftest import Studio, sft_config
from tests.training.quizzes import freeze_quiz
from training.carrying import Order
from training.events import EventLog
from training.jobs import create_run, known_runs
from training.metrics import no_verdict, summary, verdict
from training.predictions import add_predictions, prediction
from training.questions import load_questions
from training.results import AXES, accuracy_text, curves_of, curves_text, flips_text, points_of, types_text
from training.ui.results import PLOTS, ResultsPage, build_results

RIGHT, WRONG = {0: [-1.0, -2.0], 1: [-2.0, -1.0]}, {0: [-2.0, -1.0], 1: [-1.0, -2.0]}


@pytest.fixture
def scored(studio: Studio) -> Run:
    """A run that has scored six questions: base and adapter part on three of them, and one has no score."""
    quiz = freeze_quiz(studio, 6)
    config = sft_config(stage="evaluate", question_set=quiz.id)
    run = create_run(studio.data, Order("an *evaluation*", config, quiz, "press"))
    directory = studio.directory(run)
    told = []
    for number, question in enumerate(sorted(load_questions(directory / "questions"), key=lambda one: one.id)):
        base, adapter = ((WRONG, RIGHT), (WRONG, RIGHT), (RIGHT, WRONG), (RIGHT, RIGHT), (WRONG, WRONG), (WRONG, WRONG))[number]
        verdicts = [verdict(which[question.answer], [3, 3], question.answer) for which in (base, adapter)]
        verdicts = [no_verdict("It is too long.")] * 2 if number == 5 else verdicts
        told.append(prediction(question, *verdicts, None))
    add_predictions(directory, told)
    finish(directory, accuracy=summary(told), questions_in_run=6)
    return run


def finish(directory: Path, **figures: Any) -> None:
    (directory / "result.json").write_text(json.dumps({"outcome": "finished", "reason": "All steps are done.", **figures}))


def page_of(studio: Studio) -> ResultsPage:
    return ResultsPage(Context(studio.data, lambda fn: fn, lambda *_: pytest.fail("nothing is frozen here")))


def test_every_figure_of_an_accuracy_has_its_n_and_what_does_not_count_as_it_should_is_told(studio: Studio, scored: Run) -> None:
    text = accuracy_text(studio.directory(scored))
    assert "| **base** | 2 of 6 | 33.3% | 9.7% to 70.0% | 2 of 6 | 1.6 nats (n = 5) | 0 | 1 |" in text
    assert "| **adapter** | 3 of 6 | 50.0% |" in text
    assert "n = 6 questions about 3 clips" in text
    assert "Of the 6 questions only the base is right on 1 and only the adapter on 2: p = 1 (McNemar's test, exact, two-sided)." in text
    assert "is not known" in text, "whether the adapter learnt from a clip of the questions"
    types = types_text(studio.directory(scored))
    assert "| how | 2 | " in types and "| no type given | 2 |" in types


def test_each_flip_opens_its_clip_and_shows_what_was_chosen(studio: Studio, scored: Run) -> None:
    gained, lost = flips_text(studio.directory(scored)).split("\n\n**")
    assert "**Only the adapter is right** (n = 2)" in gained and "Only the base is right** (n = 1)" in lost
    assert "(/frames?clip=clip%20blue)" in lost
    assert gained.count("/frames?clip=") == 2
    assert "| What moves? (0) | why | A&#46; the bar | B&#46; nothing | A&#46; the bar |" in gained.replace("A. ", "A&#46; ").replace("B. ", "B&#46; ")


def test_a_run_that_was_stopped_or_has_scored_nothing_says_so(studio: Studio, scored: Run) -> None:
    directory = studio.directory(scored)
    result = json.loads((directory / "result.json").read_text())
    finish(directory, **{**result, "stopped_early": True, "questions_in_run": 60, "note": "Random weights: proves the pipeline."})
    assert "Stopped early: 6 of 60 questions" in accuracy_text(directory)
    assert "Random weights" in accuracy_text(directory)
    other = studio.directory(studio.make(sft_config()))
    assert "has not scored" in accuracy_text(other)
    assert (types_text(other), flips_text(other)) == ("", "")


# Curves.


def told_run(studio: Studio, events: list[dict[str, Any]], name: str = "an arm") -> Run:
    run = studio.make(sft_config(), name=name)
    lines = [json.dumps(event) for event in events]
    (studio.directory(run) / "events.jsonl").write_text("\n".join(lines) + "\n")
    return run


def step(at: float, number: int, **values: Any) -> dict[str, Any]:
    return {"at": at, "kind": "step", "step": number, "loss": 2.0 / number, "items": 4 * number, "learnt": 40 * number, **values}


def look(at: float, number: int, correct: int) -> dict[str, Any]:
    figures = {"correct": correct, "n": 8, "clips": 2, "low": 0.1, "high": 0.9, "nll": 1.0 / (1 + number), "nll_n": 8}
    return {"at": at, "kind": "accuracy", "step": number, "items": 4 * number, "tokens": 40 * number, "seconds": at, **figures}


def phase(at: float, name: str) -> dict[str, Any]:
    return {"at": at, "kind": "phase", "phase": name}


STORY = [phase(0, "loading the model"), phase(100, "training"), look(100, 0, 2), step(110, 1), step(120, 2), phase(120, "scoring 8 questions")]
STORY += [look(150, 2, 5), phase(150, "training"), step(160, 3), step(161, 4)]
# Killed, taken up again after an hour from the checkpoint of step 2.
STORY += [{"at": 3761, "kind": "resumed", "step": 2}, phase(3770, "training"), step(3780, 3, loss=0.5), {"at": 3781, "kind": "end"}]


def test_curves_stand_against_steps_rows_tokens_and_seconds_of_training(studio: Studio) -> None:
    run = told_run(studio, STORY)
    curves = curves_of("arm", studio.directory(run))
    assert [curve.value for curve in curves] == ["accuracy", "nll", "loss"]
    loss = {field: points_of(curves, "loss", field) for field in AXES.values()}
    assert loss["step"] == [("arm", 1, 2.0), ("arm", 2, 1.0), ("arm", 3, 0.5)], "what came after the checkpoint was lost, and is told as it was done anew"
    assert [x for _, x, _ in loss["items"]] == [4, 8, 12]
    assert [x for _, x, _ in loss["tokens"]] == [40, 80, 120]
    assert [x for _, x, _ in loss["seconds"]] == [10, 20, 30], "neither loading nor scoring counts, nor the hour between two attempts, nor what was lost"
    assert points_of(curves, "accuracy", "step") == [("arm", 0, 0.25), ("arm", 2, 0.625)]
    assert "| arm | 2 | 8 | 2 | 62.5% (10.0% to 90.0%) | 0.3333 nats (n = 8) |" in curves_text(curves)


def test_a_run_from_before_has_a_curve_against_steps_only(studio: Studio) -> None:
    old = told_run(studio, [phase(0, "training"), {"at": 1, "kind": "step", "step": 1, "loss": 2.0}])
    curves = curves_of("old", studio.directory(old))
    assert points_of(curves, "loss", "step") == [("old", 1, 2.0)]
    assert points_of(curves, "loss", "items") == points_of(curves, "loss", "tokens") == []
    assert "None of these runs" in curves_text(curves)


def test_what_a_run_writes_is_what_the_curves_read(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("phase", phase="training")
    log.emit("step", **{name: value for name, value in step(0, 1).items() if name not in ("at", "kind")})
    log.heartbeat()
    log.close()
    assert points_of(curves_of("x", tmp_path), "loss", "step") == [("x", 1, 2.0)]


# The tab.


def test_the_tab_opens_at_the_newest_run_and_keeps_what_was_chosen(studio: Studio, scored: Run) -> None:
    arms = [told_run(studio, STORY, f"arm {number}") for number in range(2)]
    with open_store(studio.data) as db:
        known_runs(db, studio.data)
    page = page_of(studio)
    runs, compared = page.load(None, [])
    assert (runs["value"], [one for _, one in runs["choices"]]) == (scored.id, [scored.id])
    assert sorted(compared["value"]) == sorted(arm.id for arm in arms)
    runs, compared = page.load(scored.id, [arms[0].id, "gone"])
    assert (runs["value"], compared["value"]) == (scored.id, [arms[0].id])
    table, *plots = page.compare([arm.id for arm in arms], "tokens learnt")
    assert table.count("| arm") == 2 and len(plots) == len(PLOTS)
    frame = plots[0]["value"]
    assert plots[0]["visible"] and plots[0]["x_title"] == "tokens learnt" and frame["run"].nunique() == 2
    assert not any(plot["visible"] for plot in page.compare([], "seconds of training")[1:])


def test_the_tab_of_an_empty_studio_says_what_to_do(studio: Studio) -> None:
    page = page_of(studio)
    assert page.load(None, [])[0]["value"] is None
    assert "Freeze questions" in page.show(None)[0]
    with pytest.raises(NotFoundError):
        page.show("a run that is gone")


def test_every_handler_of_the_tab_is_guarded(studio: Studio) -> None:
    guarded: list[str] = []

    def guard(fn: Any) -> Any:
        guarded.append(fn.__name__)
        return fn

    with gr.Blocks() as blocks, gr.Tab("Compare") as tab:
        build_results(Context(studio.data, guard, lambda *_: pytest.fail("nothing is frozen here")), tab)
    assert sorted(set(guarded)) == ["compare", "hidden", "load", "show"]
    assert len(blocks.fns) == len(guarded)
