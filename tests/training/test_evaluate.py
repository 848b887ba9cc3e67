"""Multiple-choice accuracy: a clip's questions and options scored together are scored as if each stood by itself."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from store.errors import InputError
from store.records import CuratedSet, Run
from store.rows import utc_now
from tests.training.bench import CONFIG, LINES, Bench, build_bench
from tests.training.conftest import Studio, freeze_rows, row_of, sft_config
from tests.training.quizzes import freeze_quiz, question_of
from tests.training.tuned import tuned_run
from training import evaluate
from training.carrying import Order, load_config
from training.config import RunConfig
from training.context import ContextPlan
from training.encoding import Encoder, text_counter
from training.evaluate import Scores, evaluate_run, score_clip
from training.families import FAMILIES
from training.forward import ClipEncoder
from training.frames import look_at
from training.jobs import create_run
from training.metrics import summary
from training.packing import Pack
from training.pictures import pictures_seen
from training.plan import plan_run
from training.predictions import read_predictions
from training.question_groups import group_questions
from training.questions import Question
from training.rows import RowContext
from training.sft import train_sft
from training.views import view_of

OPTIONS = ("to the right", "to the left, and then back to where it came from", "nowhere", "to the left")
ASKED = ("Where does the bar move?", "Where would it go, were it green?", "And why?")
PLANS = {
    "video": ContextPlan(frames=4),
    "interleaved": ContextPlan(layout="interleaved", frames=3, max_lines=9),
    "block": ContextPlan(layout="block", frames=2, keyframe="last", hint=True, max_lines=9),
}


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def bench(request: pytest.FixtureRequest, shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return build_bench(shared_studio, tmp_path_factory.mktemp("evaluate") / "model", request.param)


@pytest.fixture(scope="session")
def exact(bench: Bench) -> Any:
    return models.load_model(str(bench.folder), "none").float().eval()


def questions_about(bench: Bench, clips: int = 1) -> list[Question]:
    """Return questions about the first clips, three about each, all shown with the same pictures and lines."""
    made = []
    for row in bench.rows[:clips]:
        for number, asked in enumerate(ASKED):
            options = OPTIONS[: 2 + number]
            prompt = f"{asked} Options: {' '.join(options)}"
            made.append(Question(f"{row.clip.id} {number}", "test", "where", row.clip, RowContext(LINES, 1.3), prompt, asked, options, 0))
    return made


def encoder_for(bench: Bench, questions: list[Question], plan: ContextPlan) -> Encoder:
    stretches = look_at(bench.root, [question.clip for question in questions], CONFIG.longest_side_px, lambda done: None)
    count = text_counter(bench.processor)
    views = {one.id: view_of(one.row, stretches[one.clip], plan, count, bench.family) for one in questions}
    return Encoder(bench.processor, views, lambda view: pictures_seen(bench.root, view, plan))


def scored_alone(model: Any, encoder: Encoder, question: Question) -> Scores:
    """Score each option as a batch of its own, by the model's whole output."""
    sums, tokens = [], []
    for reply in question.replies:
        batch = {name: torch.as_tensor(value) for name, value in encoder.one(question.row, reply).items()}
        mask = batch.pop("completion_mask")[0, 1:].bool()
        with torch.no_grad():
            logps = model(**batch).logits[0, :-1].float().log_softmax(-1)
        told = logps[mask].gather(1, batch["input_ids"][0, 1:][mask][:, None])
        sums.append(float(told.double().sum()))
        tokens.append(int(mask.sum()))
    return Scores(tuple(sums), tuple(tokens))


def furthest(found: list[Scores], alone: list[Scores]) -> float:
    """Return the largest difference of a mean a token."""
    assert [one.tokens for one in found] == [one.tokens for one in alone]
    return max(
        abs(ours - theirs) / count
        for one, other in zip(found, alone, strict=True)
        for ours, theirs, count in zip(one.sums, other.sums, one.tokens, strict=True)
    )


