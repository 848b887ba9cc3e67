"""From the fields of the form to a config and back."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.config import KINDS, LOCKED, LOSSES, STAGES, RunConfig
from training.form import FIELDS, GROUPS, config_of, parse_terms, preset_named, presets_for, terms_text, values_of
from training.presets import PRESETS, Preset

SFT = PRESETS[0].config()


def fields_of(config: RunConfig, **changes: Any) -> list[Any]:
    values = dict(zip((field.name for field in FIELDS), values_of(config), strict=True))
    assert set(changes) <= set(values)
    return list((values | changes).values())


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_what_a_preset_fills_in_is_read_back_as_that_preset(preset: Preset) -> None:
    changes = {"dpo": {"parent_run": "r1"}, "evaluate": {"question_set": "q1"}}.get(preset.stage, {})
    config = preset.config(**changes)
    parent = replace(SFT, **{name: getattr(config, name) for name in LOCKED}) if preset.stage == "dpo" else None
    read = config_of(preset.stage, values_of(config), config.parent_run, parent, config.question_set)
    shown = {field.name for field in FIELDS if preset.stage in field.stages} - {"losses", "mixture"}
    assert {name: getattr(read, name) for name in shown} == {name: getattr(config, name) for name in shown}
    assert read == config or preset.stage in ("evaluate", "write"), "what is only looked at trains nothing: those values are of no weight"


def test_a_browser_sends_numbers_as_floats_and_they_are_read_as_what_they_are() -> None:
    sent = [float(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in values_of(SFT)]
    assert config_of("sft", sent, None, None) == SFT


def test_every_field_of_the_config_can_be_set_and_names_its_unit() -> None:
    names = {field.name for field in FIELDS}
    beyond = {"stage", "parent_run", "loss_types", "loss_weights", "kinds", "shares", "question_set"}
    assert names - {"losses", "mixture"} == set(RunConfig.__dataclass_fields__) - beyond
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


def test_an_adapter_is_looked_at_with_the_model_and_pixels_of_its_run() -> None:
    values = fields_of(preset_named("Evaluate").config(question_set="q1"), frames=32)
    assert config_of("evaluate", values, None, None, "q1").frames == 32, "the control"
    config = config_of("evaluate", values, "r1", SFT, "q1")
    assert {name: getattr(config, name) for name in LOCKED} == {name: getattr(SFT, name) for name in LOCKED}
    with pytest.raises(InputError, match="no set of them is chosen"):
        config_of("evaluate", values, None, None)


def test_an_sft_run_starts_from_no_other_whatever_was_chosen_before() -> None:
    assert config_of("sft", values_of(SFT), "r1", SFT) == SFT


def test_a_mixture_is_read_as_kinds_with_shares_and_an_empty_one_is_all() -> None:
    config = config_of("sft", fields_of(SFT, mixture="narrative 1, rationale 2.5, answer"), None, None)
    assert (config.kinds, config.shares) == (("narrative", "rationale", "answer"), (1.0, 2.5, 1.0))
    assert dict(zip((field.name for field in FIELDS), values_of(config), strict=True))["mixture"] == "narrative 1, rationale 2.5, answer 1"
    for nothing in ("", "  ", None):
        assert config_of("sft", fields_of(config, mixture=nothing), None, None).kinds == ()
    with pytest.raises(InputError, match="Write for example: narrative 1, rationale 2"):
        config_of("sft", fields_of(SFT, mixture="narrative many"), None, None)


@given(st.lists(st.tuples(st.sampled_from((*LOSSES, *KINDS)), st.integers(1, 1000).map(lambda n: n / 100)), min_size=1, max_size=4))
def test_names_with_weights_survive_their_own_writing(terms: list[tuple[str, float]]) -> None:
    names, weights = zip(*terms, strict=True)
    assert parse_terms(terms_text(names, weights), "mixture", "") == (names, weights)


def test_a_loss_without_a_number_weighs_one_and_nonsense_is_refused() -> None:
    config = preset_named("DPO from SFT").config(parent_run="r1")
    read = config_of("dpo", fields_of(config, losses="sigmoid, sft 0.2"), "r1", SFT)
    assert (read.loss_types, read.loss_weights) == (("sigmoid", "sft"), (1.0, 0.2))
    for text in ("sigmoid much", " , ", "sigmoid 1 2"):
        with pytest.raises(InputError, match="Write for example"):
            config_of("dpo", fields_of(config, losses=text), "r1", SFT)


def test_each_stage_offers_the_pipeline_check_first() -> None:
    assert all(presets_for(stage)[0].startswith("Pipeline check (") for stage in STAGES)
    assert [presets_for(stage)[0] for stage in ("sft", "dpo")] == ["Pipeline check (SFT)", "Pipeline check (DPO)"]
    with pytest.raises(InputError, match="no preset"):
        preset_named("best")


def test_every_field_stands_under_one_heading_and_each_stage_has_fields() -> None:
    names = [field.name for field in FIELDS]
    assert len(names) == len(set(names)) and list(GROUPS) == ["Model", "What is shown", "Data", "Optimiser", "Preference", "Accuracy", "Writing"]
    assert all(any(stage in field.stages for field in FIELDS) for stage in STAGES)
    assert not [field.name for field in FIELDS if "evaluate" in field.stages and field.name.startswith(("lora", "learning"))]


def test_what_the_docs_name_is_there() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\*((?:Pipeline check|DPO|SFT)[^*\n]*)\*", text))
    assert named and {name for preset in PRESETS for name in (preset.name, preset.name.removesuffix(" (SFT)"))} >= named
    commands = set(re.findall(r"python -m training (\w+)", text))
    assert {"launch", "status", "logs", "stop", "resume", "export"} == commands
    for stage in STAGES:
        assert f"| `{stage}` |" in text
