"""From the fields of the form to a config and back."""

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.config import LOCKED, LOSSES, RunConfig
from training.form import FIELDS, config_of, losses_text, parse_losses, preset_named, presets_for, values_of
from training.presets import PRESETS, Preset

SFT = PRESETS[0].config()


def fields_of(config: RunConfig, **changes: Any) -> list[Any]:
    values = dict(zip((field.name for field in FIELDS), values_of(config), strict=True))
    assert set(changes) <= set(values)
    return list((values | changes).values())


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_what_a_preset_fills_in_is_read_back_as_that_preset(preset: Preset) -> None:
    dpo = preset.stage == "dpo"
    config = preset.config(**({"parent_run": "r1"} if dpo else {}))
    parent = replace(SFT, **{name: getattr(config, name) for name in LOCKED}) if dpo else None
    assert config_of(preset.stage, values_of(config), "r1" if dpo else None, parent) == config


def test_a_browser_sends_numbers_as_floats_and_they_are_read_as_what_they_are() -> None:
    sent = [float(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in values_of(SFT)]
    assert config_of("sft", sent, None, None) == SFT


def test_every_field_of_the_config_can_be_set_and_names_its_unit() -> None:
    names = {field.name for field in FIELDS}
    beyond = {"stage", "parent_run", "loss_types", "loss_weights"}
    assert names - {"losses"} == set(RunConfig.__dataclass_fields__) - beyond
    assert all(field.info for field in FIELDS)
    assert all("(" in field.label for field in FIELDS if field.kind in ("integer", "number") and field.name not in ("max_grad_norm", "validation_rows", "seed"))
    assert all(field.choices and getattr(SFT, field.name) in field.choices for field in FIELDS if field.kind == "choice")
    assert {field.name for field in FIELDS if field.kind == "switch"} == {name for name, value in asdict(SFT).items() if isinstance(value, bool)}


def test_dpo_takes_model_and_pixels_from_its_sft_run_whatever_the_fields_say() -> None:
    preset = preset_named("DPO from SFT")
    config = config_of("dpo", fields_of(preset.config(parent_run="x"), frames=32, model="other/model"), "r1", SFT)
    assert {name: getattr(config, name) for name in LOCKED} == {name: getattr(SFT, name) for name in LOCKED}
    assert config.parent_run == "r1"
    with pytest.raises(InputError, match="none is chosen"):
        config_of("dpo", values_of(preset.config(parent_run="x")), None, None)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_empty_field_is_named_by_its_label(value: object) -> None:
    with pytest.raises(InputError, match="Model is empty"):
        config_of("sft", fields_of(SFT, model=value), None, None)
    with pytest.raises(InputError, match=r"Frames \(a clip, at most\) is empty"):
        config_of("sft", fields_of(SFT, frames=None), None, None)


def test_a_folder_is_named_whole_because_the_child_works_elsewhere(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    assert config_of("sft", fields_of(SFT, model=" weights "), None, None).model == str(tmp_path / "weights")
    assert config_of("sft", fields_of(SFT, model="org/model"), None, None).model == "org/model"


@given(st.lists(st.tuples(st.sampled_from(LOSSES), st.integers(1, 1000).map(lambda n: n / 100)), min_size=1, max_size=4))
def test_losses_survive_their_own_writing(terms: list[tuple[str, float]]) -> None:
    types, weights = zip(*terms, strict=True)
    assert parse_losses(losses_text(types, weights)) == {"loss_types": types, "loss_weights": weights}


def test_a_loss_without_a_number_weighs_one_and_nonsense_is_refused() -> None:
    assert parse_losses("sigmoid, sft 0.2") == {"loss_types": ("sigmoid", "sft"), "loss_weights": (1.0, 0.2)}
    for text in ("sigmoid much", " , ", "sigmoid 1 2"):
        with pytest.raises(InputError, match="Write for example"):
            parse_losses(text)


def test_each_stage_offers_the_pipeline_check_first() -> None:
    assert [presets_for(stage)[0] for stage in ("sft", "dpo")] == ["Pipeline check (SFT)", "Pipeline check (DPO)"]
    with pytest.raises(InputError, match="no preset"):
        preset_named("best")