@pytest.mark.parametrize("name", PLANS)
def test_options_scored_together_are_scored_as_each_by_itself(bench: Bench, exact: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = questions_about(bench)
    encoder = encoder_for(bench, questions, PLANS[name])
    alone = [scored_alone(exact, encoder, question) for question in questions]
    assert furthest(score_clip(exact, ClipEncoder(encoder, exact), questions), alone) < 2e-6
    # The control: were each to see those before it, as in a plain sequence, they would be scored otherwise.
    monkeypatch.setattr(Pack, "mask", lambda packed: np.tril(np.ones((packed.ids.size, packed.ids.size), bool)))
    assert furthest(score_clip(exact, ClipEncoder(encoder, exact), questions), alone) > 1e-3


def test_questions_of_a_clip_go_together_within_the_tokens_that_are_allowed(bench: Bench) -> None:
    questions = questions_about(bench, clips=3)
    encoder = encoder_for(bench, questions, PLANS["video"])
    whole, long = group_questions(encoder, questions, 100_000)
    assert ([len(group) for group in whole], long) == ([3, 3, 3], {})
    sizes = [packed_tokens(bench, encoder, group) for group in whole]
    assert len(group_questions(encoder, questions, max(sizes) - 1)[0]) > 3
    assert group_questions(encoder, questions, max(sizes) + 9)[0] == whole, "it is not far off: questions share at most their first words"
    for allowed in range(60, max(sizes), 40):
        groups, long = group_questions(encoder, questions, allowed)
        assert sorted(one.id for group in groups for one in group) == sorted({one.id for one in questions} - set(long))
        for group in groups:
            assert len({one.clip for one in group}) == 1
            assert len(group) == 1 or packed_tokens(bench, encoder, group) <= allowed
        longest = {one.id: max(encoder.count(one.row, reply).total for reply in one.replies) for one in questions}
        assert set(long) == {name for name, tokens in longest.items() if tokens > allowed}
        assert all("max_tokens" in reason for reason in long.values())


def packed_tokens(bench: Bench, encoder: Encoder, group: Sequence[Question]) -> int:
    asked = [(one.row, reply) for one in group for reply in one.replies]
    packed, _ = ClipEncoder(encoder, bench.model).packed([row for row, _ in asked], [reply for _, reply in asked])
    return int(packed.ids.size)


def test_questions_that_are_shown_other_pictures_or_words_among_them_do_not_go_together(bench: Bench) -> None:
    one, *others = questions_about(bench)
    paused = replace(others[0], context=RowContext((), 0.2))
    interleaved = encoder_for(bench, [one, paused], PLANS["interleaved"])
    assert len(group_questions(interleaved, [one, paused], 100_000)[0]) == 2
    assert len(group_questions(encoder_for(bench, [one, others[0]], PLANS["interleaved"]), [one, others[0]], 100_000)[0]) == 1, "the control"


# A whole run.


def evaluating(studio: Studio, quiz: CuratedSet, parent: Run | None, **changes: Any) -> RunConfig:
    return sft_config(stage="evaluate", question_set=quiz.id, parent_run=parent.id if parent else None, **changes)


def made_run(studio: Studio, quiz: CuratedSet, parent: Run | None, **changes: Any) -> Path:
    run = create_run(studio.data, Order("an evaluation", evaluating(studio, quiz, parent, **changes), quiz, utc_now()))
    return studio.directory(run)


class Listener:
    """A reporter that remembers, and asks to stop after so many groups."""

    def __init__(self, groups: int | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self._groups = groups

    def emit(self, kind: str, **values: Any) -> None:
        self.events.append({"kind": kind, **values})

    def stop_asked(self) -> bool:
        return self._groups is not None and len(self.of("scored")) >= self._groups

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]


def evaluated(directory: Path, listener: Listener | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    listener = listener or Listener()
    result = evaluate_run(plan_run(directory, load_config(directory), listener), listener)
    return result, read_predictions(directory)


@pytest.fixture(scope="session")
def tuned(shared_studio: Studio) -> Run:
    return tuned_run(shared_studio, "to be evaluated")


def test_base_and_adapter_are_scored_on_the_same_questions_and_the_figures_are_those_of_the_predictions(shared_studio: Studio, tuned: Run) -> None:
    quiz = freeze_quiz(shared_studio, count=7)
    result, told = evaluated(made_run(shared_studio, quiz, tuned))
    assert [one["question"] for one in told] and len({one["question"] for one in told}) == len(told) == 7
    figures = result["accuracy"]
    assert figures == json.loads(json.dumps(summary(told)))
    assert (figures["n"], figures["clips"], figures["base"]["n"], figures["adapter"]["n"]) == (7, 3, 7, 7)
    assert any(one["base"]["sum"] != one["adapter"]["sum"] for one in told), "the adapter is on"
    assert figures["contaminated"] == 7, "the adapter learnt from all three clips"
    assert sum(line["n"] for line in figures["by_type"]) == 7
    alone, _ = evaluated(made_run(shared_studio, quiz, None))
    assert alone["accuracy"]["adapter"] is None and alone["accuracy"]["mcnemar"] is None
    assert alone["accuracy"]["contaminated"] == 0, "the base learnt from nothing here"


def test_an_adapter_on_the_projector_sees_for_itself(shared_studio: Studio) -> None:
    parent = tuned_run(shared_studio, "with the projector", config=sft_config(projector=True))
    told = [evaluated(made_run(shared_studio, freeze_quiz(shared_studio), parent, projector=projector))[1] for projector in (True, False)]
    assert told[0] == told[1], "what the adapter lies on counts, not what the config says"
    directory = made_run(shared_studio, freeze_quiz(shared_studio), parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "_sees_alike", lambda model: True)
        shared = evaluated(directory)[1]
    assert [one["base"] for one in shared] == [one["base"] for one in told[0]]
    assert [one["adapter"] for one in shared] != [one["adapter"] for one in told[0]], "the control"


def test_a_run_that_was_stopped_goes_on_where_it_was_and_scores_nothing_twice(shared_studio: Studio, tuned: Run) -> None:
    quiz = freeze_quiz(shared_studio, count=7)
    whole = evaluated(made_run(shared_studio, quiz, tuned))[1]
    directory = made_run(shared_studio, quiz, tuned)
    result, told = evaluated(directory, Listener(groups=1))
    assert result["stopped_early"] and 0 < len(told) < 7
    assert result["accuracy"]["n"] == len(told), "what was not asked does not count as wrong"
    with (directory / "predictions.jsonl").open("a") as stream:
        stream.write('{"question": "half a li')
    result, told = evaluated(directory)
    assert told == whole
    assert not result["stopped_early"]


def test_a_question_that_cannot_be_scored_counts_and_says_why(shared_studio: Studio, tuned: Run) -> None:
    long = {"prompt": "What moves? " + "and so on " * 400, "id": "too long"}
    rows = [question_of(1, shared_studio.digests["red"]), question_of(2, shared_studio.digests["red"], **long)]
    quiz = freeze_rows(shared_studio.data, "questions", rows, "one too long")
    result, told = evaluated(made_run(shared_studio, quiz, tuned, max_tokens=300))
    hidden = next(one for one in told if one["question"] == "too long")
    assert (hidden["base"]["correct"], hidden["adapter"]["correct"]) == (False, False)
    assert "max_tokens" in hidden["base"]["reason"]
    assert (result["accuracy"]["n"], result["accuracy"]["unscored"]) == (2, 1)
    with pytest.raises(InputError, match="None of the 1 questions"):
        evaluated(made_run(shared_studio, freeze_rows(shared_studio.data, "questions", rows[1:], "all too long"), None, max_tokens=300))


def test_an_evaluation_is_a_run_like_any_other(shared_studio: Studio, tuned: Run) -> None:
    quiz = freeze_quiz(shared_studio, count=3)
    run = create_run(shared_studio.data, Order("an evaluation", evaluating(shared_studio, quiz, tuned), quiz, utc_now()))
    directory, status = shared_studio.done(run)
    assert (status.state, run.parent_id) == ("finished", tuned.id)
    assert json.loads((directory / "result.json").read_text())["accuracy"] == summary(read_predictions(directory))


# While a run trains.


class Impatient(Listener):
    """A reporter that asks for the end as soon as questions are scored."""

    def stop_asked(self) -> bool:
        return any("scoring" in event["phase"] for event in self.of("phase"))


def trained(studio: Studio, quiz: CuratedSet, listener: Listener | None = None, **changes: Any) -> Listener:
    """Train four steps on what the quiz is not about."""
    digests = [studio.digests[name] for name in ("red", "green")]
    rows = freeze_rows(studio.data, "sft", [row_of(number, digests[number % 2]) for number in range(6)], "two clips")
    config = sft_config(max_steps=4, validation_rows=0, checkpoint_steps=100, **changes)
    questions = quiz if config.question_set else None
    directory = studio.directory(create_run(studio.data, Order("a run", config, rows, utc_now(), questions)))
    listener = listener or Listener()
    train_sft(plan_run(directory, config, listener), listener)
    return listener


def test_the_accuracy_is_told_while_a_run_trains_and_changes_nothing_in_it(shared_studio: Studio) -> None:
    quiz = freeze_quiz(shared_studio, 4, ("blue",))
    looking = trained(shared_studio, quiz, question_set=quiz.id, accuracy_steps=3, accuracy_questions=3)
    told = looking.of("accuracy")
    assert [event["step"] for event in told] == [0, 3, 4], "before, every three steps, and at the end"
    assert all(event["n"] == 3 and event["clips"] == 1 and 0 <= event["low"] <= event["correct"] / 3 <= event["high"] <= 1 for event in told)
    for name in ("items", "tokens", "seconds"):
        assert [event[name] for event in told] == sorted(event[name] for event in told) and told[-1][name] > told[0][name] >= 0
    assert told[0]["nll"] != told[-1]["nll"], "the model that learns is the one that is asked"
    silent = trained(shared_studio, quiz)
    assert not silent.of("accuracy"), "the control"
    assert [event["loss"] for event in looking.of("step")] == [event["loss"] for event in silent.of("step")]
    phases = [event["phase"] for event in looking.of("phase")]
    assert phases[phases.index("scoring 3 questions") + 1] == "training"


def test_an_accuracy_of_which_the_end_was_not_waited_for_is_not_told(shared_studio: Studio) -> None:
    quiz = freeze_quiz(shared_studio, 4, ("blue",))
    told = trained(shared_studio, quiz, Impatient(), question_set=quiz.id, accuracy_steps=1)
    assert (told.of("accuracy"), [event["step"] for event in told.of("step")]) == ([], [1])


def test_a_run_does_not_ask_about_what_it_learns_from(shared_studio: Studio) -> None:
    quiz = freeze_quiz(shared_studio, 4)
    with pytest.raises(InputError, match="would test its memory"):
        trained(shared_studio, quiz, question_set=quiz.id, accuracy_steps=2)
