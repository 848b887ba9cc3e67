"""What a model card says: facts with their n, and unknown where nothing is known."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.cards import CardFacts, CardStage, Measured, model_card
from training.form import preset_named
from training.metrics import summary

MANIFEST: dict[str, Any] = {
    "id": "set-1", "name": "mine", "rows_sha256": "f" * 64, "kinds": {"narrative": 7, "rationale": 3}, "splits": {"train": 8, "test": 2},
    "rule": {"min_annotations": 2, "edits": True}, "left_out": {"the clip waits for its media file": 4},
}  # fmt: skip
ENDED = {"steps": 5, "device": "cpu", "training_seconds": 2.5}
SFT = CardStage("first", "run-1", preset_named("Pipeline check (SFT)").config(), ENDED, MANIFEST, 8, "| a | 4 |")
OF_DPO = preset_named("Pipeline check (DPO)").config(parent_run="run-1")
DPO = CardStage("second", "run-2", OF_DPO, ENDED, manifest=None, learnt_rows=None, agreement=None)


def told(right: bool, number: int) -> dict[str, Any]:
    return {"correct": right, "correct_by_mean": right, "tie": False, "reason": None, "nll": 1.0}


def predictions(base: list[bool], adapter: list[bool]) -> list[dict[str, Any]]:
    asked = [{"question": str(n), "type": None, "clip": str(n % 2), "contaminated": False} for n in range(len(base))]
    return [{**one, "base": told(base[n], n), "adapter": told(adapter[n], n)} for n, one in enumerate(asked)]


def measured(base: list[bool], adapter: list[bool], quantisation: str = "nf4") -> Measured:
    return Measured("run-9", "held out", quantisation, summary(predictions(base, adapter)))


FACTS = CardFacts("second", True, "a" * 64, (DPO, SFT), measured([False, True, False, False], [True, True, True, False]))


def test_the_card_tells_data_rules_agreement_settings_and_accuracy_with_their_n() -> None:
    card = model_card(FACTS)
    for words in (
        "8 rows of the set mine (id set-1",
        "narrative 7, rationale 3",
        "train 8, test 2",
        "min&#95;annotations 2",
        "the clip waits for its media file 4",
        "| a | 4 |",
        "steps: 5; time: 2.5 s; on: cpu",
        "4 questions about 2 clips of the set held out",
        "base: 1 of 4 right = 0.250 (95 % Wilson interval 0.046 to 0.699)",
        "with the adapter: 3 of 4 right = 0.750",
        "by the adapter alone 2, by the base alone 0; exact McNemar test p = 0.5",
        "measured on the base in 4 bits",
    ):
        assert words in card, words


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    card = model_card(CardFacts("second", False, "a" * 64, (DPO,), None))
    assert "an unknown number of rows of a set that is not on this machine" in card
    assert "Unknown: the set's datasheet is not on this machine." in card
    assert "Unknown: no run that evaluates exactly these weights" in card
    assert "None" not in card.partition("| setting |")[0] and "None" not in card.partition("## Accuracy")[2]


def test_whether_the_questions_test_its_memory_is_told_as_far_as_it_is_known() -> None:
    def about(contaminated: int | None) -> str:
        assert FACTS.measured
        measured = replace(FACTS.measured, accuracy={**FACTS.measured.accuracy, "contaminated": contaminated})
        return model_card(replace(FACTS, measured=measured))

    assert "learnt from is unknown" in about(None)
    assert "3 of these questions are about videos that it learnt from" in about(3)
    assert "of these questions" not in about(0)


def test_random_weights_and_a_stopped_run_are_told() -> None:
    stopped = model_card(replace(FACTS, stages=(replace(SFT, result={"outcome": "stopped"}),)))
    assert "drawn at random" in stopped and "stopped before its last step" in stopped
    real = replace(SFT, config=replace(SFT.config, model="Qwen/Qwen2.5-VL-3B-Instruct"))
    card = model_card(replace(FACTS, stages=(real,)))
    assert "base_model: Qwen/Qwen2.5-VL-3B-Instruct" in card and "drawn at random" not in card and "stopped before" not in card


@pytest.mark.parametrize(("merged", "quantisation"), [(True, "none"), (False, "nf4")])
def test_four_bits_are_told_only_where_they_matter(merged: bool, quantisation: str) -> None:
    plain = replace(SFT, config=replace(SFT.config, quantisation="none"))
    card = model_card(CardFacts("x", merged, "a" * 64, (plain,), measured([True], [True], quantisation)))
    assert "4 bits" not in card


@given(st.text(min_size=1, max_size=40))
def test_no_name_breaks_out_of_its_line(name: str) -> None:
    heads = [line for line in model_card(replace(FACTS, name="x" + name)).split("\n") if line.startswith("#")]
    assert [line for line in heads if line.startswith("## ")] == [line for line in model_card(FACTS).split("\n") if line.startswith("## ")]
