"""Plans: each step once, when what it builds on has finished, whoever looks and however often."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import InputError, NotFoundError
from store.process import write_whole
from store.records import CuratedSet
from tests.training.conftest import Studio, build_studio, freeze_rows, row_of
from training import stages
from training.config import LOCKED, RunConfig
from training.form import preset_named
from training.jobs import Order
from training.presets import PRESETS
from training.recipes import ARMS, Arms, Sets, arms, full_course, learnt_tokens
from training.rows import load_set, planned_rows, total_steps
from training.stages import Step, advance_plans, list_plans, make_plan, plan_ended, plan_status, read_plan, try_again

SFT = PRESETS[0].config()
DPO = next(preset for preset in PRESETS if preset.name == "Pipeline check (DPO)")
PATIENT = preset_named("DPO from SFT")
COURSE = ("SFT", "Evaluation of SFT", "DPO", "Evaluation of DPO")


def sets_of(studio: Studio, asked_of: str = "") -> Sets:
    """Return texts of all three kinds and pairs about the red and green clips, and questions about the blue one or the file with this digest."""
    red, green = studio.digests["red"], studio.digests["green"]
    kinds = ("narrative", "rationale", "answer", "answer")
    rows = [row_of(n, (red, green)[n % 2], kind=kinds[n % 4], split="train" if n < 20 else "validation") for n in range(24)]
    pairs = [row_of(n, red, "dpo", split="train") for n in range(6)]
    clip = {"id": "held out", "digest": asked_of or studio.digests["blue"], "start_s": 0.0, "end_s": 1.5}
    said = {"prompt": "What moves?\nA. a bar\nB. a ball", "question": "What moves?", "options": ["a bar", "a ball"], "answer": 0}
    questions = [{"id": f"q{n}", "split": "test", "type": None, "clip": clip, "context": {}, **said} for n in range(4)]
    return Sets(*(freeze_rows(studio.data, kind, part) for kind, part in (("sft", rows), ("questions", questions), ("dpo", pairs))))


def course(studio: Studio, token: str = "press", **changes: Any) -> stages.Plan:
    sets = sets_of(studio, **changes)
    return make_plan(studio.data, "a course", "course", lambda given: full_course(studio.data, "c", sets, SFT, DPO, given), token)


def end(data: Path, step: Step, outcome: str = "finished") -> None:
    """Leave what a run leaves that ended so."""
    directory = data / "runs" / step.order.run_id
    (directory / "launched").touch()
    if outcome == "finished":
        (directory / "adapter").mkdir(exist_ok=True)
        (directory / "adapter" / "adapter_config.json").write_text("{}")
        (directory / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    write_whole(directory / "result.json", json.dumps({"outcome": outcome, "reason": "So it ended."}))


def states(data: Path, plan: stages.Plan) -> dict[str, str]:
    return {status.step.name: status.state for status in plan_status(data, plan)}


def test_a_course_goes_through_by_itself_each_step_when_what_it_builds_on_has_finished(studio: Studio) -> None:
    plan, steps = course(studio), dict.fromkeys(COURSE)
    steps = {step.name: step for step in plan.steps}
    ids = {name: step.order.run_id for name, step in steps.items()}
    assert tuple(steps) == COURSE and read_plan(studio.data, plan.id) == plan == list_plans(studio.data)[0]
    assert states(studio.data, plan)["DPO"] == "waiting"
    assert advance_plans(studio.data) == [ids["SFT"]] and advance_plans(studio.data) == []
    assert states(studio.data, plan) == {"SFT": "queued", "Evaluation of SFT": "waiting", "DPO": "waiting", "Evaluation of DPO": "waiting"}
    end(studio.data, steps["SFT"])
    assert advance_plans(studio.data) == [ids["Evaluation of SFT"], ids["DPO"]], "in this order, so that the evaluation gets the device first"
    end(studio.data, steps["DPO"])
    assert advance_plans(studio.data) == [ids["Evaluation of DPO"]]
    for name in ("Evaluation of SFT", "Evaluation of DPO"):
        end(studio.data, steps[name])
    assert advance_plans(studio.data) == [] and plan_ended(plan_status(studio.data, plan))
    assert (studio.data / "plans" / plan.id / "finished").exists(), "a plan that is done costs no more looks"


def test_the_steps_of_a_course_fit_one_another(studio: Studio) -> None:
    sft, looked, dpo, last = (step.order for step in course(studio).steps)
    assert dpo.config.parent_run == looked.config.parent_run == sft.run_id and last.config.parent_run == dpo.run_id
    for order in (looked, dpo, last):
        assert [getattr(order.config, name) for name in LOCKED] == [getattr(sft.config, name) for name in LOCKED]
    assert looked.config.question_set == last.config.question_set == looked.curated.id == looked.questions.id  # type: ignore[union-attr]
    assert [order.config.stage for order in (sft, looked, dpo, last)] == ["sft", "evaluate", "dpo", "evaluate"]


@pytest.mark.parametrize("outcome", ["failed", "stopped"])
def test_a_step_that_did_not_finish_stops_what_builds_on_it_until_it_has(studio: Studio, outcome: str) -> None:
    plan = course(studio)
    advance_plans(studio.data)
    end(studio.data, plan.steps[0], outcome)
    assert advance_plans(studio.data) == []
    found = plan_status(studio.data, plan)
    assert [one.state for one in found] == [outcome, "blocked", "blocked", "blocked"] and plan_ended(found)
    assert f"builds on SFT, which is {outcome}. Resume that run" in found[1].reason and "DPO, which is blocked" in found[3].reason
    end(studio.data, plan.steps[0])  # resumed, and finished
    assert len(advance_plans(studio.data)) == 2, "the plan goes on where it stood"


def test_what_is_refused_at_its_start_is_told_and_tried_again_only_when_asked_to(studio: Studio) -> None:
    plan = course(studio, asked_of="f" * 64)
    advance_plans(studio.data)
    end(studio.data, plan.steps[0])
    assert advance_plans(studio.data) == [plan.steps[2].order.run_id], "the video of the questions is gone; DPO needs none"
    refused = plan_status(studio.data, plan)[1]
    assert refused.state == "refused" and "is missing: held out" in refused.reason
    assert advance_plans(studio.data) == []
    try_again(studio.data, plan.id)
    assert states(studio.data, plan)["Evaluation of SFT"] == "ready"


def test_an_order_for_a_plan_given_twice_makes_one_and_after_its_end_another(studio: Studio) -> None:
    plan = course(studio)
    assert course(studio) == plan
    advance_plans(studio.data)
    assert course(studio) == plan
    assert course(studio, "another press").id != plan.id, "the control"
    end(studio.data, plan.steps[0], "failed")
    again = course(studio)
    assert again.id != plan.id and course(studio) == again
    assert len(list_plans(studio.data)) == 3


@pytest.mark.parametrize(("outcome", "found"), [("finished", "finished"), ("stopped", "ready")])
def test_a_plan_builds_on_an_earlier_run_of_a_step_only_when_that_can_go_on(studio: Studio, outcome: str, found: str) -> None:
    earlier = course(studio)
    advance_plans(studio.data)
    end(studio.data, earlier.steps[0], outcome)
    shutil.rmtree(studio.data / stages.FOLDER)
    plan = course(studio)
    assert states(studio.data, plan)["SFT"] == found
    assert (plan.id == earlier.id) == (outcome == "finished")


def looked_at_by(count: int, data: Path) -> list[str]:
    """Return the runs that so many lookers started together, all beginning at one moment."""
    gate = threading.Barrier(count)

    def look(_: int) -> list[str]:
        gate.wait()
        return advance_plans(data)

    with ThreadPoolExecutor(count) as pool:
        return [run_id for started in pool.map(look, range(count)) for run_id in started]


def test_page_and_keeper_that_look_at_once_start_each_step_once(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = course(studio)
    assert looked_at_by(4, studio.data) == [plan.steps[0].order.run_id]

    meet = threading.Barrier(2)

    @contextmanager
    def unguarded(directory: Path) -> Iterator[None]:
        yield

    real = stages.create_run
    monkeypatch.setattr(stages, "_alone", unguarded)
    monkeypatch.setattr(stages, "create_run", lambda data, order: (meet.wait(10), real(data, order))[1])
    other = course(studio, "the control")
    assert looked_at_by(2, studio.data) == [other.steps[0].order.run_id] * 2, "without the lock both start it"
    assert len(list((studio.data / "runs").glob("[!.]*"))) == 2, "even then it is one run"


def test_a_start_that_was_cut_short_between_run_and_queue_is_taken_up(studio: Studio) -> None:
    plan = course(studio)
    run = stages.create_run(studio.data, plan.steps[0].order)
    assert not (studio.data / run.directory / "queued.json").exists()
    assert advance_plans(studio.data) == [run.id] and (studio.data / run.directory / "queued.json").exists()


@pytest.mark.parametrize(
    ("names", "after", "words"), [((), (), "needs steps"), (("a", "a"), ((), ()), "a name of its own"), (("a", "b"), (("b",), ()), "does not stand before")]
)
def test_steps_that_cannot_follow_one_another_are_refused(studio: Studio, names: tuple[str, ...], after: tuple[tuple[str, ...], ...], words: str) -> None:
    steps = [Step(name, studio.order(SFT, name), before) for name, before in zip(names, after, strict=True)]
    with pytest.raises(InputError, match=words):
        make_plan(studio.data, "", "arms", lambda token: steps, "")
    with pytest.raises(NotFoundError, match="no plan"):
        read_plan(studio.data, "none")


@st.composite
def graphs(draw: Any) -> list[tuple[int, ...]]:
    """Return, for each of up to five steps, the earlier steps that it builds on."""
    count = draw(st.integers(1, 5))
    return [tuple(sorted(draw(st.sets(st.integers(0, at - 1), max_size=at)))) if at else () for at in range(count)]


@pytest.fixture(scope="module")
def own_studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Nobody else's: the keeper of a run that another test started would look at these plans too, and start their steps."""
    return build_studio(tmp_path_factory.mktemp("plans") / "data")


