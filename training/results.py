"""What runs came to, in words and points: accuracy of base against adapter, the questions that flipped, and curves of several runs. No torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from training.events import FILE_NAME as EVENTS
from training.events import read_events, thin
from training.markdown import plain, plain_cell
from training.metrics import flips
from training.predictions import read_predictions
from training.questions import Question, load_questions
from training.status import read_result

AXES = {"optimiser steps": "step", "rows learnt from": "items", "tokens learnt": "tokens", "seconds of training": "seconds"}
LISTED = 100  # flips of each direction
POINTS = 500  # of a curve, at most
HEAD = "| | correct | share | 95 % interval | by the mean a token | -log p of the right option | ties | without a score |"


@dataclass(frozen=True)
class Curve:
    """The points of one run: each a mapping with "step", "items", "tokens" and "seconds", None where not told, and one value."""

    name: str
    value: str  # "accuracy", "nll" or "loss"
    points: tuple[Mapping[str, float | None], ...]


def accuracy_text(directory: Path) -> str:
    """Return what an evaluating run found as Markdown, every figure with its n."""
    result = read_result(directory) or {}
    found = result.get("accuracy")
    if not found:
        return "This run has not scored any question."
    lines = [f"**{plain(str(result['note']))}**"] if result.get("note") else []
    if result.get("stopped_early"):
        lines.append(f"**Stopped early: {found['n']:,} of {result['questions_in_run']:,} questions were asked.**")
    lines.append("\n".join([HEAD, "|---" * 8 + "|", *(_line(who, found[who]) for who in ("base", "adapter") if found[who])]))
    clips = f"{found['clips']:,} clip{'' if found['clips'] == 1 else 's'}"
    lines.append(
        f"n = {found['n']:,} questions about {clips}. Questions about one clip are not independent of each other, so with few clips "
        "the true intervals are wider than these (Wilson), and p is larger."
    )
    if found["mcnemar"]:
        test = found["mcnemar"]
        lines.append(
            f"Of the {found['n']:,} questions only the base is right on {test['only_base']:,} and only the adapter on {test['only_adapter']:,}: "
            f"p = {test['p']:.3g} (McNemar's test, exact, two-sided)."
        )
    lines.append(_contamination(found))
    return "\n\n".join(lines)


def types_text(directory: Path) -> str:
    """Return the accuracy by type of question as a Markdown table, empty without a result."""
    found = (read_result(directory) or {}).get("accuracy")
    if not found:
        return ""
    rows = [f"| {plain_cell(one['type'])} | {one['n']:,} | {one['clips']:,} | {_share(one['base'])} | {_share(one['adapter'])} |" for one in found["by_type"]]
    return "\n".join(["| type of question | n | clips | base | adapter |", "|---" * 5 + "|", *rows])


def flips_text(directory: Path) -> str:
    """Return the questions on which base and adapter differ as Markdown, each with a link that opens its clip."""
    predictions = {one["question"]: one for one in read_predictions(directory)}
    changed = flips(list(predictions.values()))
    if not changed:
        return "No question was answered right by one of the two only." if predictions else ""
    questions = {question.id: question for question in load_questions(directory / "questions")}
    parts = []
    for gained, said in ((True, "Only the adapter is right"), (False, "Only the base is right")):
        own = [flip for flip in changed if flip.gained == gained]
        rows = [_flip(questions[flip.question], predictions[flip.question]) for flip in own[:LISTED]]
        more = f", the first {LISTED}" if len(own) > LISTED else ""
        head = ["| question | type | right | base | adapter | clip |", "|---" * 6 + "|"]
        parts.append("\n".join([f"**{said}** (n = {len(own):,}{more})", "", *(head + rows if own else ["None."])]))
    return "\n\n".join(parts)


def curves_of(name: str, directory: Path) -> tuple[Curve, ...]:
    """Return accuracy, -log p of the right option and training loss of a run that learns, as far as it has told them; reads all its events."""
    accuracy: dict[int, dict[str, Any]] = {}
    loss: dict[int, dict[str, Any]] = {}
    for event, seconds in clocked(read_events(directory / EVENTS).events):
        if event["kind"] == "resumed":
            # What came after the checkpoint is done anew.
            accuracy, loss = ({step: told for step, told in points.items() if step <= event["step"]} for points in (accuracy, loss))
        if event["kind"] == "step" and event.get("loss") is not None:
            loss[event["step"]] = {"step": event["step"], "items": event.get("items"), "tokens": event.get("learnt"), "seconds": seconds, "loss": event["loss"]}
        if event["kind"] == "accuracy":
            accuracy[event["step"]] = {**event, "accuracy": event["correct"] / event["n"]}
    told = {"accuracy": accuracy, "nll": accuracy, "loss": loss}
    return tuple(Curve(name, value, tuple(points[step] for step in sorted(points) if points[step].get(value) is not None)) for value, points in told.items())


def points_of(curves: Iterable[Curve], value: str, axis: str) -> list[tuple[str, float, float]]:
    """Return (run, x, y) of the curves of this value against one of AXES' fields, at most POINTS a curve; points without that x are left out."""
    found: list[tuple[str, float, float]] = []
    for curve in curves:
        if curve.value == value:
            pairs = [(float(x), float(point[value] or 0)) for point in curve.points if (x := point.get(axis)) is not None]
            found += [(curve.name, *pair) for pair in thin(pairs, POINTS)]
    return found


