"""How far annotators agree: raw agreement and Krippendorff's alpha for the verdict, each flag and each rating.

Alpha: Krippendorff, Content Analysis (2004), chapter 11. Interval: jackknife over items with Student's t, which covers near its
nominal 95 % from 50 items on (Hughes, arXiv 2210.13265); under 30 items, or with a value that hardly occurs, it covers less and is refused.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
import sqlite_utils

from curation.work import VERDICTS
from curation.work_flags import flag_names
from store.annotations import final_annotations, flags_of_finals
from store.records import Annotation

Level = Literal["nominal", "ordinal"]
Counts = npt.NDArray[np.int64]
LEAST_ITEMS = 30
LEAST_RARER = 5
RATINGS = {"factual_consistency": "Factual consistency", "logical_coherence": "Logical coherence"}


@dataclass(frozen=True)
class Measure:
    """What is measured: the values an annotator can give, in order, and which of them say that something is wrong."""

    id: str  # "verdict", "flag:KIND" or "rating:NAME"
    name: str
    level: Level
    domain: tuple[str, ...]
    faults: frozenset[str]


@dataclass(frozen=True)
class AgreementRow:
    """Agreement on one measure. An item is a candidate; None is undefined, and `reason` says why."""

    measure: str
    name: str
    level: Level
    n_items: int  # with one annotation or more
    n_pairable_items: int  # with two or more
    n_raters: int
    n_ratings: int
    n_values: int  # distinct values given
    values: tuple[tuple[str, int], ...]  # value, how often it was given
    prevalence: float | None  # share of ratings that say that something is wrong: `fault`
    fault: str
    raw_agreement: float | None  # share of pairs of annotators of one item that gave the same value
    n_pairs: int
    alpha: float | None
    alpha_low: float | None  # 95 %
    alpha_high: float | None
    reason: str | None  # why alpha is undefined
    interval_reason: str | None  # why there is no interval


def measures() -> tuple[Measure, ...]:
    """Return all that is measured: the verdict, each flag of the taxonomy, each rating."""
    # A skip is no opinion on the text.
    verdict = Measure("verdict", "Verdict", "nominal", tuple(v for v in VERDICTS if v != "skip"), frozenset({"reject"}))
    flags = [Measure(f"flag:{kind}", name, "nominal", ("not flagged", "flagged"), frozenset({"flagged"})) for kind, name in flag_names().items()]
    stars = tuple("12345")
    ratings = [Measure(f"rating:{rating}", name, "ordinal", stars, frozenset(stars[:-1])) for rating, name in RATINGS.items()]
    return verdict, *flags, *ratings


def agreement_table(db: sqlite_utils.Database) -> list[AgreementRow]:
    """Return one row a measure over all final annotations, skips left out."""
    annotations = [annotation for annotation in final_annotations(db) if annotation.verdict != "skip"]
    kinds: dict[str, set[str]] = defaultdict(set)
    for flag in flags_of_finals(db):
        kinds[flag.annotation_id].add(flag.kind)
    return [agreement_of(measure, _ratings(annotations, _reader(measure, kinds))) for measure in measures()]


def agreement_of(measure: Measure, ratings: Mapping[Hashable, Mapping[str, str]]) -> AgreementRow:
    """Return the agreement on one measure; `ratings` is item -> annotator -> value of the measure's domain."""
    place = {value: column for column, value in enumerate(measure.domain)}
    counts = np.zeros((len(ratings), len(measure.domain)), dtype=np.int64)
    for row, given in enumerate(ratings.values()):
        for value in given.values():
            counts[row, place[value]] += 1
    counts = counts[counts.sum(axis=1) > 0]
    pairable = counts[counts.sum(axis=1) > 1]
    reason = _undefined(measure, counts, pairable)
    alpha = None if reason else alpha_of(pairable, measure.level)
    interval_reason = "There is no alpha." if reason else _no_interval(pairable)
    low, high = (None, None) if interval_reason else _jackknife(pairable, measure.level)
    total, given_counts = int(counts.sum()), counts.sum(axis=0)
    same, pairs = int((pairable * (pairable - 1)).sum()) // 2, int((pairable.sum(axis=1) * (pairable.sum(axis=1) - 1)).sum()) // 2
    wrong = sum(int(n) for value, n in zip(measure.domain, given_counts, strict=True) if value in measure.faults)
    return AgreementRow(
        measure=measure.id,
        name=measure.name,
        level=measure.level,
        n_items=len(counts),
        n_pairable_items=len(pairable),
        n_raters=len({rater for given in ratings.values() for rater in given}),
        n_ratings=total,
        n_values=int((given_counts > 0).sum()),
        values=tuple((value, int(n)) for value, n in zip(measure.domain, given_counts, strict=True)),
        prevalence=wrong / total if total else None,
        fault="below 5" if measure.level == "ordinal" else next(iter(measure.faults)),
        raw_agreement=same / pairs if pairs else None,
        n_pairs=pairs,
        alpha=alpha,
        alpha_low=low,
        alpha_high=high,
        reason=reason,
        interval_reason=interval_reason,
    )


