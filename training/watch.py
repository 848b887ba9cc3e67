"""What the page knows of a run that it watches: a frozen value that grows with each look at the run's events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from training.events import FILE_NAME, read_events, thin
from training.markdown import plain
from training.pace import LEAST_STEPS, Pace, duration_text
from training.status import RunStatus, read_result

# What is plotted against steps, in this order; a run has some of them.
SERIES = (
    "loss", "learning_rate", "grad_norm", "tokens_per_s", "accuracy", "preference_loss", "rewards/margins", "rewards/accuracies",
    "logps/chosen", "logps/rejected", "device_gib", "host_gib",
)  # fmt: skip
# In an event these are bytes.
_GIB = {"device_gib": "device_bytes", "host_gib": "host_bytes"}
_SHOWN = {
    "loss": "loss {:.4g}",
    "learning_rate": "learning rate {:.4g}",
    "grad_norm": "grad norm {:.4g}",
    "preference_loss": "preference loss {:.4f}",
    "rewards/margins": "reward margin {:.4g}",
    "rewards/accuracies": "pairs ranked right {:.0%}",
    "logps/chosen": "log-probability of the chosen {:.4g}",
    "logps/rejected": "of the rejected {:.4g}",
    "tokens_per_s": "{:,.0f} tokens/s",
    "tokens": "{:,.0f} tokens so far",
    "learnt": "{:,.0f} of them learnt",
    "device_gib": "{:.1f} GiB of the GPU at most",
    "host_gib": "process {:.1f} GiB",
}
_LIMIT = 500  # points a plot
_CHUNK_BYTES = 1 << 23
_ALARMS = 20  # the newest, that are kept

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Watched:
    """How far the events of one run have been read, and what they said. At most 1,000 points a series are kept, however long the run."""

    run_id: str | None = None
    offset: int = 0  # bytes of events.jsonl
    curves: Mapping[str, Points] = field(default_factory=dict)  # by SERIES; a step without a finite value has no point
    latest: Mapping[str, Any] | None = None  # the last step's event
    pace: Pace = field(default_factory=Pace)
    alarms: tuple[str, ...] = ()
    accuracies: tuple[Mapping[str, Any], ...] = ()  # events of the kind "accuracy"
    shown: str = ""  # the texts that the page shows now, to leave alone what has not changed

    @property
    def points(self) -> Mapping[str, Points]:
        """All that is plotted."""
        return self.curves

    @property
    def total_steps(self) -> int | None:
        """Optimiser steps of the run, once it has said so."""
        return self.pace.total_steps


def advance(watched: Watched, run_id: str, directory: Path) -> Watched:
    """Return what is known after reading the events since the last look; another run begins anew. Cost: the new events."""
    if watched.run_id != run_id:
        watched = Watched(run_id)
    while True:
        tail = read_events(directory / FILE_NAME, watched.offset, _CHUNK_BYTES)
        if not tail.events:
            return watched
        watched = _after(replace(watched, offset=tail.offset), tail.events)


def series_of(watched: Watched, name: str, limit: int = _LIMIT) -> list[tuple[float, float]]:
    """Return at most `limit` points (step, value) of one of SERIES; none for a series that the run does not have."""
    return thin(watched.curves.get(name, ()), limit)


def accuracy_curve(watched: Watched) -> list[Mapping[str, Any]]:
    """Return the looks at the multiple-choice accuracy so far: step, items, tokens, seconds, correct, n, low, high."""
    return list(watched.accuracies)


def eta_text(watched: Watched, status: RunStatus) -> str:
    """Return how long the run will still take and from how many steps that is told, or why that is not known; empty when it does not go on."""
    if status.state not in ("running", "stalled"):
        return ""
    pace = watched.pace
    if pace.eta_s is not None:
        return f"{duration_text(pace.eta_s)} left, from {pace.counted:,} steps" if pace.done_from is None else f"{duration_text(pace.eta_s)} left"
    if pace.phase and pace.phase != "training":
        return f"unknown: it is at: {pace.phase}"
    return f"unknown: {pace.timed} of {LEAST_STEPS} steps timed"


def status_text(status: RunStatus, watched: Watched, directory: Path) -> str:
    """Return the status, its reason and the latest figures as Markdown."""
    left = eta_text(watched, status)
    lines = [f"**{status.state}** · {plain(status.reason)}" + (f" Time: {plain(left)}." if left else "")]
    result = read_result(directory) or {}
    if result.get("random_weights"):
        lines.append("**Random weights: this run proves the pipeline and learnt nothing of use.**")
    lines += [f"**Alarm.** {plain(text)}" for text in watched.alarms[-3:]]
    if watched.latest is not None:
        lines.append(_figures(watched.latest, watched.total_steps))
    if watched.accuracies:
        lines.append(_accuracy(watched.accuracies))
    if result.get("validation"):
        lines.append(_validation(result["validation"]))
    if "rows" in result:
        lines.append(f"{result['rows']:,} rows, {result['tokens']:,} tokens, {result['seconds']:,.0f} s in all, on {plain(str(result['device']))}.")
    return "\n\n".join(lines)


def value_of(event: Mapping[str, Any], name: str) -> float | None:
    """Return what an event says of one of SERIES, memory in GiB, or None."""
    if name == "accuracy":
        return event["correct"] / event["n"] if event["kind"] == "accuracy" and event.get("n") else None
    if event["kind"] != "step":
        return None
    value = event.get(_GIB.get(name, name))
    return None if value is None else value / 2**30 if name in _GIB else value


def _after(watched: Watched, events: Sequence[Mapping[str, Any]]) -> Watched:
    curves, pace = {name: list(points) for name, points in watched.curves.items()}, watched.pace
    alarms, accuracies, latest = list(watched.alarms), list(watched.accuracies), watched.latest
    for event in events:
        pace, kind = pace.after(event), event["kind"]
        if kind == "resumed":
            # What was learnt after the checkpoint is lost, and will be learnt again.
            step = int(event.get("step") or 0)
            curves = {name: [point for point in points if point[0] <= step] for name, points in curves.items()}
            accuracies = [known for known in accuracies if known["step"] <= step]
        elif kind in ("step", "accuracy"):
            for name in SERIES if kind == "step" else ("accuracy",):
                if (value := value_of(event, name)) is not None:
                    curves.setdefault(name, []).append((event["step"], value))
            latest = event if kind == "step" else latest
            accuracies += [event] if kind == "accuracy" else []
        elif kind == "alarm":
            alarms.append(str(event["text"]))
    kept = {name: tuple(points if len(points) <= 2 * _LIMIT else thin(points, _LIMIT)) for name, points in curves.items()}
    return replace(watched, curves=kept, pace=pace, latest=latest, alarms=tuple(alarms[-_ALARMS:]), accuracies=tuple(accuracies))


def _figures(event: Mapping[str, Any], total_steps: int | None) -> str:
    parts = [f"step {event['step']}" + (f" of {total_steps}" if total_steps else "")]
    parts += [form.format(value) for name, form in _SHOWN.items() if (value := value_of(event, name)) is not None]
    if event.get("seconds") and event.get("reading_seconds") is not None:
        parts.append(f"{event['reading_seconds'] / event['seconds']:.0%} of the step spent on reading")
    return " · ".join(parts)


def _accuracy(looks: Sequence[Mapping[str, Any]]) -> str:
    def told(look: Mapping[str, Any]) -> str:
        return f"{look['correct'] / look['n']:.1%} (95 % interval {look['low']:.1%} to {look['high']:.1%}) at step {look['step']}"

    looks = [look for look in looks if look.get("n")]
    if not looks:
        return "No multiple-choice question was scored."
    first = f"{told(looks[0])}, now " if len(looks) > 1 else ""
    return f"Multiple-choice accuracy (n = {looks[-1]['n']} questions): {first}{told(looks[-1])}."


def _validation(validation: Mapping[str, Any]) -> str:
    before, after = validation.get("before"), validation.get("after")
    if not before:
        return f"No validation loss: {plain(str(validation['reason']))}"
    text = f"Validation loss (n = {validation['rows']} held-out rows): {before['loss']:.4g} before"
    if not after:
        return f"{text}. {plain(str(validation['reason']))}"
    ranked = f", pairs ranked right {after['pairs_ranked_right']:.0%}" if "pairs_ranked_right" in after else ""
    return f"{text}, {after['loss']:.4g} after{ranked}."
