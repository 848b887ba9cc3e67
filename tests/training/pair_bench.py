"""A tiny model with an SFT adapter, four pairs about one clip and some about others, and our trainer on them: what tests of preferences share."""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from datasets import Dataset  # isort: skip
from peft import PeftModel, get_peft_model  # isort: skip
from trl import DPOConfig, DPOTrainer  # isort: skip

from tests.training.conftest import Studio, sft_config
from training.config import LOCKED, RunConfig
from training.dpo import PairProgress, Pairs, PairTrainer, begin_alike
from training.encoding import Encoder, text_counter
from training.families import FAMILIES
from training.forward import ClipEncoder
from training.frames import look_at
from training.passes import Passes
from training.pictures import pictures_seen
from training.plan import RunPlan
from training.presets import PRESETS
from training.references import FILE_NAME, References
from training.rows import Row, load_set, texts_of
from training.tiny import build_tiny
from training.views import views_of

SFT = sft_config(quantisation="none", packing="none")
LOCKED_VALUES = {name: getattr(SFT, name) for name in LOCKED}
PACKED, SEPARATE = (Passes((), (), packed, 1, 1) for packed in (True, False))
ANSWERS = ("It moves that way.\n\nFinal answer: A. to the right", "It moves that way.\n\nFinal answer: B. left")


def dpo_config_of(**changes: Any) -> RunConfig:
    """Return a DPO config locked to the bench's SFT run."""
    preset = next(preset for preset in PRESETS if preset.name == "Pipeline check (DPO)")
    return replace(preset.config(parent_run="an SFT run", **LOCKED_VALUES), **changes)


@dataclass
class Ears:
    """A reporter that remembers, and asks for the end after a step; 0: never."""

    heard: list[dict[str, Any]] = field(default_factory=list)
    stop_after_step: int = 0

    def emit(self, kind: str, **values: Any) -> None:
        self.heard.append({"kind": kind, **values})

    def stop_asked(self) -> bool:
        # The trainer asks at the end of a step, before it tells the step.
        at_work = [event["phase"] for event in self.of("phase")][-1:] == ["training"]
        return at_work and 0 < self.stop_after_step <= len(self.of("step")) + 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.heard if event["kind"] == kind]


@dataclass(frozen=True)
class PairBench:
    """Pairs, what encodes them, and a float32 model whose adapters `default` and `ref` begin alike and have learnt something."""

    rows: tuple[Row, ...]  # the first four are of one clip and end in an answer
    folder: Path
    encoder: Encoder
    processor: Any
    model: PeftModel
    plan: RunPlan

    def trainer(self, config: RunConfig, file: Path | None = None) -> PairTrainer:
        """Return a trainer with this config on the one model, its adapters alike again."""
        self.model.delete_adapter("ref")
        return make_trainer(self, config, file)

    def pairs(self, config: RunConfig, file: Path | None = None) -> Pairs:
        """Return what makes batches and asks the reference, which remembers in `file`."""
        encoder = Encoder(self.processor, self.encoder._views, self.encoder._pixels, config.scored)
        references = References(file or self.folder / f"{secrets.token_hex(4)}-{FILE_NAME}", "the bench")
        return Pairs(replace(self.plan, config=config), encoder, ClipEncoder(encoder, self.model), references)


def make_trainer(bench: PairBench, config: RunConfig, file: Path | None = None) -> PairTrainer:
    """Return our trainer; TRL adds the adapter `ref`."""
    arguments = DPOConfig(
        output_dir=str(bench.folder / "out"),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        remove_unused_columns=False,
        report_to="none",
        beta=config.beta,
        loss_type=list(config.loss_types),
        loss_weights=list(config.loss_weights),
    )
    made = PairTrainer(
        pairs=bench.pairs(config, file),
        progress=PairProgress(Ears()),
        model=bench.model,
        ref_model=None,
        args=arguments,
        train_dataset=Dataset.from_dict({"train": [0]}),
        data_collator=lambda rows: {},
        processing_class=bench.processor,
    )
    begin_alike(bench.model)
    return made


def build_bench(studio: Studio, folder: Path, family: str = "qwen2_5_vl") -> PairBench:
    """Return the bench; a second."""
    rows = load_set(studio.data / studio.sets["dpo"].directory).rows
    answers = [replace(row, id=f"of one clip {row.id}", clip=rows[0].clip, reply=ANSWERS[0], rejected=ANSWERS[1], kind="rationale") for row in rows[:4]]
    rows = (*answers, *rows)
    build_tiny(folder, texts_of(rows), 1, family)
    processor = models.load_processor(str(folder))
    base = models.load_model(str(folder), "none").float()
    model = get_peft_model(base, models.lora_config(base, SFT)[0])
    torch.manual_seed(1)
    move(model, "default", 0.05)
    model.add_adapter("ref", model.peft_config["default"])
    stretches = look_at(studio.data, [row.clip for row in rows], SFT.longest_side_px, lambda done: None)
    how = SFT.context_plan()
    views = views_of(rows, stretches, how, text_counter(processor), FAMILIES[family])
    encoder = Encoder(processor, views, lambda view: pictures_seen(studio.data, view, how))
    plan = RunPlan(folder, dpo_config_of(), rows, (), stretches, len(rows))
    return PairBench(rows, folder, encoder, processor, model, plan)


def move(model: PeftModel, adapter: str, spread: float) -> None:
    """Add noise to an adapter, as if it had learnt something."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if f".{adapter}." in name:
                tensor += spread * torch.randn_like(tensor)


def trl_loss(trainer: DPOTrainer, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Return what TRL's own code makes of a batch of chosen, then rejected rows, and the figures that it keeps."""
    trainer._metrics["train"].clear()
    loss = DPOTrainer._compute_loss(trainer, trainer.model, dict(batch), False)
    return loss, {name: values[-1] for name, values in trainer._metrics["train"].items()}


def trl_batch(bench: PairBench, rows: Sequence[Row]) -> dict[str, Tensor]:
    """Return chosen rows, then rejected rows, side by side, as TRL takes them."""
    return bench.encoder.batch([*rows, *rows], [*(row.reply for row in rows), *(row.rejected or "" for row in rows)])


def save_parent(bench: PairBench, directory: Path) -> None:
    """Put what a run directory keeps of its SFT run into `directory`: the tiny model and the adapter that it has learnt."""
    shutil.copytree(bench.folder, directory / "model", ignore=lambda folder, names: [name for name in names if name.endswith(".jsonl")])
    bench.model.save_pretrained(directory / "adapter", selected_adapters=["default"])
