"""What a run config refuses, and that it survives its own writing."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.config import LOCKED, PRESETS, Preset, RunConfig, lock_problem


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
    from_sft = next(config_of(preset) for preset in PRESETS if preset.name == "DPO from SFT")
    assert (from_sft.loss_types, from_sft.learning_rate, from_sft.max_grad_norm) == (("sigmoid", "sft"), 5e-6, 1.0)


@given(st.text(min_size=1, max_size=12).filter(lambda name: name not in asdict(SFT)))
def test_an_unknown_field_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match="unknown field"):
        RunConfig.from_json(json.dumps({**asdict(SFT), name: 1}))


@given(st.sampled_from([name for name, value in asdict(SFT).items() if value is not None and value != ()]))
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


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"'])
def test_a_text_that_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        RunConfig.from_json(text)


@pytest.mark.parametrize("name", LOCKED)
def test_a_dpo_run_that_differs_from_its_sft_run_is_named_field_by_field(name: str) -> None:
    parent = replace(SFT, **{field: getattr(DPO, field) for field in LOCKED})
    assert lock_problem(parent, DPO) is None, "the control"
    other = {"model": "other", "quantisation": "none", "frames": 2, "longest_side_px": 56, "lora_rank": 3, "lora_alpha": 5, "lora_dropout": 0.5}
    problem = lock_problem(parent, replace(DPO, **{name: other[name]}))
    assert problem is not None and problem.startswith(f"{name} is")
