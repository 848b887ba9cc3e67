"""What the page knows of a run that it watches: a frozen value that grows with each look at the run's events."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.events import FILE_NAME, read_events, thin
from training.markdown import plain
from training.status import RunStatus, read_result

SERIES = ("loss", "learning_rate", "grad_norm")
_ALSO_SHOWN = {
    "preference_loss": "preference loss {:.4f}",
    "rewards/margins": "reward margin {:.4g}",
    "rewards/accuracies": "pairs ranked right {:.0%}",
    "tokens_per_s": "{:,.0f} tokens/s",
    "tokens": "{:,.0f} tokens so far",
}


@dataclass(frozen=True)
class Watched:
    """How far the events of one run have been read, and what they said."""

    run_id: str | None = None
    offset: int = 0  # bytes of events.jsonl
    points: tuple[tuple[float, float | None, float | None, float | None], ...] = ()  # step, then SERIES in order
    total_steps: int | None = None
    latest: Mapping[str, Any] | None = None  # the last step's event
    shown: str = ""  # the texts that the page shows now, to leave alone what has not changed


def advance(watched: Watched, run_id: str, directory: Path) -> Watched:
    """Return what is known after reading the events since the last look; another run begins anew."""
    if watched.run_id != run_id:
        watched = Watched(run_id)
    tail = read_events(directory / FILE_NAME, watched.offset)
    steps = [event for event in tail.events if event["kind"] == "step"]
    totals = [event["total_steps"] for event in tail.events if event.get("total_steps")]
    return replace(
        watched,
        offset=tail.offset,
        points=watched.points + tuple((event["step"], *(event.get(name) for name in SERIES)) for event in steps),
        total_steps=totals[-1] if totals else watched.total_steps,
        latest=steps[-1] if steps else watched.latest,
    )


def series_of(watched: Watched, name: str, limit: int = 500) -> list[tuple[float, float]]:
    """Return at most `limit` points (step, value) of one of SERIES; steps without a finite value are left out."""
    at = 1 + SERIES.index(name)
    return thin([(point[0], value) for point in watched.points if (value := point[at]) is not None], limit)


def status_text(status: RunStatus, watched: Watched, directory: Path) -> str:
    """Return the status, its reason and the latest figures as Markdown."""
    lines = [f"**{status.state}** · {plain(status.reason)}"]
    result = read_result(directory) or {}
    if result.get("random_weights"):
        lines.append("**Random weights: this run proves the pipeline and learnt nothing of use.**")
    if watched.latest is not None:
        lines.append(_figures(watched.latest, watched.total_steps))
    if result.get("validation"):
        lines.append(_validation(result["validation"]))
    if "rows" in result:
        lines.append(f"{result['rows']:,} rows, {result['tokens']:,} tokens, {result['seconds']:,.0f} s in all, on {plain(str(result['device']))}.")
    return "\n\n".join(lines)


def _figures(event: Mapping[str, Any], total_steps: int | None) -> str:
    parts = [f"step {event['step']}" + (f" of {total_steps}" if total_steps else "")]
    parts += [f"{name.replace('_', ' ')} {event[name]:.4g}" for name in SERIES if event.get(name) is not None]
    parts += [form.format(event[name]) for name, form in _ALSO_SHOWN.items() if event.get(name) is not None]
    return " · ".join(parts)


def _validation(validation: Mapping[str, Any]) -> str:
    before, after = validation.get("before"), validation.get("after")
    if not before:
        return f"No validation loss: {plain(str(validation['reason']))}"
    text = f"Validation loss (n = {validation['rows']} held-out rows): {before['loss']:.4g} before"
    if not after:
        return f"{text}. {plain(str(validation['reason']))}"
    ranked = f", pairs ranked right {after['pairs_ranked_right']:.0%}" if "pairs_ranked_right" in after else ""
    return f"{text}, {after['loss']:.4g} after{ranked}."
