"""Scoring multiple-choice questions: a clip's video once for all questions and options, against each option as a sequence of its own."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import Outcome, in_turn
from benchmarks.rows import Row, judged
from benchmarks.training_runs import Quiet, make_run
from training.carrying import load_config
from training.plan import plan_run
from training.questions import Question
from training.rows import Row as TrainingRow

QUESTIONS, OPTIONS, ROUNDS = 8, 5, 1
WAYS = ("together", "alone")
OPTION_WORDS = 3  # as NExT-QA's options have, on average


def measure(folder: Path, quick: bool, large: bool = False) -> list[Row]:
    """Return how much faster a clip's questions are scored together, that the scores are the same, and the control: nothing to share."""
    asked, options = (3, 3) if quick else (QUESTIONS, OPTIONS)
    many = _compared(make_run(folder, [asked], large=large), options, quick)
    one = _compared(make_run(folder, [1], large=large), 1, quick)
    named = f"{asked} questions with {options} options about a clip"
    control = f"with 1 question of 1 option, where nothing is shared, {one['faster']:.2f} x; {many['together_s']:.2f} s against {many['alone_s']:.2f} s"
    spread = f"in bfloat16; the means lie {many['spread']:.2f} nats apart"
    return [
        judged(f"{named}: scored together, faster than each option by itself", many["faster"], "x", ">= 8", control),
        judged(f"{named}: memory of scoring together over that of scoring alone", many["memory"], "x", None, "most that the process or device held meanwhile"),
        judged(f"{named}: largest difference of a mean log-probability a token", many["apart"], "nats", "<= 0.02", spread),
    ]


def score(directory: str, way: str, options: int) -> dict[str, Any]:
    """Score the questions of the run in `directory` "together" or each option "alone"; return seconds, device memory, and means a token.

    seconds: of this process on the CPU, or on the clock where there is a GPU, for all of the questions but not for what comes before them.
    """
    import torch

    from training import model as models
    from training.evaluate import score_clip
    from training.forward import ClipEncoder
    from training.question_groups import prepare_questions

    run = Path(directory)
    plan = plan_run(run, load_config(run), Quiet())
    plan = replace(plan, questions=tuple(_question(row, options) for row in plan.train))
    processor = models.load_processor(plan.config.model)
    asked = prepare_questions(processor, plan, Quiet())
    model = models.load_model(plan.config.model, plan.config.quantisation).eval()
    (group,) = asked.groups
    clips = ClipEncoder(asked.encoder, model)
    act: Callable[[], Any] = (lambda: score_clip(model, clips, group)) if way == "together" else (lambda: _alone(model, asked.encoder, group))
    act()  # what is made once, such as a library's kernels, belongs to neither way
    with _timed() as took:
        scores = act()
    means = [total / count for one in scores for total, count in zip(one.sums, one.tokens, strict=True)]
    return {"seconds": took[0], "device_mib": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0, "means": means}


def _alone(model: Any, encoder: Any, questions: Any) -> list[Any]:
    """Score each option as a batch of its own, pictures and all, by the model's whole output."""
    import torch

    from training.evaluate import Scores

    found = []
    for question in questions:
        told = []
        for reply in question.replies:
            batch = {name: torch.as_tensor(value).to(model.device) for name, value in encoder.one(question.row, reply).items()}
            mask = batch.pop("completion_mask")[0, 1:].bool()
            with torch.no_grad(), torch.autocast(model.device.type, dtype=model.dtype):
                logps = model(**batch).logits[0, :-1].float().log_softmax(-1)
            told.append(logps[mask].gather(1, batch["input_ids"][0, 1:][mask][:, None]))
        found.append(Scores(tuple(float(one.double().sum()) for one in told), tuple(len(one) for one in told)))
    return found


def _question(row: TrainingRow, options: int) -> Question:
    """Return the row as a question: its reply among other words of the same length."""
    chance, words = random.Random(row.id), row.prompt[0].content.split()
    others = [f"{' '.join(chance.choices(words, k=OPTION_WORDS))} {number}" for number in range(options - 1)]
    right = (row.reply, *others)
    listed = "\n".join(f"{chr(65 + at)}. {option}" for at, option in enumerate(right))
    prompt = f"{row.prompt[0].content}\nOptions:\n{listed}"
    return Question(row.id, "test", None, row.clip, row.context, prompt, row.prompt[0].content, right, 0)


@contextmanager
def _timed() -> Iterator[list[float]]:
    import torch

    cuda = torch.cuda.is_available()
    clock, took = (time.perf_counter if cuda else time.process_time), [0.0]
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started_s = clock()
    yield took
    if cuda:
        torch.cuda.synchronize()
    took[0] = clock() - started_s


def _compared(directory: Path, options: int, quick: bool) -> dict[str, float]:
    done = in_turn({way: ("benchmarks.training_evaluation:score", str(directory), way, options) for way in WAYS}, 1 if quick else ROUNDS)
    for outcomes in done.values():
        assert outcomes[0].failure is None, outcomes[0].failure
    together, alone = (done[way] for way in WAYS)
    ours, theirs = (outcomes[0].result["means"] for outcomes in (together, alone))
    return {
        "faster": median(one.result["seconds"] / other.result["seconds"] for one, other in zip(alone, together, strict=True)),
        "together_s": median(one.result["seconds"] for one in together),
        "alone_s": median(one.result["seconds"] for one in alone),
        "memory": max(map(_held, together)) / max(map(_held, alone)),
        "apart": max(abs(one - other) for one, other in zip(ours, theirs, strict=True)),
        "spread": max(theirs) - min(theirs),
    }


def _held(outcome: Outcome) -> float:
    """Return MiB: of the device, or without one of the process."""
    return float(outcome.result["device_mib"]) or outcome.grown_mib
