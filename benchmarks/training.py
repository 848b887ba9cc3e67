"""What fine-tuning costs: our passes against TRL's own trainer on the same rows, in CPU time or on a GPU with --large; then DPO and evaluation."""

import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import training_dpo, training_evaluation
from benchmarks.child import Outcome, in_turn
from benchmarks.rows import Row, judged, main
from benchmarks.training_runs import ANSWER_WORDS, FRAMES, SIDE_PX, make_run

ROUNDS = 1  # each takes minutes
# Questions a clip -> clips, of the 4,996 questions about the 570 videos of NExT-QA's validation split (val.csv of doc-doc/NExT-QA).
NEXTQA = {3: 3, 4: 7, 5: 22, 6: 37, 7: 74, 8: 88, 9: 114, 10: 147, 11: 43, 12: 23, 13: 9, 14: 2, 15: 1}
RATIONALE_WORDS = 60


def measure(quick: bool, large: bool = False) -> list[Row]:
    """Return the figures of SFT, DPO and evaluation; `quick` takes fewer clips, `large` random weights of the size of Qwen2.5-VL-3B."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*sft(folder, quick, large), *training_dpo.measure(folder, quick, large), *training_evaluation.measure(folder, quick, large)]


def nextqa_clips(count: int) -> list[int]:
    """Return the questions of so many clips: the middles of equal parts of NExT-QA's distribution."""
    each = np.repeat(list(NEXTQA), list(NEXTQA.values()))
    return [int(each[int((part + 0.5) / count * len(each))]) for part in range(count)]


def sft(folder: Path, quick: bool, large: bool) -> list[Row]:
    """Return rows a second of our SFT over those of TRL's trainer with a row a pass, memory, and what kept features save."""
    rounds = 1 if quick else ROUNDS
    size = "Qwen2.5-VL-3B's shape" if large else "34M parameters"
    shown = f"{size}, {FRAMES} frames of {SIDE_PX} x {SIDE_PX}"
    compared = partial(_compared, folder, rounds, large)
    eight, memory = compared([8] * (1 if quick else 2))
    mixed, _ = compared(nextqa_clips(2 if quick else 5))
    single, _ = compared([1] * (2 if quick else 8))
    told, _ = compared([8], words=RATIONALE_WORDS)
    kept = _kept(folder, rounds, large)
    alone = f"a question a clip, where nothing can be shared: {_times(single)}"
    return [
        judged(f"SFT, 8 questions a clip, {shown}: rows/s over TRL's own trainer's", eight, "x", ">= 5", alone),
        judged("the same, as many questions a clip as NExT-QA has", mixed, "x", ">= 4", f"{alone}; clips of {nextqa_clips(5)} questions"),
        judged("the same, a question a clip", single, "x", None, "the control"),
        judged(f"the same, 8 questions a clip, replies of {RATIONALE_WORDS} words", told, "x", None, f"of {ANSWER_WORDS} words {_times(eight)}"),
        judged("memory of ours over TRL's own trainer's, 8 questions a clip", memory, "x", None, "most held at once, weights included, imports not"),
        judged("time of our SFT with the tower's features kept over time without", kept, "x", "<= 1", "8 questions a clip; kept by a run before"),
    ]


def _compared(folder: Path, rounds: int, large: bool, questions: Sequence[int], words: int = ANSWER_WORDS) -> tuple[float | None, float | None]:
    """Return TRL's seconds over ours, and our memory over its, for clips with so many questions each."""
    directory = str(make_run(folder, questions, words, large))
    done = in_turn({way: ("benchmarks.training_runs:train", directory, way) for way in ("ours", "plain")}, rounds)
    held: Callable[[Outcome], float] = (lambda one: one.result["device_mib"]) if large else (lambda one: one.grown_mib)
    return _ratio(done["plain"], done["ours"], lambda one: one.result["seconds"]), _ratio(done["ours"], done["plain"], held)


def _kept(folder: Path, rounds: int, large: bool) -> float | None:
    """Return the seconds of a run that finds the features of its clips over those of one that makes them each time."""
    fresh, cached = (str(make_run(folder, [8, 8], large=large, feature_cache=cache)) for cache in (False, True))
    ways = {name: ("benchmarks.training_runs:train", directory, "ours") for name, directory in (("fresh", fresh), ("cached", cached))}
    in_turn({"filled": ways["cached"]}, 1)
    done = in_turn(ways, rounds)
    return _ratio(done["cached"], done["fresh"], lambda one: one.result["seconds"])


def _ratio(ones: list[Outcome], others: list[Outcome], figure: Callable[[Outcome], float]) -> float | None:
    """Return the median over rounds of one figure over the other; raises AssertionError when a child failed."""
    for outcome in (*ones, *others):
        assert outcome.failure is None, outcome.failure
    pairs = [(figure(one), figure(other)) for one, other in zip(ones, others, strict=True)]
    return float(np.median([one / other for one, other in pairs])) if all(other for _, other in pairs) else None


def _times(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} x"


if __name__ == "__main__":
    large = "--large" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--large"]
    main(partial(measure, large=large), __doc__ or "")
