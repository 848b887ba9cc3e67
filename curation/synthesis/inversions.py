"""How often narratives tell two events the wrong way round, measured on the evidence spans of a project: the composer's order options side by side.

Each clip's narrative is composed, read as a model's answer is read, and compared with what its evidence makes certain. What is counted is pairs of QA pairs
whose order is certain and told. Two controls are told beside the options: all pairs from the last to the first, and shuffled.
"""

import argparse
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from curation.study.rates import Rate, rate_of
from curation.synthesis.arms import PRESETS, Arm
from curation.synthesis.choosing import Chosen, subjects
from curation.synthesis.narratives import read_narrative, stated_at, told_at
from curation.synthesis.order import OrderScore, numbered, score
from curation.synthesis.subjects import Subject
from curation.synthesis.writers.template import compose
from store.database import open_store
from store.settings import default_data

RESAMPLES, SEED = 2_000, 0
# Each option with sources, by which the sentences of a pair are found.
OPTIONS: Mapping[str, Arm] = MappingProxyType({name: replace(PRESETS["narrative"][name], sources=True) for name in ("file", "sorted", "times", "plan")})
BY_TEXT, BY_TIMES = "as the text goes", "by the times it states"
Telling = Callable[[Subject], Mapping[str, float]]  # where each QA pair is told


@dataclass(frozen=True)
class Measured:
    """How one way to tell stands to the evidence."""

    told: str  # a name of OPTIONS, or of a control
    read: str  # BY_TEXT or BY_TIMES
    clips: int  # with an order that is certain and told
    inversions: Rate  # of the pairs whose order is certain and told, with the 95 % interval of a bootstrap over clips
    untold: int  # pairs whose order is certain and not told


def measure(clips: Iterable[Subject]) -> tuple[Measured, ...]:
    """Return what was counted for each option, as the text goes and by stated times, and for the controls. Some ms a clip; keeps two numbers of each."""
    tellings: dict[tuple[str, str], Telling] = {}
    for name, arm in OPTIONS.items():
        tellings |= {(name, read): _composed(arm, read) for read in ((BY_TEXT, BY_TIMES) if arm.times else (BY_TEXT,))}
    tellings |= {("reversed (control)", BY_TEXT): _reversed, ("shuffled (control)", BY_TEXT): _shuffled}
    scores: dict[tuple[str, str], list[OrderScore]] = {way: [] for way in tellings}
    for clip in clips:
        spans = {pair.qa_id: pair.spans for pair in clip.pairs if pair.answer is not None}
        for way, telling in tellings.items():
            scores[way].append(score(spans, telling(clip)))
    return tuple(_measured(name, read, scores[name, read]) for name, read in tellings)


def rate_by_clip(scores: Iterable[OrderScore], resamples: int = RESAMPLES, seed: int = SEED) -> Rate:
    """Return the share of inversions with the 95 % percentile interval of a bootstrap that draws whole clips, since pairs of one clip are not independent.

    Field and Welsh, Bootstrapping clustered data, JRSS B 69 (2007). Where all clips agree on none or all, a draw of them knows no other; the interval is
    then Wilson's, with each clip as one event. Of fewer than two clips there is none. Cost grows with clips x resamples.
    """
    counted = [one for one in scores if one.concordant + one.discordant]
    wrong = np.array([one.discordant for one in counted], dtype=float)
    told = np.array([one.concordant + one.discordant for one in counted], dtype=float)
    if not counted:
        return Rate(None, None, None, 0, "No order that is certain is told.")
    share, n = float(wrong.sum() / told.sum()), int(told.sum())
    if len(counted) < 2:
        return Rate(share, None, None, n, "One clip alone tells nothing of the spread between clips.")
    if share in (0.0, 1.0):
        bounds = rate_of(int(share) * len(counted), len(counted), "")
        return Rate(share, bounds.low, bounds.high, n)
    chance = np.random.default_rng(seed)
    drawn = (chance.integers(len(counted), size=len(counted)) for _ in range(resamples))
    low, high = np.quantile([wrong[places].sum() / told[places].sum() for places in drawn], [0.025, 0.975])
    return Rate(share, float(low), float(high), n)


def markdown(measured: Iterable[Measured]) -> str:
    """Return the table, a row for each way to tell."""
    lines = ["| told | read | pairs | clips | the wrong way round | 95 % interval | not told |", "|---|---|---|---|---|---|---|"]
    for one in measured:
        rate = one.inversions
        share = rate.reason if rate.share is None else f"{rate.share:.1%}"
        interval = "" if rate.low is None or rate.high is None else f"{rate.low:.1%} to {rate.high:.1%}"
        lines.append(f"| {one.told} | {one.read} | {rate.n:,} | {one.clips:,} | {share} | {interval} | {one.untold:,} |")
    return "\n".join(lines)


def add_command(commands: Any) -> None:
    """Add `inversions` to the subcommands of an argument parser; its `act` returns the table, or with --json what is in it."""
    command = commands.add_parser("inversions", help="how often composed narratives tell events the wrong way round, by the evidence spans")
    command.add_argument("--dataset", metavar="NAME", help="clips of this data set only")
    command.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
    command.add_argument("--json", action="store_true", help="write the figures as JSON")
    command.set_defaults(act=_act)


def _act(options: argparse.Namespace) -> str | dict[str, Any]:
    measured = measure_store(options.data, options.dataset)
    return {"measured": [asdict(one) for one in measured]} if options.json else markdown(measured)


def measure_store(data: Path, dataset: str | None = None) -> tuple[Measured, ...]:
    """Return the same for the clips of a project, or of one of its data sets. Raises InputError for one that is not there."""
    with open_store(data) as db:
        return measure(subjects(db, "narrative", Chosen(datasets=(dataset,) if dataset else ())))


def _measured(name: str, read: str, scores: list[OrderScore]) -> Measured:
    counted = [one for one in scores if one.concordant + one.discordant]
    return Measured(name, read, len(counted), rate_by_clip(counted), sum(one.untold for one in scores))


def _composed(arm: Arm, read: str) -> Telling:
    def told(clip: Subject) -> Mapping[str, float]:
        reading = read_narrative(compose(clip, arm), clip, arm)
        return told_at(reading.sources) if read == BY_TEXT else stated_at(reading.text, reading.sources)

    return told


def _reversed(clip: Subject) -> Mapping[str, float]:
    pairs = numbered(clip, OPTIONS["sorted"])
    return {pair.qa_id: -place for place, pair in enumerate(pairs)}


def _shuffled(clip: Subject) -> Mapping[str, float]:
    pairs = [pair.qa_id for pair in numbered(clip, OPTIONS["file"])]
    random.Random(f"{SEED} {clip.clip_id}").shuffle(pairs)
    return {qa_id: place for place, qa_id in enumerate(pairs)}