def curves_text(curves: Sequence[Curve]) -> str:
    """Return the last accuracy of each run as a Markdown table, with n and interval."""
    last = [(curve.name, curve.points[-1]) for curve in curves if curve.value == "accuracy" and curve.points]
    if not last:
        return "None of these runs has looked at its accuracy. Choose questions and the steps between two looks in the settings of a run."
    head = ["| run | step | n | clips | accuracy | -log p of the right option |", "|---" * 6 + "|"]
    rows = [f"| {plain_cell(name)} | {at['step']:,} | {at['n']:,} | {at['clips']:,} | {_share(at)} | {_nll(at)} |" for name, at in last]
    return "\n".join([*head, *rows])


def clocked(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Yield each event with the seconds for which the run had trained: the time in the phase of that name.

    Neither the pause between two attempts counts, nor the steps that were lost with the earlier one.
    """
    trained_s, before_s, training = 0.0, None, False
    by_step: dict[int, float] = {}
    for event in events:
        if event["kind"] == "resumed":
            trained_s, training = by_step.get(event["step"], 0.0), False
        if training and before_s is not None:
            trained_s += event["at"] - before_s
        if event["kind"] == "step":
            by_step[event["step"]] = trained_s
        before_s, training = event["at"], (event["phase"] == "training" if event["kind"] == "phase" else training)
        yield event, round(trained_s, 1)


def _line(who: str, found: Mapping[str, Any]) -> str:
    n, low, high = found["n"], found["low"], found["high"]
    cells = [
        f"{found['correct']:,} of {n:,}",
        f"{found['correct'] / n:.1%}",
        f"{low:.1%} to {high:.1%}",
        f"{found['correct_by_mean']:,} of {n:,}",
        _nll(found),
        f"{found['ties']:,}",
        f"{found['unscored']:,}",
    ]
    return f"| **{who}** | {' | '.join(cells)} |"


def _nll(found: Mapping[str, Any]) -> str:
    return "unknown (no question has a score)" if found["nll"] is None else f"{found['nll']:.4g} nats (n = {found['nll_n']:,})"


def _share(found: Mapping[str, Any] | None) -> str:
    return "-" if found is None else f"{found['correct'] / found['n']:.1%} ({found['low']:.1%} to {found['high']:.1%})"


def _contamination(found: Mapping[str, Any]) -> str:
    count = found["contaminated"]
    if count is None:
        return "Whether a question is about a video that the adapter learnt from is not known: its run does not tell which it did."
    warning = " **These figures show memory too.**" if count else ""
    return f"Questions about a video that the adapter learnt from: {count:,} of {found['n']:,}.{warning}"


def _flip(question: Question, told: Mapping[str, Any]) -> str:
    chosen = [question.replies[question.answer], *(_chosen(question, told[who]) for who in ("base", "adapter"))]
    cells = [question.question, question.type or "none given", *chosen]
    link = f"[{plain_cell(question.clip.id, 40)}](/frames?clip={quote(question.clip.id, safe='')})"
    return f"| {' | '.join(plain_cell(cell) for cell in cells)} | {link} |"


def _chosen(question: Question, verdict: Mapping[str, Any]) -> str:
    if verdict["reason"] is not None:
        return "no score"
    return "a tie" if verdict["choice"] is None else question.replies[verdict["choice"]]
