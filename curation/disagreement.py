"""How far the annotators of one text disagree, as a score by which the worst comes first. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from store.records import Flag
from store.replay import Work

RATINGS = ("factual_consistency", "logical_coherence")


@dataclass(frozen=True, order=True)
class Disagreement:
    """How far voices differ: verdicts weigh most, then flags, then ratings. All are 0 when they agree.

    The order of voices and the names of annotators change nothing.
    """

    verdicts: float  # 1 - share of the most frequent verdict; 0 to below 1
    flags: int  # problems that some of them flagged, but not all
    ratings: int  # steps from the lowest to the highest, both ratings together; 0 to 8

    @property
    def disputed(self) -> bool:
        """Whether verdicts or flags differ; ratings alone are a matter of degree."""
        return self.verdicts > 0 or self.flags > 0


def disagreement_of(voices: Sequence[Work]) -> Disagreement:
    """Return how far the voices on one text differ; grows with the square of their flags."""
    verdicts = Counter(voice.annotation.verdict for voice in voices)
    split = 1 - max(verdicts.values()) / len(voices) if voices else 0.0
    flags = sum(len(people) < len(voices) for people in problems_of(voices))
    return Disagreement(split, flags, sum(_distance(voices, rating) for rating in RATINGS))


def problems_of(voices: Sequence[Work]) -> list[frozenset[str]]:
    """Return who flagged each problem, as sets of annotation ids.

    Flags of one kind are one problem when their words overlap, also by way of a third flag. Of flags without words, those whose moments
    are apart are two problems.
    """
    problems: list[list[Flag]] = []
    for flag in (flag for voice in voices for flag in voice.flags):
        touched = [problem for problem in problems if any(_same_problem(flag, other) for other in problem)]
        problems = [problem for problem in problems if problem not in touched] + [[flag, *(other for problem in touched for other in problem)]]
    return [frozenset(flag.annotation_id for flag in problem) for problem in problems]


def majority_of(verdicts: Sequence[str | None]) -> str | None:
    """Return the verdict that more than half of them are, or None."""
    (verdict, count), *_ = Counter(verdicts).most_common(1) or [(None, 0)]
    return verdict if 2 * count > len(verdicts) else None


def _same_problem(one: Flag, other: Flag) -> bool:
    if one.kind != other.kind:
        return False
    if one.text_start is None or one.text_end is None or other.text_start is None or other.text_end is None:
        return one.text_start is other.text_start is None and _moments_meet(one, other)
    return one.text_start < other.text_end and other.text_start < one.text_end


def _moments_meet(one: Flag, other: Flag) -> bool:
    """Return whether the moments share an instant; a flag without a moment may mean any."""
    if one.start_s is None or one.end_s is None or other.start_s is None or other.end_s is None:
        return True
    return one.start_s <= other.end_s and other.start_s <= one.end_s


def _distance(voices: Sequence[Work], rating: str) -> int:
    given = [value for voice in voices if (value := getattr(voice.annotation, rating)) is not None]
    return max(given) - min(given) if given else 0
