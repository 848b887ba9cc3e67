"""Preference optimisation: what is scored, what the reference is, and that packing pairs changes no number. The tiny model is built once."""

import copy
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from store.errors import InputError
from tests.training.conftest import Studio
from tests.training.pair_bench import PACKED, SEPARATE, Ears, PairBench, build_bench, dpo_config_of, move, save_parent, trl_batch
from training import dpo
from training.dpo import PairProgress, PairTrainer, as_reference, begin_alike, train_dpo
from training.plan import TrainingError
from training.references import References, made_by
from training.rows import Row

SIGMOID = dpo_config_of(loss_types=("sigmoid",), loss_weights=(1.0,))
ANSWER = replace(SIGMOID, scored="final_answer")


@dataclass(frozen=True)
class Trained:
    """A finished run: where it lies, what it said, and its figures."""

    directory: Path
    ears: Ears
    result: dict[str, Any]


@pytest.fixture(scope="module")
def bench(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> PairBench:
    return build_bench(shared_studio, tmp_path_factory.mktemp("dpo"))


def loss_of(trainer: PairTrainer, rows: tuple[Row, ...], passes: Any) -> torch.Tensor:
    trainer._metrics["train"].clear()
    return trainer.compute_loss(trainer.model, trainer._pairs.batch(rows, passes))


def figure(trainer: PairTrainer, name: str) -> float:
    return trainer._metrics["train"][name][0]


def gradients(trainer: PairTrainer, rows: tuple[Row, ...], passes: Any) -> dict[str, torch.Tensor]:
    trainer.model.zero_grad()
    loss_of(trainer, rows, passes).backward()
    return {name: tensor.grad.clone() for name, tensor in trainer.model.named_parameters() if tensor.requires_grad}


@pytest.fixture(scope="module")
def qwen3(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> PairBench:
    return build_bench(shared_studio, tmp_path_factory.mktemp("qwen3"), "qwen3_vl")


@pytest.mark.parametrize("config", [dpo_config_of(), ANSWER], ids=["reply", "final answer"])
@pytest.mark.parametrize("family", ["bench", "qwen3"])
def test_pairs_of_a_clip_behind_one_video_have_the_loss_and_the_gradients_of_pairs_apart(request: Any, family: str, config: Any) -> None:
    bench: PairBench = request.getfixturevalue(family)
    trainer, rows = bench.trainer(config), bench.rows[:4]
    rows = (*rows[:3], replace(rows[3], reply="Something else.\n\nFinal answer: C. up", rejected="Final answer: D. down and out"))
    move(bench.model, "default", 0.05)
    apart, together = (float(loss_of(trainer, rows, passes).detach()) for passes in (SEPARATE, PACKED))
    assert abs(apart - together) < 2e-6
    apart_by_name, together_by_name = (gradients(trainer, rows, passes) for passes in (SEPARATE, PACKED))
    size = max(float(tensor.abs().max()) for tensor in apart_by_name.values())
    assert all(float((together_by_name[name] - apart_by_name[name]).abs().max()) < 1e-5 * max(1.0, size) for name in apart_by_name)
    tokens = [trainer._pairs.batch(rows, passes)["input_ids"].numel() for passes in (SEPARATE, PACKED)]
    assert tokens[0] > 2 * tokens[1], "of a clip of four small frames"


def test_log_probabilities_are_those_of_a_computation_of_its_own_in_float64(bench: PairBench) -> None:
    trainer, rows = bench.trainer(SIGMOID), bench.rows[:3]
    loss_of(trainer, rows, PACKED)
    batch = trl_batch(bench, rows)
    mask = batch.pop("completion_mask")
    double = copy.deepcopy(bench.model.get_base_model()).double()
    del double.forward  # the language head that TRL has put in
    with torch.no_grad():
        inputs = {name: value.double() if torch.is_tensor(value) and value.is_floating_point() else value for name, value in batch.items()}
        logps = double(**inputs).logits.log_softmax(dim=-1)
    ids = batch["input_ids"]
    next_token = logps[:, :-1].gather(2, ids[:, 1:, None])[..., 0] * mask[:, 1:]
    same_token = logps.gather(2, ids[..., None])[..., 0] * mask
    chosen = float(next_token.sum(dim=1)[:3].mean())
    assert figure(trainer, "logps/chosen") == pytest.approx(chosen, rel=1e-5)
    assert figure(trainer, "logps/rejected") == pytest.approx(float(next_token.sum(dim=1)[3:].mean()), rel=1e-5)
    assert float(same_token.sum(dim=1)[:3].mean()) != pytest.approx(chosen, rel=1e-2), "the control: POVQA scores each token by its own place"


@pytest.mark.parametrize("passes", [PACKED, SEPARATE], ids=["packed", "separate"])
def test_what_is_scored_is_the_whole_reply_and_its_end_however_long_or_the_answer_alone(bench: PairBench, passes: Any) -> None:
    long = "very " * 300 + "long.\n\nFinal answer: B. to the left — «é» 🐢"
    row = replace(bench.rows[0], rejected=long)
    for config, told in ((SIGMOID, [row.reply, long]), (ANSWER, [" A. to the right", " B. to the left — «é» 🐢"])):
        batch = bench.pairs(config).batch([row], passes)
        scored = batch["input_ids"][batch["pairs"].wanted]
        texts = [bench.processor.tokenizer.decode(scored[batch["pairs"].owners == number]) for number in (0, 1)]
        assert texts == [f"{text}<|im_end|>" for text in told]


def test_words_before_the_answer_that_both_texts_share_go_through_the_model_once(bench: PairBench) -> None:
    reply, answer = (bench.pairs(config).batch(bench.rows[:1], PACKED)["input_ids"].numel() for config in (SIGMOID, ANSWER))
    assert answer < reply


def test_a_text_without_a_token_to_score_is_refused(bench: PairBench, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = bench.pairs(SIGMOID)
    whole = pairs._clips.batch

    def blank(*asked: Any) -> dict[str, torch.Tensor]:
        batch = whole(*asked)
        batch["completion_mask"][-1] = 0
        return batch

    monkeypatch.setattr(pairs._clips, "batch", blank)
    with pytest.raises(TrainingError, match="has no token to score"):
        pairs.batch(bench.rows[:2], SEPARATE)


@pytest.mark.parametrize("passes", [PACKED, SEPARATE], ids=["packed", "separate"])
def test_the_loss_begins_at_ln_2_exactly_and_leaves_it_when_the_policy_moves(bench: PairBench, passes: Any) -> None:
    trainer = bench.trainer(SIGMOID)
    assert float(loss_of(trainer, bench.rows[:4], passes).detach()) == pytest.approx(math.log(2), abs=1e-7)
    assert figure(trainer, "rewards/margins") == 0
    move(bench.model, "default", 0.05)
    assert float(loss_of(trainer, bench.rows[:4], passes).detach()) != pytest.approx(math.log(2), abs=1e-4), "the control"


def test_the_reference_is_asked_once_for_each_text_and_not_again_by_a_later_run(bench: PairBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[str] = []
    score = dpo.token_scores

    def heard(model: Any, *asked: Any) -> Any:
        spoken.append(bench.model.active_adapter)
        return score(model, *asked)

    monkeypatch.setattr(dpo, "token_scores", heard)
    trainer, rows = bench.trainer(SIGMOID, tmp_path / "file"), bench.rows[:4]
    first = float(loss_of(trainer, rows, PACKED).detach())
    move(bench.model, "default", 0.05)
    second = float(loss_of(trainer, rows, PACKED).detach())
    assert spoken == ["ref", "default", "default"] and first != second
    with (tmp_path / "file").open("a") as stream:
        stream.write('{"key": "half a li')
    later = bench.pairs(SIGMOID, tmp_path / "file")
    monkeypatch.setattr(trainer, "_pairs", later)
    assert float(loss_of(trainer, rows, PACKED).detach()) == second
    assert spoken[3:] == ["default"]
    loss_of(trainer, bench.rows[4:5], PACKED)
    assert spoken[4:] == ["ref", "default"], "the control: a text that nobody asked about"
    assert len([json.loads(line) for line in (tmp_path / "file").read_text().splitlines()]) == 2 * 5, "two texts a pair"


def test_another_adapter_clip_or_text_is_another_question_to_the_reference(bench: PairBench, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"one")
    view, other_view = bench.encoder.view(bench.rows[0]), bench.encoder.view(bench.rows[5])
    made = made_by(adapter, SIGMOID)
    asked = References(tmp_path / "file", made)
    keys = [asked.key("text", view), asked.key("text", other_view), asked.key("texts", view)]
    (adapter / "adapter_model.safetensors").write_bytes(b"two")
    others = [made_by(adapter, SIGMOID), made_by(adapter, ANSWER), made_by(adapter, replace(SIGMOID, frames=2))]
    keys += [References(tmp_path / "file", other).key("text", view) for other in others]
    assert len(set(keys)) == len(keys)
    assert made_by(adapter, replace(SIGMOID, beta=0.7, learning_rate=1e-4)) == others[0], "it does not depend on how the policy learns"


def test_the_policy_begins_as_the_reference_to_the_last_bit_though_trl_rounds_it(bench: PairBench) -> None:
    bench.trainer(SIGMOID)
    for name, tensor in bench.model.named_parameters():
        if ".default." in name:
            tensor.data = tensor.data.bfloat16()  # what TRL does under nf4

    def unlike() -> list[str]:
        named = dict(bench.model.named_parameters())
        return [name for name in named if ".ref." in name and not torch.equal(named[name], named[name.replace(".ref.", ".default.")].float())]

    assert unlike(), "the control"
    begin_alike(bench.model)
    assert not unlike()
    assert {tensor.dtype for name, tensor in bench.model.named_parameters() if "lora" in name} == {torch.float32}
    with as_reference(bench.model):
        pass
    assert [name for name, tensor in bench.model.named_parameters() if tensor.requires_grad and ".default." not in name] == []


@pytest.mark.parametrize("config", [SIGMOID, dpo_config_of()], ids=["sigmoid", "with its anchor, which is a mean over tokens"])
def test_packs_of_different_sizes_make_the_step_of_all_their_pairs_together(bench: PairBench, config: Any) -> None:
    trainer, rows = bench.trainer(config), bench.rows[:4]
    rows = (*rows[:3], replace(rows[3], reply="It is much longer than the others and says so. " * 9 + rows[3].reply))
    move(bench.model, "default", 0.05)
    batches = [trainer._pairs.batch(part, PACKED) for part in (rows[:3], rows[3:])]
    collected, count = trainer.get_batch_samples(iter(batches), 2, torch.device("cpu"))
    assert count == 4
    parts = [float(trainer.compute_loss(trainer.model, batch, num_items_in_batch=count).detach()) for batch in collected]
    assert sum(parts) == pytest.approx(float(loss_of(trainer, rows, PACKED).detach()), abs=1e-6)


def test_an_alarm_goes_out_as_an_event() -> None:
    ears = Ears()
    progress = PairProgress(ears)
    for step in range(1, 21):
        logs = {"loss": 0.6, "preference_loss": math.log(2), "rewards/chosen": -0.1 * step, "rewards/margins": 0.1 * step, "rewards/accuracies": 0.7}
        progress.on_log(None, SimpleNamespace(global_step=step), None, logs=logs)
    (alarm,) = ears.of("alarm")
    assert "chosen texts became less likely" in alarm["text"]


def test_weights_change_how_much_a_pair_counts(bench: PairBench, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SIGMOID, pair_weights=True)
    heavy = [replace(row, weight=9.0 if number == 0 else 1.0) for number, row in enumerate(bench.rows)]
    monkeypatch.setitem(bench.__dict__, "plan", replace(bench.plan, train=tuple(heavy)))
    weights = bench.pairs(config).batch(bench.rows[:2], PACKED)["pairs"].weights
    assert float(weights[0] / weights[1]) == pytest.approx(9)


def run_in(directory: Path, bench: PairBench, ears: Ears, resume_from: Path | None = None, max_steps: int = 0) -> Trained:
    """Do three passes over ten pairs in 4 bits, packed, in this process."""
    config = dpo_config_of(quantisation="nf4", packing="clip", pack_rows=4, accumulation=4, max_steps=max_steps, epochs=3, checkpoint_steps=100)
    plan = replace(bench.plan, directory=directory, config=config, train=bench.rows[:10], held_out=bench.rows[10:], resume_from=resume_from)
    return Trained(directory, ears, train_dpo(plan, ears))


@pytest.fixture(scope="module")
def run_directory(bench: PairBench, shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Return what makes a run directory with its SFT run, always the same one."""
    bench.trainer(SIGMOID)
    parent = tmp_path_factory.mktemp("sft")
    save_parent(bench, parent)

    def make() -> Path:
        directory = tmp_path_factory.mktemp("run")
        (directory / "parent").symlink_to(parent)
        (directory / "media").symlink_to(shared_studio.data / "media")
        return directory

    return make


@pytest.fixture(scope="module")
def trained(bench: PairBench, run_directory: Callable[[], Path]) -> Trained:
    return run_in(run_directory(), bench, Ears())


def test_a_run_begins_at_ln_2_learns_and_leaves_the_reference_alone(trained: Trained) -> None:
    steps = trained.ears.of("step")
    assert steps[0]["preference_loss"] == pytest.approx(math.log(2), abs=1e-6) and steps[0]["rewards/margins"] == 0
    assert steps[-1]["preference_loss"] < steps[0]["preference_loss"] and steps[-1]["rewards/margins"] > 0
    parent, learnt = (load_file(folder / "adapter_model.safetensors") for folder in (trained.directory / "parent" / "adapter", trained.directory / "adapter"))
    kept = load_file(max((trained.directory / "checkpoints").glob("checkpoint-*")) / "ref" / "adapter_model.safetensors")
    assert all(torch.equal(kept[name], parent[name]) for name in parent), "bit for bit"
    assert set(learnt) == set(parent) and any(not torch.equal(learnt[name], parent[name]) for name in parent), "the control: it did learn"


def test_a_run_that_was_stopped_goes_on_and_ends_where_another_ends_at_once(bench: PairBench, run_directory: Callable[[], Path], trained: Trained) -> None:
    stopped = run_in(run_directory(), bench, Ears(stop_after_step=2))
    assert stopped.result["stopped_early"] and stopped.result["steps"] == 2
    shutil.rmtree(stopped.directory / "adapter")
    asked = (stopped.directory / "reference.jsonl").read_text()
    ended = run_in(stopped.directory, bench, Ears(), stopped.directory / "checkpoints" / "checkpoint-2")
    assert ended.result["steps"] == trained.result["steps"] > 2
    one, other = (load_file(run.directory / "adapter" / "adapter_model.safetensors") for run in (trained, ended))
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
    assert (ended.directory / "reference.jsonl").read_text().startswith(asked)
    assert ended.ears.of("step")[0]["preference_loss"] != pytest.approx(math.log(2), abs=1e-4), "the control: it does not begin anew"


def test_a_run_packs_asks_the_reference_once_a_text_and_counts_each_pair(trained: Trained) -> None:
    assert trained.result["packing"]["held"] and trained.result["packing"]["packs"] < trained.result["rows"] == 10
    asked = [json.loads(line)["key"] for line in (trained.directory / "reference.jsonl").read_text().splitlines()]
    assert len(asked) == len(set(asked)) == 2 * 12, "in three epochs, and before and after them of the held-out pairs"
    steps = trained.ears.of("step")
    before, after = trained.ears.of("validation")
    assert before["pairs_ranked_right"] == 0 and after["loss"] < before["loss"], "a tie is not ranked right"
    assert steps[-1]["items"] == 3 * 10
    assert {"rewards/chosen", "rewards/rejected", "logps/chosen", "logps/rejected"} <= set(steps[0])


def test_where_packs_do_not_give_the_losses_of_separate_pairs_these_go_separately(
    bench: PairBench, run_directory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.sft.pack_differences", lambda *asked: [(9.0, 0.0)])
    made = run_in(run_directory(), bench, Ears(), max_steps=1)
    assert made.result["packing"]["held"] is False
    (step,) = made.ears.of("step")
    assert step["items"] == 4 and step["preference_loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_a_run_on_too_few_pairs_ends_before_anything_is_loaded(bench: PairBench) -> None:
    config = replace(SIGMOID, model="/no/such/model", few_pairs=False)
    with pytest.raises(InputError, match="There are 12 training pairs, and below 50"):
        train_dpo(replace(bench.plan, config=config), None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="8 of 12 pairs have a text without words"):
        train_dpo(replace(bench.plan, config=replace(config, few_pairs=True, scored="final_answer")), None)  # type: ignore[arg-type]
