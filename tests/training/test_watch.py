"""What the page knows of a run that it watches."""

import json
from pathlib import Path

from training.events import EventLog
from training.status import RunStatus
from training.watch import Watched, advance, series_of, status_text


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
    assert second.total_steps == 900
    assert second.offset == (tmp_path / "events.jsonl").stat().st_size
    assert advance(second, "run", tmp_path) == second
    (tmp_path / "other").mkdir()
    assert advance(second, "other", tmp_path / "other") == Watched("other")


def test_a_long_run_is_drawn_with_at_most_five_hundred_points(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for step in range(1, 2001):
        log.emit("step", step=step, loss=100.0 if step == 777 else 1.0, learning_rate=1e-4, grad_norm=1.0)
    points = series_of(advance(Watched(), "run", tmp_path), "loss")
    assert len(points) <= 500
    assert (points[0][0], points[-1][0]) == (1, 2000)
    assert (777, 100.0) in points, "a spike is what one looks for"


def test_the_status_tells_figures_and_that_weights_were_random(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("phase", phase="training", total_steps=12)
    log.emit("step", step=3, loss=0.6931, learning_rate=5e-6, grad_norm=1.5, tokens=1080, tokens_per_s=1234.5, **{"rewards/accuracies": 0.5})
    watched = advance(Watched(), "run", tmp_path)
    text = status_text(RunStatus("running", "It is at: training."), watched, tmp_path)
    assert "step 3 of 12" in text and "loss 0.6931" in text and "1,234 tokens/s" in text and "pairs ranked right 50%" in text
    validation = {"rows": 8, "before": {"loss": 2.5}, "after": {"loss": 2.25, "pairs_ranked_right": 0.75}, "reason": None}
    result = {"outcome": "finished", "reason": "", "rows": 6, "tokens": 1080, "seconds": 7.7, "device": "cpu", "random_weights": True, "validation": validation}
    (tmp_path / "result.json").write_text(json.dumps(result))
    text = status_text(RunStatus("finished", "All steps are done."), watched, tmp_path)
    assert "Random weights" in text
    assert "Validation loss (n = 8 held-out rows): 2.5 before, 2.25 after, pairs ranked right 75%." in text
    none = {**result, "validation": {"rows": 0, "before": None, "after": None, "reason": "The set has no row with the split validation."}}
    (tmp_path / "result.json").write_text(json.dumps(none))
    assert "No validation loss: The set has no row" in status_text(RunStatus("finished", ""), watched, tmp_path)