@given(graphs(), st.lists(st.sampled_from(["finished", "finished", "failed", "stopped"]), min_size=5, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_whatever_order_runs_end_a_step_starts_once_and_only_after_all_that_it_builds_on(
    own_studio: Studio, graph: list[tuple[int, ...]], outcomes: list[str], luck: Any
) -> None:
    data = own_studio.data

    def steps_of(token: str) -> list[Step]:
        return [Step(str(n), own_studio.order(replace(SFT, seed=n), token), tuple(map(str, before))) for n, before in enumerate(graph)]

    plan = make_plan(data, "any", "course", steps_of, f"{graph} {outcomes}")
    number_of = {step.order.run_id: number for number, step in enumerate(plan.steps)}
    started: list[int] = []
    finished: set[int] = set()
    going: list[int] = []
    while True:
        new = [number_of[run_id] for run_id in advance_plans(data) if run_id in number_of]
        assert all(set(graph[number]) <= finished for number in new)
        started, going = started + new, going + new
        if not going:
            break
        done = going.pop(luck.randrange(len(going)))
        end(data, plan.steps[done], outcomes[done])
        finished |= {done} if outcomes[done] == "finished" else set()
    assert len(started) == len(set(started))
    reachable = [number for number, before in enumerate(graph) if set(before) <= finished]
    assert sorted(started) == reachable and plan_ended(plan_status(data, plan))


def arms_of(studio: Studio, **how: Any) -> dict[str, Order]:
    steps = arms(studio.data, "a", sets_of(studio), SFT, Arms(**{"steps": 30, "look_steps": 10, "equal": "items", **how}), "press")
    return {step.name: step.order for step in steps}


def test_arms_of_equal_items_differ_in_their_kinds_of_rows_alone(studio: Studio) -> None:
    orders = arms_of(studio)
    assert {name: order.config.kinds for name, order in orders.items()} == ARMS
    every = load_set(studio.data / sets_of(studio).texts.directory).rows
    rows = {name: planned_rows(every, order.config)[0] for name, order in orders.items()}
    assert {len(part) for part in rows.values()} == {5}, "as many as the scarcest arm has"
    assert {name: {row.kind for row in part} for name, part in rows.items()} == {name: set(kinds) for name, kinds in ARMS.items()}
    assert {total_steps(5, order.config) for order in orders.values()} == {30}
    alike = {replace(order.config, kinds=(), shares=()).to_json() for order in orders.values()}
    (only,) = (RunConfig.from_json(text) for text in alike)
    assert (only.schedule, only.accuracy_steps, only.max_steps) == ("constant", 10, 30) and only.warmup_share == SFT.warmup_share
    assert all(order.questions is not None and order.questions.id == only.question_set for order in orders.values())


def test_arms_of_equal_tokens_are_limited_by_learnt_tokens_that_are_given_or_counted(studio: Studio, tmp_path: Path) -> None:
    given_ = arms_of(studio, equal="tokens", learnt_tokens=60)
    assert {order.config.max_learnt_tokens for order in given_.values()} == {60} and {order.config.max_rows for order in given_.values()} == {0}
    with pytest.raises(InputError, match="Give the learnt tokens"):
        arms_of(studio, equal="tokens")
    rows = load_set(studio.data / sets_of(studio).texts.directory).rows
    assert learnt_tokens(rows[:3], word_model(tmp_path)) == sum(len(row.reply.removesuffix(".").split()) + 1 for row in rows[:3])


def word_model(folder: Path) -> str:
    """Return a folder with a tokenizer that cuts at words and stops."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def without_narratives(studio: Studio) -> CuratedSet:
    return freeze_rows(studio.data, "sft", [row_of(n, studio.digests["red"], kind="answer", split="train") for n in range(4)])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda studio, sets: arms(studio.data, "a", replace(sets, texts=without_narratives(studio)), SFT, Arms(9, 3, "items"), "t"), "kind narrative"),
        (lambda studio, sets: arms(studio.data, "a", sets, replace(DPO.config(parent_run="x")), Arms(9, 3, "items"), "t"), "begins with SFT"),
        (lambda studio, _: arms(studio.data, "a", sets_of(studio, studio.digests["red"]), SFT, Arms(9, 3, "items"), "t"), "test its memory"),
        (lambda studio, _: full_course(studio.data, "c", sets_of(studio, studio.digests["red"]), SFT, DPO, "t"), "test its memory"),
        (lambda studio, sets: full_course(studio.data, "c", replace(sets, pairs=None), SFT, DPO, "t"), "no set of preference pairs"),
        (
            lambda studio, sets: full_course(
                studio.data, "c", sets, replace(SFT, model="org/model"), replace(DPO, values={**DPO.values, "few_pairs": False}), "t"
            ),
            "6 training pairs",
        ),
    ],
)
def test_a_plan_that_would_fail_later_is_refused_at_once(studio: Studio, ask: Callable[[Studio, Sets], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ask(studio, sets_of(studio))