def alpha_of(counts: Counts, level: Level) -> float:
    """Return Krippendorff's alpha; `counts` is items x values, how many annotators gave the item the value, columns in order.

    Two values or more must occur in items with two annotators or more: anything else is 0/0.
    """
    import krippendorff

    return float(krippendorff.alpha(value_counts=counts, level_of_measurement=level))


def t_quantile(share: float, freedom: int) -> float:
    """Return Student's t quantile for `freedom` degrees, by Cornish-Fisher (Abramowitz & Stegun 26.7.5): to 1e-5 from 29 degrees on."""
    z, n = NormalDist().inv_cdf(share), float(freedom)
    terms = (
        z,
        (z**3 + z) / (4 * n),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3),
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4),
    )
    return sum(terms)


def agreement_csv(rows: Sequence[AgreementRow]) -> str:
    """Return the table as CSV with a header line; what is undefined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(AgreementRow)]
    writer.writerow(names)
    for row in rows:
        cells = {name: getattr(row, name) for name in names}
        cells["values"] = "; ".join(f"{value}: {n}" for value, n in row.values)
        writer.writerow("" if cells[name] is None else f"{cells[name]:.6f}" if isinstance(cells[name], float) else cells[name] for name in names)
    return out.getvalue()


def _ratings(annotations: Iterable[Annotation], read: Callable[[Annotation], str | None]) -> dict[Hashable, dict[str, str]]:
    ratings: dict[Hashable, dict[str, str]] = defaultdict(dict)
    for annotation in annotations:
        value = read(annotation)
        if value is not None:
            ratings[annotation.candidate_id][annotation.annotator] = value
    return ratings


def _reader(measure: Measure, kinds: Mapping[str, set[str]]) -> Callable[[Annotation], str | None]:
    """Return how to read the measure off an annotation; None where the annotator said nothing."""
    what, _, name = measure.id.partition(":")
    if what == "verdict":
        return lambda annotation: annotation.verdict
    if what == "flag":
        return lambda annotation: "flagged" if name in kinds.get(annotation.id, ()) else "not flagged"

    def rating(annotation: Annotation) -> str | None:
        given = getattr(annotation, name)
        return None if given is None else str(given)

    return rating


def _undefined(measure: Measure, counts: Counts, pairable: Counts) -> str | None:
    """Return why alpha is undefined, or None when it is defined."""
    if not len(counts):
        return "Nobody has given this yet. Finish items on the Annotate page."
    if not len(pairable):
        return f"No item has two annotators ({len(counts)} have one). Let a second person finish items that another has finished."
    used = Counter({value: int(n) for value, n in zip(measure.domain, pairable.sum(axis=0), strict=True) if n})
    if len(used) > 1:
        return None
    (value, n), *_ = used.items()
    return f"All {n} ratings of the {len(pairable)} items with two annotators are “{value}”: with one value only, chance cannot be told from agreement."


def _no_interval(pairable: Counts) -> str | None:
    """Return why an interval would mislead, or None; `pairable` holds items with two annotators or more."""
    if len(pairable) < LEAST_ITEMS:
        return f"{len(pairable)} items have two annotators; under {LEAST_ITEMS} an interval covers less than it says."
    commonest = int(pairable.sum(axis=0).argmax())
    rarer = int((pairable.sum(axis=1) > pairable[:, commonest]).sum())
    if rarer < LEAST_RARER:
        return f"Somebody gave another value than the commonest to {rarer} of {len(pairable)} items; under {LEAST_RARER} an interval covers less than it says."
    if not (pairable.max(axis=1) < pairable.sum(axis=1)).any():
        return f"The annotators agree on all {len(pairable)} items, so the items show no spread to make an interval from."
    return None


def _jackknife(pairable: Counts, level: Level) -> tuple[float, float]:
    """Return the 95 % interval, cut at 1. One alpha for each distinct row of counts, however many items there are."""
    n = len(pairable)
    _, first, times = np.unique(pairable, axis=0, return_index=True, return_counts=True)
    without = np.array([alpha_of(np.delete(pairable, row, axis=0), level) for row in first])
    mean = float((without * times).sum() / n)
    spread = float(np.sqrt((n - 1) / n * (times * (without - mean) ** 2).sum()))
    whole, reach = alpha_of(pairable, level), t_quantile(0.975, n - 1) * spread
    return whole - reach, min(1.0, whole + reach)
