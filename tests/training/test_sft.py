"""SFT in this process on the tiny models: packs learn what separate rows learn, guards end what is wrong, and what was saved goes on."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training import sft  # isort: skip  # first: it repairs torchvision before transformers is used
from transformers import TrainerCallback  # isort: skip

from store.errors import InputError
from store.records import CuratedSet
from tests.training.conftest import Studio, freeze_rows, row_of, sft_config
from training import fit
from training.config import PIPELINE_CHECK_QWEN3, RunConfig
from training.encoding import count_all
from training.packing import Pack
from training.passes import Passes, passes_of
from training.plan import RunPlan, TrainingError, plan_run
from training.progress import check_gradients
from training.rows import load_set

CLIPS, ROWS_A_CLIP, HELD_OUT = 2, 4, 3
REPLIES = ("A bar moves.", "A bar moves to the right, all the way through the picture.", "Nothing else is there.", "It is over soon.")


@dataclass
class Notes:
    """A reporter that keeps what it hears."""

    heard: list[dict[str, Any]] = field(default_factory=list)

    def emit(self, kind: str, **values: Any) -> None:
        self.heard.append({"kind": kind, **values})

    def stop_asked(self) -> bool:
        return False

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.heard if event["kind"] == kind]

    def steps(self, name: str) -> list[float]:
        return [event[name] for event in self.of("step")]


@dataclass(frozen=True)
class Done:
    directory: Path
    plan: RunPlan
    result: dict[str, Any]
    notes: Notes


@pytest.fixture(scope="module")
def curated(shared_studio: Studio) -> CuratedSet:
    """Two clips with four questions each, and three held-out questions about a third."""
    digests = list(shared_studio.digests.values())

    def row(clip: int, number: int, split: str) -> dict[str, Any]:
        said = {"clip": {"id": f"c{clip}", "digest": digests[clip], "start_s": 0.0, "end_s": None}, "split": split}
        said["completion"] = [{"role": "assistant", "content": REPLIES[number]}]
        return row_of(10 * clip + number, digests[clip], **said)

    rows = [row(clip, number, "train") for clip in range(CLIPS) for number in range(ROWS_A_CLIP)]
    return freeze_rows(shared_studio.data, "sft", [*rows, *(row(2, number, "validation") for number in range(HELD_OUT))], "packed")


Train = Callable[..., Done]


@pytest.fixture
def train(shared_studio: Studio, curated: CuratedSet, tmp_path: Path) -> Train:
    """Return a function that trains with such a config; `before` may change the plan."""

    def done(before: Callable[[RunPlan], RunPlan] = lambda plan: plan, **changes: Any) -> Done:
        directory, notes = tmp_path / f"run{len(list(tmp_path.iterdir()))}", Notes()
        directory.mkdir()
        shutil.copytree(shared_studio.data / curated.directory, directory / "dataset")
        (directory / "media").symlink_to(shared_studio.data / "media")
        config = config_of(**changes)
        plan = before(plan_run(directory, config, notes))
        return Done(directory, plan, sft.train_sft(plan, notes), notes)

    return done


def config_of(**changes: Any) -> RunConfig:
    """Return a config in which a step holds all rows of one clip, and chance has no part but in their order."""
    same = {"quantisation": "none", "lora_dropout": 0.0, "batch_size": 2, "accumulation": 2, "epochs": 2, "validation_rows": HELD_OUT}
    return sft_config(**{**same, "schedule": "constant", "warmup_share": 0.0, "learning_rate": 1e-3, **changes})


@pytest.mark.parametrize("model", ["pipeline-check", PIPELINE_CHECK_QWEN3])
def test_packed_rows_teach_what_the_same_rows_teach_side_by_side(train: Train, model: str) -> None:
    """One clip, so that both ways have the same rows in a step. The loss is a mean over tokens, and replies are of several lengths."""

    def one_clip(plan: RunPlan) -> RunPlan:
        return replace(plan, train=tuple(row for row in plan.train if row.clip.id == "c0"))

    packed, apart = (train(one_clip, model=model, packing=packing, epochs=4) for packing in ("clip", "none"))
    assert [len(done.notes.of("step")) for done in (packed, apart)] == [4, 4]
    assert packed.notes.steps("loss") == pytest.approx(apart.notes.steps("loss"), abs=3e-3)
    assert packed.notes.steps("grad_norm") == pytest.approx(apart.notes.steps("grad_norm"), rel=2e-2)
    assert packed.notes.steps("loss")[-1] < packed.notes.steps("loss")[0] - 0.01
    scores = [done.result["validation"][when]["loss"] for when in ("before", "after") for done in (packed, apart)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3) and scores[2] == pytest.approx(scores[3], abs=3e-3)
    assert packed.result["packing"]["held"] and packed.result["packing"]["packs"] == 1
    assert packed.result["packing"]["largest_difference"] <= packed.result["packing"]["allowed"]
    assert apart.result["packing"] == {"packs": None}
    assert packed.notes.steps("items") == apart.notes.steps("items") == [4, 8, 12, 16]
    assert packed.notes.steps("learnt") == apart.notes.steps("learnt")
    assert packed.result["tokens"] < apart.result["tokens"] == 4 * apart.result["tokens_an_epoch"]["total"]


@pytest.mark.parametrize("wrong", ["each row sees those before it", "a loss is no number"])
def test_when_packs_are_not_what_the_rows_are_alone_the_rows_go_separately(train: Train, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    if wrong == "a loss is no number":
        monkeypatch.setattr(sft, "pack_differences", lambda *given: [(0.0, 5.0), (math.nan, 5.0), (0.0, 5.0)])
    else:
        monkeypatch.setattr(Pack, "mask", lambda packed: np.tri(len(packed.ids), dtype=bool))
    done = train(packing="clip", epochs=1)
    (note,) = [note for note in done.notes.of("note") if "packing" in note]
    assert not note["packing"] and "no row is packed in this run" in note["text"]
    assert done.result["packing"]["held"] is False
    assert done.result["tokens"] == done.result["tokens_an_epoch"]["total"]
    assert done.result["steps"] == 2, "two rows a pass, two passes a step"


def test_kept_features_change_no_loss(train: Train) -> None:
    kept, fresh = (train(packing="clip", feature_cache=cache, validation_rows=0) for cache in (True, False))
    assert kept.notes.steps("loss") == fresh.notes.steps("loss")
    assert len(list((kept.directory / "features").iterdir())) == CLIPS, "one a clip"
    assert not (fresh.directory / "features").exists(), "the control"


def test_nothing_is_kept_while_the_projector_learns(train: Train) -> None:
    done = train(packing="clip", feature_cache=True, projector=True, max_steps=1)
    assert not (done.directory / "features").exists()
    (note,) = [note for note in done.notes.of("note") if "lora_layers" in note]
    assert set(note["lora_layers"]) == {"language_model", "merger"} and "of the merger" in note["text"]


def test_a_limit_of_learnt_tokens_leaves_rows_out_and_tells_which_stayed(train: Train) -> None:
    whole, part = (train(packing="clip", epochs=1, validation_rows=0, max_learnt_tokens=limit) for limit in (0, 60))
    total = whole.result["tokens_an_epoch"]["learnt"]
    assert part.result["learnt_tokens"] == part.result["tokens_an_epoch"]["learnt"] <= 60 < total
    kept = json.loads((part.directory / "learnt_rows.json").read_text())
    assert kept == [row.id for row in part.plan.train[: len(kept)]] and 0 < len(kept) < len(part.plan.train)
    assert part.result["rows"] == len(kept) and not (whole.directory / "learnt_rows.json").exists()
    with pytest.raises(InputError, match="max_learnt_tokens is 1"):
        train(max_learnt_tokens=1)


def test_a_run_that_goes_on_from_a_checkpoint_ends_as_the_unbroken_one_does(train: Train) -> None:
    same = {"packing": "clip", "checkpoint_steps": 2, "quantisation": "nf4", "validation_rows": 0}
    unbroken = train(**same)
    half = unbroken.directory / "checkpoints" / "checkpoint-2"

    def go_on(plan: RunPlan) -> RunPlan:
        return replace(plan, resume_from=half)

    resumed = train(go_on, **same)
    assert resumed.result["resumed_from_step"] == 2 and resumed.result["steps"] == unbroken.result["steps"] == 4
    for name in ("step", "items", "learnt", "tokens"):
        assert resumed.notes.steps(name) == unbroken.notes.steps(name)[2:]
    assert resumed.result["tokens"] == unbroken.result["tokens"] and resumed.result["learnt_tokens"] == unbroken.result["learnt_tokens"]
    assert resumed.notes.steps("loss") == pytest.approx(unbroken.notes.steps("loss")[2:], abs=1e-4)
    told = json.loads((half / "manifest.json").read_text())
    (half / "manifest.json").write_text(json.dumps({**told, "probe_loss": told["probe_loss"] + 0.1}))
    with pytest.raises(TrainingError, match="what stopped"):
        train(go_on, **same)


def test_a_factor_of_a_lora_that_only_noughts_reach_ends_the_run() -> None:
    model = torch.nn.ModuleDict({"lora_A": torch.nn.Linear(2, 2, bias=False), "lora_B": torch.nn.Linear(2, 2, bias=False)})
    torch.nn.init.zeros_(model["lora_B"].weight)
    model["lora_B"](model["lora_A"](torch.ones(1, 2))).sum().backward()
    assert not model["lora_A"].weight.grad.any()
    check_gradients(model)
    model["lora_B"].weight.grad.zero_()
    with pytest.raises(TrainingError, match=r"lora_B.weight has a gradient of noughts"):
        check_gradients(model)


class Nudge(TrainerCallback):
    """Moves a frozen tensor before the step at which it is told to."""

    def __init__(self, at_step: int) -> None:
        self._at_step = at_step

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 == self._at_step:
            with torch.no_grad():
                for tensor in kwargs["model"].parameters():
                    if not tensor.requires_grad:
                        tensor.view(-1)[0] += 1


@pytest.mark.parametrize(("at_step", "told"), [(1, 0), (2, 2)])
def test_a_frozen_tensor_that_moves_ends_the_run_at_the_first_step_or_at_the_end(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_step: int, told: int
) -> None:
    monkeypatch.setattr(sft, "accuracy_callbacks", lambda *everything: [Nudge(at_step)])
    notes = Notes()
    monkeypatch.setattr(Notes, "emit", lambda self, kind, **values: notes.heard.append({"kind": kind, **values}))
    with pytest.raises(TrainingError, match="frozen tensors have changed"):
        train(packing="clip", epochs=1)
    assert len(notes.of("step")) == told and not list(tmp_path.glob("*/adapter")), "and leaves none that could be used"


def test_a_step_holds_about_as_many_rows_as_were_asked_for(train: Train) -> None:
    done = train(packing="clip", epochs=1, validation_rows=0)
    prepared = fit.prepare(str(done.directory / "model"), done.plan, Notes())

    def passes(**changes: Any) -> Passes:
        return passes_of(prepared.encoder, done.plan.train, done.plan.held_out, config_of(packing="clip", **changes), True)

    assert passes(batch_size=1, accumulation=8).accumulation == 2, "two packs of four"
    assert [len(group) for group in passes(batch_size=1, accumulation=2).train] == [2, 2, 2, 2], "no pack holds more than a step"
    assert [len(group) for group in passes(batch_size=2, accumulation=8, pack_rows=3).train] == [2, 2, 2, 2], "nor more than pack_rows"
    longest = max(count.total for count in count_all(prepared.encoder, done.plan.train, 10_000))
    assert all(len(group) == 1 for group in passes(max_tokens=longest).train), "nor more tokens than a row may have"
    apart = passes_of(prepared.encoder, done.plan.train, done.plan.held_out, config_of(), False)
    assert (len(apart.train), apart.batch, apart.accumulation, apart.steps(config_of(epochs=3))) == (8, 2, 2, 6)


def test_the_tiny_model_is_built_once_and_appears_whole(shared_studio: Studio, tmp_path: Path) -> None:
    rows = load_set(shared_studio.data / shared_studio.sets["sft"].directory).rows
    (tmp_path / ".model").mkdir()
    (tmp_path / ".model" / "model.safetensors").write_bytes(b"a killed run left half of it")
    plan, notes = RunPlan(tmp_path, sft_config(), rows, (), {}, len(rows)), Notes()
    weights = Path(fit.base_source(plan, rows, notes)) / "model.safetensors"
    built = weights.stat()
    assert Path(fit.base_source(plan, rows, notes)) == weights.parent and weights.stat() == built, "runs that link to it may be reading it"
    assert [event["phase"] for event in notes.of("phase")] == ["building the tiny random model"]
    assert not (tmp_path / ".model").exists()
