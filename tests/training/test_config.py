"""What a run config refuses, and that it survives its own writing."""

import json
from dataclasses import MISSING, asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.config import LOCKED, RunConfig, lock_problem
from training.context import PRESETS as PLANS
from training.presets import PRESETS, Preset, plan_values


def config_of(preset: Preset) -> RunConfig:
    return preset.config(**({"parent_run": "r1"} if preset.stage == "dpo" else {}))


SFT, DPO = config_of(PRESETS[0]), next(config_of(preset) for preset in PRESETS if preset.stage == "dpo")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_a_config_and_survives_its_own_writing(preset: Preset) -> None:
    config = config_of(preset)
    assert config.stage == preset.stage
    assert RunConfig.from_json(config.to_json()) == config
    assert preset.origin.endswith("."), "where the values come from is a sentence"


def test_the_presets_carry_the_published_values() -> None:
    povqa = next(preset.config() for preset in PRESETS if preset.name == "SFT POVQA")
    assert (povqa.lora_rank, povqa.lora_alpha, povqa.learning_rate, povqa.warmup_share, povqa.epochs) == (32, 32, 5e-5, 0.08, 2)
    assert (povqa.layout, povqa.frames, povqa.keyframe, povqa.pooling, povqa.compat) == ("interleaved", 16, "last", "BBLF", "povqa")
    from_sft = next(config_of(preset) for preset in PRESETS if preset.name == "DPO from SFT")
    assert (from_sft.loss_types, from_sft.learning_rate, from_sft.max_grad_norm) == (("sigmoid", "sft"), 5e-6, 1.0)


@given(st.text(min_size=1, max_size=12).filter(lambda name: name not in asdict(SFT)))
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match="unknown field"):
        RunConfig.from_json(json.dumps({**asdict(SFT), name: 1}))


@given(st.sampled_from([field.name for field in fields(SFT) if field.default is MISSING]))
def test_a_missing_field_is_refused_by_name(name: str) -> None:
    values = {key: value for key, value in asdict(SFT).items() if key != name}
    with pytest.raises(InputError, match=f"'{name}'"):
        RunConfig.from_values(values)


@given(st.sampled_from(sorted(asdict(SFT))), st.sampled_from([True, {}, "x", [1], 1.5, float("nan")]))
def test_a_value_of_another_type_or_out_of_range_is_a_sentence_and_never_a_crash(name: str, value: object) -> None:
    try:
        config = RunConfig.from_values({**asdict(SFT), name: value})
    except InputError as error:
        assert str(error).endswith(".") and len(str(error)) > 20
    else:
        assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("base", "changes", "word"),
    [
        (SFT, {"frames": 7}, "twos"),
        (SFT, {"keyframe": "in_order"}, "no room for it"),
        (SFT, {"layout": "collage"}, "interleaved"),
        (SFT, {"selection": "best"}, "near_ts"),
        (SFT, {"pooling": "MAX"}, "BBLF"),
        (SFT, {"compat": "theirs"}, "povqa"),
        (SFT, {"window_s": 0.0}, "window_s"),
        (SFT, {"window_s": float("nan")}, "window_s"),
        (SFT, {"max_lines": -1}, "max_lines"),
        (SFT, {"budget_tokens": 8192}, "Give a smaller budget"),
        (SFT, {"compat": "povqa", "pause_causal": True}, "after the pause"),
        (SFT, {"frames": 0}, "between"),
        (SFT, {"model": " "}, "empty"),
        (SFT, {"quantisation": "int3"}, "nf4"),
        (SFT, {"schedule": "magic"}, "cosine"),
        (SFT, {"warmup_share": 1.0}, "between"),
        (SFT, {"learning_rate": 0.0}, "above 0"),
        (SFT, {"learning_rate": float("inf")}, "above 0"),
        (SFT, {"beta": 0.1}, "SFT run has no beta"),
        (SFT, {"parent_run": "r1"}, "SFT run has no parent_run"),
        (SFT, {"loss_weights": (1.0,)}, "SFT run has no loss_weights"),
        (DPO, {"parent_run": None}, "needs parent_run"),
        (DPO, {"beta": None}, "needs beta"),
        (DPO, {"loss_types": ()}, "needs loss_types"),
        (DPO, {"loss_weights": (1.0,)}, "one weight a type"),
        (DPO, {"loss_weights": (1.0, 0.0)}, "above 0"),
        (DPO, {"loss_types": ("sigmoid", "sigmoid")}, "twice"),
        (DPO, {"loss_types": ("sigmoid", "best")}, "one of"),
        (DPO, {"loss_types": ("sft",), "loss_weights": (1.0,)}, "looks at no pair"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_way_out(base: RunConfig, changes: dict, word: str) -> None:
    with pytest.raises(InputError, match=word):
        replace(base, **changes)


def test_a_config_from_before_contexts_means_frames_as_one_video_as_it_did_then() -> None:
    since = {field.name for field in fields(SFT)} - set(list(asdict(SFT))[: list(asdict(SFT)).index("layout")])
    plain = replace(SFT, **{field.name: field.default for field in fields(SFT) if field.name in since})
    config = RunConfig.from_values({name: value for name, value in asdict(SFT).items() if name not in since})
    assert config == plain and len(since) >= 10
    assert config.context_plan() == replace(PLANS["video"], frames=SFT.frames)


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_can_be_asked_for_by_a_config(name: str) -> None:
    assert replace(SFT, **plan_values(PLANS[name])).context_plan() == PLANS[name]
    with_budget = replace(PLANS[name], budget_tokens=500)
    assert replace(SFT, **plan_values(with_budget)).context_plan() == with_budget


def test_a_switch_is_true_or_false_and_nothing_like_it() -> None:
    assert RunConfig.from_values({**asdict(SFT), "hint": True}).hint
    for value in (1, "yes", None):
        with pytest.raises(InputError, match="hint"):
            RunConfig.from_values({**asdict(SFT), "hint": value})


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"'])
def test_a_text_that_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        RunConfig.from_json(text)


@pytest.mark.parametrize("name", LOCKED)
def test_a_dpo_run_that_differs_from_its_sft_run_is_named_field_by_field(name: str) -> None:
    parent = replace(SFT, **{field: getattr(DPO, field) for field in LOCKED})
    assert lock_problem(parent, DPO) is None, "the control"
    other = {"model": "other", "quantisation": "none", "frames": 2, "longest_side_px": 56, "lora_rank": 3, "lora_alpha": 5, "lora_dropout": 0.5}
    other |= {"layout": "block", "selection": "all", "pooling": "WA", "window_s": 2.0, "compat": "povqa", "hint": True, "pause_causal": True}
    other |= {"max_lines": 3, "budget_tokens": 900, "keyframe": "last", "projector": True}
    changes = {"layout": "block"} if name == "keyframe" else {}
    problem = lock_problem(replace(parent, **changes), replace(DPO, **changes, **{name: other[name]}))
    assert problem is not None and problem.startswith(f"{name} is")
