"""What the page knows of a run that it watches."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.events import EventLog, read_events
from training.pace import Pace, duration_text
from training.status import RunStatus
from training.watch import Watched, accuracy_curve, advance, eta_text, series_of, status_text

RUNNING = RunStatus("running", "It is at: training.")


def test_looking_again_reads_only_what_is_new_and_another_run_begins_anew(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("phase", phase="training", total_steps=900)
    log.emit("step", step=1, loss=3.0, learning_rate=1e-4, grad_norm=0.5)
    first = advance(Watched(), "run", tmp_path)
    log.emit("heartbeat")
    log.emit("step", step=2, loss=2.0, learning_rate=1e-4, grad_norm=None)
    second = advance(first, "run", tmp_path)
    assert series_of(second, "loss") == [(1, 3.0), (2, 2.0)]
    assert series_of(second, "grad_norm") == [(1, 0.5)], "a norm that was no number leaves a gap"
    assert series_of(second, "rewards/margins") == [], "an SFT run has none"
    assert second.total_steps == 900
    assert second.offset == (tmp_path / "events.jsonl").stat().st_size
    assert advance(second, "run", tmp_path) == second
    (tmp_path / "other").mkdir()
    assert advance(second, "other", tmp_path / "other") == Watched("other")


def test_a_long_run_is_kept_and_drawn_with_few_points_that_lie_evenly_and_hold_every_spike(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = [json.dumps({"at": step, "kind": "step", "step": step, "loss": 100.0 if step == 7777 else 1.0 + step % 2}) for step in range(1, 20_001)]
    watched = Watched()
    for part in (4_000, 9_000, 15_000, 20_000):  # four looks
        path.write_text("\n".join(lines[:part]) + "\n")
        watched = advance(watched, "run", tmp_path)
        assert all(len(points) <= 1000 for points in watched.curves.values())
    points = series_of(watched, "loss")
    assert len(points) <= 500 and (points[0][0], points[-1][0]) == (1, 20_000)
    assert (7777, 100.0) in points, "a spike is what one looks for"
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(points)) <= 2 * 20_000 / 249, "the beginning is drawn as finely as the end"
    at_once = series_of(advance(Watched(), "run", tmp_path), "loss")
    assert abs(len(at_once) - len(points)) < 10


def test_what_was_learnt_after_the_checkpoint_of_a_resumed_run_is_not_drawn_twice(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for step in (1, 2, 3, 4):
        log.emit("step", step=step, loss=float(step))
    log.emit("accuracy", step=4, correct=1, n=2, low=0.0, high=1.0)
    log.emit("resumed", step=2)
    log.emit("step", step=3, loss=9.0)
    watched = advance(Watched(), "run", tmp_path)
    assert series_of(watched, "loss") == [(1, 1.0), (2, 2.0), (3, 9.0)]
    assert accuracy_curve(watched) == []


def test_preferences_memory_accuracy_and_alarms_are_told(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    more: dict[str, Any] = {"rewards/margins": 0.25, "rewards/accuracies": 0.75, "logps/chosen": -12.5, "logps/rejected": -14.0}
    log.emit("step", step=3, loss=0.5, device_bytes=3 * 2**30, host_bytes=2**29, tokens=900, learnt=300, seconds=2.0, reading_seconds=0.5, **more)
    log.emit("accuracy", step=0, correct=10, n=40, low=0.142, high=0.402)
    log.emit("accuracy", step=3, correct=20, n=40, low=0.352, high=0.648)
    log.emit("alarm", text="The chosen text becomes <b>less</b> likely.")
    watched = advance(Watched(), "run", tmp_path)
    assert series_of(watched, "accuracy") == [(0, 0.25), (3, 0.5)] and series_of(watched, "device_gib") == [(3, 3.0)]
    assert series_of(watched, "logps/rejected") == [(3, -14.0)] and len(accuracy_curve(watched)) == 2
    text = status_text(RUNNING, watched, tmp_path)
    assert "reward margin 0.25 · pairs ranked right 75% · log-probability of the chosen -12.5 · of the rejected -14" in text
    assert "900 tokens so far · 300 of them learnt · 3.0 GiB of the GPU at most · process 0.5 GiB · 25% of the step spent on reading" in text
    assert "accuracy (n = 40 questions): 25.0% (95 % interval 14.2% to 40.2%) at step 0, now 50.0% (95 % interval 35.2% to 64.8%) at step 3" in text
    assert "**Alarm.** The chosen" in text and "<b>" not in text


def test_the_status_tells_figures_and_that_weights_were_random(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("phase", phase="training", total_steps=12)
    log.emit("step", step=3, loss=0.6931, learning_rate=5e-6, grad_norm=1.5, tokens=1080, tokens_per_s=1234.5, **{"rewards/accuracies": 0.5})
    watched = advance(Watched(), "run", tmp_path)
    text = status_text(RUNNING, watched, tmp_path)
    assert "step 3 of 12" in text and "loss 0.6931" in text and "1,234 tokens/s" in text and "pairs ranked right 50%" in text
    validation = {"rows": 8, "before": {"loss": 2.5}, "after": {"loss": 2.25, "pairs_ranked_right": 0.75}, "reason": None}
    result = {"outcome": "finished", "reason": "", "rows": 6, "tokens": 1080, "seconds": 7.7, "device": "cpu", "random_weights": True, "validation": validation}
    (tmp_path / "result.json").write_text(json.dumps(result))
    text = status_text(RunStatus("finished", "All steps are done."), watched, tmp_path)
    assert "Random weights" in text and "Time:" not in text
    assert "Validation loss (n = 8 held-out rows): 2.5 before, 2.25 after, pairs ranked right 75%." in text
    none = {**result, "validation": {"rows": 0, "before": None, "after": None, "reason": "The set has no row with the split validation."}}
    (tmp_path / "result.json").write_text(json.dumps(none))
    assert "No validation loss: The set has no row" in status_text(RunStatus("finished", ""), watched, tmp_path)


def paced(*events: tuple[float, str, dict[str, Any]]) -> Pace:
    pace = Pace()
    for at, kind, values in events:
        pace = pace.after({"at": at, "kind": kind, **values})
    return pace


def steps(first: int, last: int, begun_s: float, each_s: float) -> list[tuple[float, str, dict[str, Any]]]:
    return [(begun_s + each_s * (step - first + 1), "step", {"step": step}) for step in range(first, last + 1)]


def test_the_time_left_is_not_known_before_three_steps_after_the_one_that_warms_up() -> None:
    begun = (100.0, "phase", {"phase": "training", "total_steps": 20})
    warm = (160.0, "step", {"step": 1})  # a minute for kernels and caches
    for count in (1, 2):
        assert paced(begun, warm, *steps(2, 1 + count, 160.0, 2.0)).eta_s is None
    known = paced(begun, warm, *steps(2, 4, 160.0, 2.0))
    assert known.eta_s == pytest.approx(16 * 2.0) and known.counted == 3, "the first step is not what the others will take"
    assert eta_text(Watched(pace=known), RUNNING) == "32 s left, from 3 steps"
    assert eta_text(Watched(pace=paced(begun, warm)), RUNNING) == "unknown: 0 of 3 steps timed"
    assert eta_text(Watched(pace=known), RunStatus("finished", "")) == ""
    assert eta_text(Watched(pace=paced((1.0, "phase", {"phase": "loading the model"}))), RUNNING) == "unknown: it is at: loading the model"


def test_evaluation_and_saving_are_told_apart_from_steps_and_foreseen() -> None:
    begun = [(0.0, "phase", {"phase": "scoring 8 held-out rows"}), (30.0, "phase", {"phase": "training", "total_steps": 41})]
    looks = [(43.0, "step", {"step": 11}), (93.0, "accuracy", {"step": 11, "correct": 1, "n": 2}), (94.0, "step", {"step": 12})]
    pace = paced(*begun, *steps(1, 10, 32.0, 1.0), *looks, *steps(13, 21, 94.0, 1.0))
    assert pace.step_s == pytest.approx(1.0), "fifty seconds of questions are no slow step"
    assert pace.pauses_s == pytest.approx(50.0)
    assert pace.eta_s == pytest.approx(20 * (1.0 + 50 / 20) + 30.0), "pauses come as often as before, and the held-out rows are scored again"
    told = paced(*begun, *[(at, kind, {**values, "seconds": 0.5}) for at, kind, values in steps(1, 10, 32.0, 1.0)])
    assert told.step_s == pytest.approx(0.5) and told.pauses_s == pytest.approx(4.5), "where the run says what a step took itself, that is believed"


def test_a_resumed_run_warms_up_again() -> None:
    begun = (0.0, "phase", {"phase": "training", "total_steps": 100})
    before = paced(begun, *steps(1, 10, 0.0, 1.0))
    after = before
    for event in (
        {"at": 5000.0, "kind": "resumed", "step": 8},
        {"at": 5100.0, "kind": "phase", "phase": "training"},
        {"at": 5160.0, "kind": "step", "step": 9},
    ):
        after = after.after(event)
    assert after.step_s == before.step_s and after.pauses_s == 0.0, "neither the night between nor the first step counts"
    assert after.eta_s == pytest.approx(91 * 1.0)


@given(st.floats(0.01, 100), st.integers(4, 60), st.integers(1, 500))
def test_of_even_steps_the_time_left_is_their_number_times_their_length(each_s: float, done: int, left: int) -> None:
    pace = paced((0.0, "phase", {"phase": "training", "total_steps": done + left}), *steps(1, done, 0.0, each_s))
    assert pace.eta_s == pytest.approx(left * each_s, rel=1e-6)


def test_texts_that_are_written_are_foreseen_by_their_number() -> None:
    begun = (0.0, "phase", {"phase": "writing 10 texts"})
    written = [(10.0 + 3 * done, "text", {"done": done, "of": 10}) for done in range(1, 6)]
    assert paced(begun, *written).eta_s == pytest.approx(15.0)
    assert paced(begun, *written[:2]).eta_s is None


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h 0 min"), (200_000, "2 d 7 h")])
def test_durations_are_told_in_the_units_of_their_size(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_large_file_is_read_in_parts(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for number in range(100):
        log.emit("note", number=number)
    seen, offset = [], 0
    while (tail := read_events(tmp_path / "events.jsonl", offset, 500)).events:
        assert len(tail.events) < 100
        seen += [event["number"] for event in tail.events]
        offset = tail.offset
    assert seen == list(range(100))
