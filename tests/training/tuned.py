"""A run as it is when SFT has ended, made without training: the tiny model and an adapter on it whose weights are drawn, not learnt."""

import json
from pathlib import Path

import torch

from training import model as models  # isort: skip  # first: it repairs torchvision before peft is used
from peft import get_peft_model  # isort: skip

from store.database import open_store
from store.records import Run
from tests.training.conftest import Studio, sft_config
from training.config import RunConfig
from training.jobs import known_runs
from training.rows import load_set, texts_of
from training.tiny import build_tiny

QUESTION_TEXTS = ["Why does the bar move? Options: A. to the left B. to the right Final answer: Question: First give the evidence"]


def tuned_run(studio: Studio, name: str = "tuned", seed: int = 7, config: RunConfig | None = None) -> Run:
    """Return a listed run of the studio that looks finished: model/, adapter/ and result.json are there."""
    config = config or sft_config()
    run = studio.make(config, token=f"tuned {name} {seed}", name=name)
    directory = studio.directory(run)
    build_tiny(directory / "model", [*texts_of(load_set(directory / "dataset").rows), *QUESTION_TEXTS], seed, config.family.name)
    draw_adapter(directory, config, seed)
    finish(directory)
    with open_store(studio.data) as db:
        known_runs(db, studio.data)
    return run


def draw_adapter(directory: Path, config: RunConfig, seed: int, scale: float = 0.3) -> None:
    """Put an adapter with drawn weights, large enough to change what the model says, into the run's directory."""
    torch.manual_seed(seed)
    base = models.load_model(str(directory / "model"), "none")
    model = get_peft_model(base, models.lora_config(base, config)[0])
    for name, tensor in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor, std=scale)
    model.save_pretrained(directory / "adapter", save_embedding_layers=False)


def finish(directory: Path, outcome: str = "finished", **figures: object) -> None:
    (directory / "result.json").write_text(json.dumps({"outcome": outcome, "reason": "All steps are done.", "steps": 1, **figures}))
