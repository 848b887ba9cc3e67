"""What is asked of preference pairs before a model learns from them and while it does. No torch, no video."""

import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import Any

from store.errors import InputError
from training.config import RunConfig
from training.rows import Row

FEWEST_PAIRS = 50
# Terms that look at the mean log-probability of a token instead of the sum over all.
NORMALISED = ("ipo", "sigmoid_norm")
ALARM_STEPS = 20
_EASY_STEPS, _EASY_BY_STEP, _EASY_ACCURACY = 10, 50, 0.98
_MARKER = re.compile(r"final\s+answer\s*:", re.IGNORECASE)
_NAMED = 20


def few_pairs_problem(count: int, config: RunConfig) -> str | None:
    """Return why a DPO run on `count` training pairs is refused, or None: when there are enough, or the config insists, or nothing is to be learnt.

    The effects that it names are those of arXiv 2312.00849 (RLHF-V) and 2510.01009 (POVQA); the limit itself is ours.
    """
    if config.stage != "dpo" or config.random_weights or config.few_pairs or count >= FEWEST_PAIRS:
        return None
    return (
        f"There are {count} training pairs, and below {FEWEST_PAIRS} a DPO run is refused: so few teach these very texts rather than a preference. "
        "Published gains rest on far more: RLHF-V corrected 1,400 texts, and POVQA, with 239 questions, calls the effects of DPO not uniformly positive. "
        "Make more pairs, or put the accepted texts into an SFT set, or set few_pairs to go on all the same."
    )


def effective_beta(config: RunConfig, mean_tokens: float) -> float | None:
    """Return the strength with which beta acts on a summed log-probability ratio, for replies of `mean_tokens` scored tokens; None without a beta.

    A term that averages over tokens (sigmoid_norm, ipo) divides the ratio by the tokens, which is beta / tokens on the sum. Of several terms the
    one with the most weight counts; sft looks at no pair and has no beta.
    """
    terms = [(weight, name) for name, weight in zip(config.loss_types, config.loss_weights, strict=True) if name != "sft"]
    if config.beta is None or not terms:
        return None
    heaviest = max(terms, key=lambda term: term[0])[1]
    return config.beta / max(1.0, mean_tokens) if heaviest in NORMALISED else config.beta


def answer_start(text: str, kind: str) -> int | None:
    """Return where in `text` the words behind its last "Final answer:" begin, in characters; None when there are none.

    A reply of the kind answer that does not say the words is an answer as a whole.
    """
    found = list(_MARKER.finditer(text))
    if not found:
        return 0 if kind == "answer" and text.strip() else None
    end = found[-1].end()
    return end if text[end:].strip() else None


def unscored(tokenizer: Any, ids: Sequence[int]) -> int:
    """Return how many of a reply's tokens, the mark that ends it left out, come before its final answer; 0 when it does not say the words.

    A token that holds the end of the words and the begin of the answer is scored.
    """

    def text(count: int) -> str:
        return str(tokenizer.decode(ids[:count], clean_up_tokenization_spaces=False))

    start = answer_start(text(len(ids)), "answer") or 0
    # From the end, because an answer is a few tokens.
    return next(count for count in range(len(ids), -1, -1) if len(text(count)) <= start)


def scored_problem(rows: Sequence[Row], config: RunConfig) -> str | None:
    """Return the sentence that names the pairs without a final answer on either side, where only that is scored, or None."""
    if config.scored != "final_answer":
        return None
    lacking = [row.id for row in rows if any(answer_start(text, row.kind) is None for text in (row.reply, row.rejected or ""))]
    if not lacking:
        return None
    named = ", ".join(lacking[:_NAMED]) + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
    return (
        f'{len(lacking)} of {len(rows)} pairs have a text without words behind "Final answer:", of which alone the loss would be made: {named}. '
        "Freeze a set of correctness pairs alone, or score the whole reply."
    )


def weights_of(rows: Sequence[Row], config: RunConfig) -> dict[str, float]:
    """Return row id -> the weight of its pair in the loss, their mean 1; all 1 unless the config asks for weights.

    Raises InputError when a weight is not a positive number.
    """
    if not config.pair_weights:
        return {row.id: 1.0 for row in rows}
    wrong = [row for row in rows if not (math.isfinite(row.weight) and row.weight > 0)]
    if wrong:
        raise InputError(f"The pair {wrong[0].id} has the weight {wrong[0].weight}, and a weight must be above 0. Leave the pair out instead.")
    mean = fmean(row.weight for row in rows)
    return {row.id: row.weight / mean for row in rows}


class Alarms:
    """Hears each step of a DPO run and says when it goes wrong in one of two known ways.

    Falling: over the last 20 steps the reward of the chosen texts, beta x (log-probability - that of the reference), is below 0 and falls while
    the margin grows: the model unlearns both texts, the rejected ones faster. The rule compares the later ten steps with the earlier ten; either
    change must be more than twice its standard error. The reward is looked at, not the bare log-probability, because each step has other texts.

    Easy: within the first 50 steps the reward accuracy of the last ten is above 0.98: the negatives are told apart by something that is no
    preference. A rule of thumb of our own.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, float]] = deque(maxlen=ALARM_STEPS)
        self._easy_told = False

    def hear(self, step: int, logs: Mapping[str, float]) -> tuple[str, ...]:
        """Take in one step's rewards/chosen, rewards/margins and rewards/accuracies; return the alarms that they raise, as sentences."""
        self._steps.append((logs["rewards/chosen"], logs["rewards/margins"], logs["rewards/accuracies"]))
        return tuple(told for told in (self._falling(), self._easy(step)) if told)

    def _falling(self) -> str | None:
        chosen, margins = ([one[at] for one in self._steps] for at in (0, 1))
        half = ALARM_STEPS // 2
        if len(chosen) < ALARM_STEPS or fmean(chosen[half:]) >= 0 or change(chosen) >= -2 or change(margins) <= 2:
            return None
        told = (
            f"Over the last {ALARM_STEPS} steps the chosen texts became less likely (mean reward {fmean(chosen[:half]):.3f}, then {fmean(chosen[half:]):.3f}) "
            f"while the margin grew ({fmean(margins[:half]):.3f}, then {fmean(margins[half:]):.3f}): both texts are unlearnt. "
            "Add the loss sft with a weight of 0.1 to 0.2, or lower the learning rate."
        )
        # Told anew only by 20 new steps.
        self._steps.clear()
        return told

    def _easy(self, step: int) -> str | None:
        right = [one[2] for one in self._steps][-_EASY_STEPS:]
        if self._easy_told or step > _EASY_BY_STEP or len(right) < _EASY_STEPS or fmean(right) <= _EASY_ACCURACY:
            return None
        self._easy_told = True
        return (
            f"By step {step} the model ranks {fmean(right):.1%} of the last {_EASY_STEPS} steps' pairs right: the rejected texts are too easy to tell apart. "
            "Look for what gives them away, such as length or words of the question, and make harder negatives."
        )


def change(values: Sequence[float]) -> float:
    """Return by how many standard errors the mean of the later half is above that of the earlier half; plus or minus infinity without any spread."""
    half = len(values) // 2
    early, late = values[:half], values[half:]
    difference = fmean(late) - fmean(early)
    error = math.sqrt(variance(early) / len(early) + variance(late) / len(late))
    return difference / error if error else math.copysign(math.inf, difference) if difference else 0.0
