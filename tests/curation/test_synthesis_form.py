"""The form of the page Synthesise means what it shows: presets survive its switches, and what is no number is refused with a sentence."""

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.arms import PRESETS, Arm
from curation.synthesis.plan import Prices
from curation.synthesis.prompts import load
from curation.ui.synthesis_form import OWN, SWITCHES, arm_in, is_on, label_of, name_of, optional_number, wish_of
from store.errors import InputError

ARMS = [arm for presets in PRESETS.values() for arm in presets.values()]


def shown_of(arm: Arm, **changed: Any) -> dict[str, Any]:
    """What stands in the form when an arm is chosen and nothing else is touched."""
    fields = asdict(arm)
    switches = {name: is_on(name, fields[name]) for names in SWITCHES.values() for _, name in names}
    texts = dict.fromkeys(("words", "most", "address", "key_variable", "price_in", "price_out", "picture_tokens"), "")
    limits = dict.fromkeys(("money", "tokens", "a_minute", "tokens_a_minute"), "") | {"in_flight": 4, "attempts": 5, "workers": 1, "executor": "local"}
    chosen: dict[str, Any] = {"datasets": [], "splits": [], "types": [], "batch": " A batch ", "wanted": 2, "prompt": load(arm.kind).text}
    writer = {"generator": "openai", "model": "a-model", "adapter": "", "seeds": 2, "temperature": 0.5, "new_tokens": 100, "currency": ""}
    view = {"frames": 8, "longest_px": 336, "max_lines": 0}
    return {"kind": arm.kind, "answer": arm.answer, "shown": arm.shown, **switches, **texts, **limits, **chosen, **writer, **view, **changed}


@pytest.mark.parametrize("arm", ARMS, ids=[f"{arm.kind}-{name_of(arm)}" for arm in ARMS])
def test_a_preset_survives_the_switches_of_the_form(arm: Arm) -> None:
    assert arm_in(shown_of(arm)) == arm
    assert wish_of(shown_of(arm)).arm == arm


@given(st.sampled_from(ARMS), st.data())
def test_every_switch_changes_the_arm_and_the_name_says_so(arm: Arm, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for _, name in SWITCHES[arm.kind]]))
    form = shown_of(arm)
    changed = arm_in({**form, name: not form[name]})
    assert changed != arm
    assert name_of(changed) == OWN or PRESETS[arm.kind][name_of(changed)] == changed


def test_the_wish_says_what_the_form_shows_and_leaves_out_what_means_nothing() -> None:
    given_arm = PRESETS["rationale"]["given"]
    wish = wish_of(shown_of(given_arm, most="3", price_in="0.5", price_out="0", money="2"))
    assert (wish.chosen.most, wish.seeds, wish.batch, wish.sampling.temperature) == (3, 2, "A batch", 0.5)
    assert wish.prices == Prices(0.5, 0.0) and wish.limits.money == 2.0 and wish.limits.tokens is None
    assert wish.view == {"frames": 8, "longest_px": 336, "max_lines": 0}
    assert wish.prompt == load("rationale"), "an untouched prompt is the given version"
    rule = wish_of(shown_of(PRESETS["narrative"]["full"], generator="template", price_in="1", batch=" ", types=["CW"]))
    assert (rule.writer.kind, rule.seeds, rule.prices, rule.view, rule.batch, rule.chosen.types) == ("template", 1, None, {}, None, ())


def test_lists_call_an_arm_of_the_composer_by_its_preset_and_say_that_nothing_was_shown() -> None:
    wrong = PRESETS["rationale"]["wrong"]
    assert [label_of(arm) for arm in (wrong, replace(wrong, shown="nothing"), replace(wrong, citations=False))] == ["wrong", "wrong, words alone", OWN]


def test_a_changed_prompt_is_another_version() -> None:
    arm = PRESETS["narrative"]["full"]
    changed = wish_of(shown_of(arm, prompt=load("narrative").text + "\nKeep it short.\n"))
    assert changed.prompt.sha256 != load("narrative").sha256


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"price_in": "0.5"}, "Only one of the two prices"),
        ({"money": "much"}, "'much', which is no number"),
        ({"most": "2.5"}, "has to be a whole number"),
        ({"model": " "}, "No model is named"),
        ({"temperature": None}, "temperature is missing"),
        ({"prompt": "Tell it."}, "no section"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        wish_of(shown_of(PRESETS["rationale"]["given"], **changed))


def test_an_empty_field_is_no_number_and_not_zero() -> None:
    assert optional_number(" ", "budget") is None
    assert optional_number("0", "budget") == 0.0
