"""The budget: never over it, the most relevant first, never less for more, and everything that is not shown is told."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from store.errors import InputError
from tests.training.scenes import PICTURE, PROMPT, plans, scenes, text_of, turn, words
from training.context import PRESETS, Block, Context, ContextPlan, Line, Scene, build_context
from training.context_text import NOTE, line_text

LINES = tuple(Line(3.0 * number, 3.0 * number + 1.5, f"line {number}") for number in range(20))
FILM = Scene(120.0, LINES, pause_s=40.0)
PLAN = replace(PRESETS["train-16"], hint=False)
BUDGETS = st.integers(len(PROMPT.split()), 2500)
quick = settings(max_examples=60, deadline=None)


def shown(context: Context) -> Counter[object]:
    return Counter([*context.moments, *context.lines])


def within(scene: Scene, plan: ContextPlan, budget: int | None) -> Context:
    return turn(scene, replace(plan, budget_tokens=budget))


@quick
@given(scenes(), plans(), BUDGETS)
def test_a_turn_is_never_over_its_budget_and_its_tokens_are_what_its_blocks_cost(scene: Scene, plan: ContextPlan, budget: int) -> None:
    context = within(scene, plan, budget)
    pictures = -(-len(context.moments) // 2) if plan.layout == "video" else len(context.moments)
    marks = sum(block.kind != "text" for block in context.blocks) * 2
    assert context.tokens == sum(words(block.text) for block in context.blocks) + pictures * PICTURE + marks
    assert context.tokens <= budget
    assert context.blocks[-1] == Block("text", PROMPT), "the question is always whole"


@quick
@given(scenes(), plans(), BUDGETS, BUDGETS)
def test_a_larger_budget_keeps_all_that_a_smaller_one_kept(scene: Scene, plan: ContextPlan, one: int, other: int) -> None:
    small, large, all_of_it = (within(scene, plan, budget) for budget in (min(one, other), max(one, other), None))
    assert shown(small) <= shown(large) <= shown(all_of_it)
    assert (NOTE in text_of(small)) <= (NOTE in text_of(large))


def test_taking_whatever_still_fits_would_drop_what_a_smaller_budget_kept() -> None:
    def greedy(costs: dict[str, int], budget: int) -> set[str]:
        taken: set[str] = set()
        for name, cost in costs.items():
            if cost + sum(costs[one] for one in taken) <= budget:
                taken.add(name)
        return taken

    costs = {"frame": 64, "line": 10}
    assert greedy(costs, 63) == {"line"} and greedy(costs, 64) == {"frame"}, "the control: the line is lost by the larger budget"
    scene, plan = Scene(8.0, LINES[:1]), ContextPlan("interleaved", frames=1, max_lines=9)
    kept = [shown(within(scene, plan, budget)) for budget in range(10, 140)]
    assert all(small <= large for small, large in itertools.pairwise(kept)) and len(kept[-1]) == 2


@quick
@given(scenes(), plans(), BUDGETS)
def test_whatever_the_budget_leaves_out_is_in_the_report_and_nothing_else(scene: Scene, plan: ContextPlan, budget: int) -> None:
    context, whole = within(scene, plan, budget), within(scene, plan, None)
    reason = f"over the budget of {budget} tokens"
    lost = {kind: count for (kind, why), count in context.dropped_counts.items() if why == reason}
    kinds = [Counter("key" if moment.kind == "key" else "frame" for moment in one.moments) for one in (whole, context)]
    assert {kind: lost.get(kind, 0) for kind in ("key", "frame")} == {kind: kinds[0][kind] - kinds[1][kind] for kind in ("key", "frame")}
    assert [one.what for one in context.dropped if one.kind == "line" and one.reason == reason] == [
        line_text(line) for line in whole.lines if line not in context.lines
    ]
    assert lost.get("note", 0) == (text_of(whole).count(NOTE) if NOTE not in text_of(context) else 0)
    assert [one for one in context.dropped if one.reason != reason] == list(whole.dropped)


def test_lines_are_kept_whole_or_not_at_all() -> None:
    for budget in range(60, 1500, 60):
        context = within(FILM, PLAN, budget)
        printed = [text for text in text_of(context).split("\n") if "line" in text]
        assert printed == [line_text(line) for line in context.lines]


def test_the_notes_go_before_anything_else_and_take_the_place_of_nothing() -> None:
    whole = within(FILM, PLAN, None)
    assert NOTE in text_of(whole)
    context = within(FILM, PLAN, whole.tokens - 1)
    assert NOTE not in text_of(context)
    assert shown(context) == shown(whole)
    assert {kind for kind, _ in context.dropped_counts} == {"note"}


def test_the_key_frame_stays_when_every_other_picture_is_gone() -> None:
    first = next(context for budget in range(20, 400) if (context := within(FILM, PLAN, budget)).moments)
    assert [moment.kind for moment in first.moments] == ["key"]
    last = within(replace(FILM, pause_s=None), PLAN, first.tokens)
    assert [round(moment.time_s) for moment in last.moments] in ([56], [64]), "without a pause the middle comes first"


def widest_hole(scene: Scene, plan: ContextPlan, budget: int) -> tuple[float, int]:
    """Return how far the loneliest of the frames that were wanted is from one that is shown, and how many are shown."""
    wanted, kept = ([moment.time_s for moment in within(scene, plan, one).moments] for one in (None, budget))
    return max(min(abs(time - one) for one in kept) for time in wanted), len(kept)


@pytest.mark.parametrize("pooling", ["none", "WA"])
@pytest.mark.parametrize("budget", [200, 300, 700, 1500, 3000])
def test_the_frames_that_remain_still_cover_the_window(pooling: str, budget: int) -> None:
    plan = replace(PLAN, frames=60, keyframe="none", max_lines=0, pooling=pooling)
    hole, frames = widest_hole(FILM, plan, budget)
    assert 1 < frames < 60
    assert hole <= 2 * 120 / (2 * frames), "at most twice as wide as with that many at equal steps"
    near = replace(plan, selection="near_ts", window_s=2.0)
    assert widest_hole(FILM, near, budget)[0] > 2 * 120 / (2 * frames) or frames > 30, "the control: near_ts keeps to the pause"


def test_frames_and_lines_are_given_up_by_equal_shares_and_lines_far_from_the_pause_first() -> None:
    context = within(FILM, PLAN, 700)
    frames = sum(moment.kind == "frame" for moment in context.moments)
    assert abs(frames / 16 - len(context.lines) / 20) <= 1 / 16
    assert 0 < frames < 16
    kept = [abs(line.centre_s - 40) for line in context.lines]
    assert max(kept) < min(abs(line.centre_s - 40) for line in LINES if line not in context.lines)


def test_a_question_that_is_over_the_budget_by_itself_is_refused() -> None:
    alone = words(PROMPT)
    assert within(FILM, PLAN, alone).blocks == (Block("text", PROMPT),)
    with pytest.raises(InputError, match=f"The question alone takes {alone} tokens, and budget_tokens is {alone - 1}"):
        within(FILM, PLAN, alone - 1)


@quick
@given(scenes(), plans(), BUDGETS)
def test_the_same_turn_comes_out_each_time(scene: Scene, plan: ContextPlan, budget: int) -> None:
    assert within(scene, plan, budget) == within(scene, plan, budget)


def test_a_tokenizer_that_counts_oddly_breaks_nothing() -> None:
    # Dearer when shorter, as no tokenizer should be: still within the budget, and still never less for more.
    def odd(text: str) -> int:
        return 40 + 30 * (len(text) % 7)

    kept = []
    for budget in range(300, 3000, 50):
        context = build_context(FILM, PROMPT, replace(PLAN, budget_tokens=budget), odd, PICTURE)
        assert context.tokens <= budget
        kept.append(shown(context))
    assert all(small <= large for small, large in itertools.pairwise(kept))


def test_a_long_film_is_fitted_with_few_countings() -> None:
    asked: list[str] = []

    def counted(text: str) -> int:
        asked.append(text)
        return words(text)

    lines = tuple(Line(float(second), second + 0.9, f"line {second}") for second in range(600))
    plan = replace(PLAN, frames=300, max_lines=600)
    whole = build_context(Scene(600.0, lines), PROMPT, plan, counted, PICTURE)
    once = len(asked)
    build_context(Scene(600.0, lines), PROMPT, replace(plan, budget_tokens=whole.tokens // 2), counted, PICTURE)
    assert len(asked) - once <= 12 * once, "a bisection over some 900 frames and lines, not each of them tried"


def test_a_hint_fits_even_where_no_picture_does() -> None:
    context = within(FILM, replace(PLAN, hint=True), 40)
    assert not context.moments and not context.lines
    assert text_of(context).startswith("The question is asked while the clip is paused at 40.0 s.\n")
    assert within(FILM, replace(PLAN, hint=True), words(PROMPT)).dropped_counts[("hint", f"over the budget of {words(PROMPT)} tokens")] == 1


@quick
@given(scenes(), plans(candidates="povqa"), BUDGETS)
def test_a_budget_holds_for_povqas_candidates_too(scene: Scene, plan: ContextPlan, budget: int) -> None:
    assume(plan.layout != "video" or turn(scene, plan).moments)
    context = within(scene, plan, budget)
    assert context.tokens <= budget
    assert Counter(context.moments) <= Counter(within(scene, plan, None).moments)
