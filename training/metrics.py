"""What may be said of right and wrong answers: intervals, a paired test, accuracy by type, and which questions changed sides. No torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Of the standard normal distribution: 95 % lie within so many standard deviations.
_Z = 1.959963984540054
NO_TYPE = "no type given"


@dataclass(frozen=True)
class Flip:
    """A question that base and adapter do not both answer right, or both wrong."""

    question: str  # its id
    clip: str
    type: str | None
    gained: bool  # the adapter is right and the base is not


def wilson(k: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share of which `k` of `n` were seen, or None when n is 0.

    Wilson 1927, "Probable inference", the score interval: unlike p +- 2 sd it stays within 0 and 1 and is not empty at k = 0 or n.
    It takes the n for independent; questions about one clip are not quite, so the number of clips belongs beside it.
    Raises ValueError when k is not between 0 and n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is no share.")
    if n == 0:
        return None
    share, z2 = k / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At the ends the formula gives 0 and 1 but for rounding.
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def mcnemar(b: int, c: int) -> float:
    """Return the two-sided exact p of McNemar's test: `b` questions only one is right on, `c` only the other.

    Twice the binomial tail of min(b, c) of b + c fair coins, at most 1 (McNemar 1947; exact form). 1 when they never differ. O(b + c).
    """
    n, least = b + c, min(b, c)
    ways, tail = 1, 0
    for heads in range(least + 1):
        tail += ways
        ways = ways * (n - heads) // (heads + 1)
    return min(1.0, 2 * tail / (1 << n))  # of whole numbers, so exact however large they are


def verdict(sums: Sequence[float], tokens: Sequence[int], answer: int) -> dict[str, Any]:
    """Return what the log-probabilities of a question's options come to; `sums` in nats over each option's whole reply of so many `tokens`.

    `choice` is the option of the highest sum, the probability of the reply as it is written; `choice_by_mean`, of the highest mean a token,
    stands beside it. None for either where two share the first place: a tie is no right answer.
    """
    if not all(math.isfinite(one) for one in sums):
        return no_verdict(f"The model gives an option the log-probability {next(one for one in sums if not math.isfinite(one))}.")
    choice, by_mean = _highest(sums), _highest([one / count for one, count in zip(sums, tokens, strict=True)])
    return {
        "sum": list(sums),
        "tokens": list(tokens),
        "choice": choice,
        "choice_by_mean": by_mean,
        "tie": choice is None,
        "correct": choice == answer,
        "correct_by_mean": by_mean == answer,
        "nll": -sums[answer],
        "reason": None,
    }


def no_verdict(reason: str) -> dict[str, Any]:
    """Return the verdict on a question that could not be scored; it is not correct, and says why."""
    nothing = dict.fromkeys(("sum", "tokens", "choice", "choice_by_mean", "nll"))
    return {**nothing, "tie": False, "correct": False, "correct_by_mean": False, "reason": reason}


def accuracy(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what one model's verdicts on questions come to: correct of n with its 95 % interval, and how many are ties or have no score.

    A tie for the first place and a question without a score count as not correct: nothing is dropped from n.
    `nll` is the mean of -log p(right option), in nats, over the `nll_n` questions that have a score.
    """
    n, correct = len(verdicts), sum(bool(one["correct"]) for one in verdicts)
    low_high = wilson(correct, n) or (None, None)
    losses = [one["nll"] for one in verdicts if one["reason"] is None]
    return {
        "n": n,
        "correct": correct,
        "low": low_high[0],
        "high": low_high[1],
        "correct_by_mean": sum(bool(one["correct_by_mean"]) for one in verdicts),
        "ties": sum(bool(one["tie"]) for one in verdicts),
        "unscored": sum(one["reason"] is not None for one in verdicts),
        "nll": math.fsum(losses) / len(losses) if losses else None,
        "nll_n": len(losses),
    }


def accuracy_by_type(predictions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a line a type of question, in order of name: type, n, clips, base and adapter (None without one)."""
    names = sorted({prediction["type"] or NO_TYPE for prediction in predictions})
    return [{"type": name, **_both([one for one in predictions if (one["type"] or NO_TYPE) == name])} for name in names]


def flips(predictions: Sequence[Mapping[str, Any]]) -> tuple[Flip, ...]:
    """Return the questions on which base and adapter are not both right or both wrong; none without an adapter."""
    paired = [one for one in predictions if one["adapter"] is not None and one["base"]["correct"] != one["adapter"]["correct"]]
    return tuple(Flip(one["question"], one["clip"], one["type"], bool(one["adapter"]["correct"])) for one in paired)


def summary(predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the whole of a result's "accuracy": base against adapter, by type, paired test, and what does not count as it should.

    `contaminated` is how many are about a clip that the adapter learnt from; None when that is not known.
    """
    changed = flips(predictions)
    gained = sum(flip.gained for flip in changed)
    paired = any(one["adapter"] is not None for one in predictions)
    suspected = [one["contaminated"] for one in predictions]
    test = {"only_base": len(changed) - gained, "only_adapter": gained, "p": mcnemar(len(changed) - gained, gained)}
    return {
        **_both(predictions),
        "by_type": accuracy_by_type(predictions),
        "mcnemar": test if paired else None,
        "unscored": sum(one["base"]["reason"] is not None for one in predictions),
        "contaminated": None if None in suspected else sum(suspected),
    }


def _both(predictions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    with_adapter = [one["adapter"] for one in predictions if one["adapter"] is not None]
    return {
        "n": len(predictions),
        "clips": len({one["clip"] for one in predictions}),
        "base": accuracy([one["base"] for one in predictions]),
        "adapter": accuracy(with_adapter) if with_adapter else None,
    }


def _highest(values: Sequence[float]) -> int | None:
    """Return the place of the highest value, or None when it stands twice."""
    best = max(values)
    return values.index(best) if values.count(best) == 1 else None
