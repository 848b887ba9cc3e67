"""Texts written by a base model or by an adapter on it: one run writes all that its rows ask, one trial a few answers beside each other."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from training.fit import base_source, load, prepare  # first: it repairs torchvision, which the next two imports need

from peft import PeftModel  # isort: skip
from transformers import GenerationConfig  # isort: skip

from store.rows import digest_id
from training.asking import FILE_NAME, TextLog, WrittenText, counted, rows_to_ask
from training.config import RunConfig
from training.encoding import Encoder
from training.model import load_model
from training.plan import Reporter, RunPlan
from training.rows import Row


@dataclass(frozen=True)
class Said:
    """What a model said. Counts are tokens."""

    text: str
    tokens: int
    cut: bool  # as many tokens as it was allowed, and no end


def write_run(plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Write a text for each thing that the run asks, to texts.jsonl, and return the figures of the result.

    What stands there already stays, so a run that was ended goes on. Cost: a forward pass of the video a text, and one a token.
    """
    config = plan.config
    asked = replace(plan, train=_some(rows_to_ask((*plan.train, *plan.held_out), plan.questions, config.writes), config), held_out=())
    source = base_source(asked, asked.train, reporter)
    prepared = prepare(source, asked, reporter)
    model = load(source, plan, reporter)
    if config.parent_run:
        model = PeftModel.from_pretrained(model, str(plan.directory / "parent" / "adapter"))
    model.eval()
    reporter.emit("phase", phase=f"writing {len(asked.train)} texts")
    with TextLog(plan.directory / FILE_NAME) as log:
        for row in (row for row in asked.train if row.id not in log.written):
            if reporter.stop_asked():
                break
            log.add(_write(model, prepared.encoder, prepared.processor, row, config))
            reporter.emit("text", of=len(asked.train), done=len(log.written), **_so_far(log))
        told = {**counted(log.written.values()), "of": len(asked.train)}
    return _figures(plan, told)


def say(model: torch.nn.Module, encoder: Encoder, processor: Any, row: Row, config: RunConfig) -> Said:
    """Return what the model says to the row's prompt: the likeliest token each time, or drawn at config.temperature, seeded by the row."""
    torch.manual_seed(int(digest_id("text", config.seed, row.id), 16) % 2**63)
    prompt = prompt_of(encoder, row, next(model.parameters()).device)
    end = processor.tokenizer.eos_token_id
    ids = model.generate(**prompt, generation_config=_how(config, end, processor.tokenizer.pad_token_id))[0, prompt["input_ids"].shape[1] :]  # type: ignore[operator]
    text = processor.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Said(text.strip(), len(ids), len(ids) >= config.new_tokens and int(ids[-1]) != end)


def prompt_of(encoder: Encoder, row: Row, device: torch.device) -> dict[str, torch.Tensor]:
    """Return the model's inputs up to where the assistant begins: those of training, without the reply."""
    batch = encoder.batch([row], [row.reply])
    begin = int(batch.pop("completion_mask")[0].argmax())
    words = {name: batch[name][:, :begin] for name in ("input_ids", "attention_mask", "mm_token_type_ids") if name in batch}
    return {name: tensor.to(device) for name, tensor in {**batch, **words}.items()}


def with_adapters(source: str, quantisation: str, adapters: Mapping[str, Path]) -> PeftModel:
    """Return the frozen base of `source` with the adapters of these folders on it, by name; `speaking` chooses one."""
    (first, folder), *others = adapters.items()
    model = PeftModel.from_pretrained(load_model(source, quantisation), str(folder), adapter_name=first)
    for name, path in others:
        model.load_adapter(str(path), name)
    return model.eval()


@contextmanager
def speaking(model: PeftModel, adapter: str | None) -> Iterator[None]:
    """Let this adapter of the model speak, or with None its base alone."""
    with model.disable_adapter() if adapter is None else nullcontext():
        if adapter is not None:
            model.set_adapter(adapter)
        yield


def _how(config: RunConfig, end: int, pad: int) -> GenerationConfig:
    # Told whole: what a model's own generation_config.json adds (penalties, narrower draws) would write other texts than were asked for.
    drawn = {"do_sample": True, "temperature": config.temperature, "top_k": 0, "top_p": 1.0} if config.temperature else {"do_sample": False}
    return GenerationConfig(max_new_tokens=config.new_tokens, eos_token_id=end, pad_token_id=pad, **drawn)


def _some(rows: tuple[Row, ...], config: RunConfig) -> tuple[Row, ...]:
    """Return max_rows of the rows, drawn by the seed, in their order; 0: all."""
    drawn = random.Random(config.seed).sample(range(len(rows)), min(config.max_rows or len(rows), len(rows)))
    return tuple(rows[place] for place in sorted(drawn))


def _write(model: torch.nn.Module, encoder: Encoder, processor: Any, row: Row, config: RunConfig) -> WrittenText:
    begun_s = time.monotonic()
    said = say(model, encoder, processor, row, config)
    return WrittenText(row.id, row.clip.id, row.kind, said.text, said.tokens, said.cut, round(time.monotonic() - begun_s, 2))


def _so_far(log: TextLog) -> dict[str, float]:
    return {name: value for name, value in counted(log.written.values()).items() if name in ("tokens", "seconds", "cut")}


def _figures(plan: RunPlan, told: dict[str, float]) -> dict[str, Any]:
    config, early = plan.config, told["written"] < told["of"]
    return {
        "stage": config.stage,
        "model": config.model,
        "random_weights": config.random_weights,
        "note": "Random weights: proves the pipeline, writes nothing of use." if config.random_weights else None,
        "stopped_early": early,
        "reason": f"{'Stopped as asked; ' if early else ''}{told['written']} of {told['of']} texts are written, {told['cut']} of them cut.",
        "writer": config.parent_run,  # None: the base alone
        "kind": config.writes,
        "temperature": config.temperature,
        "new_tokens": config.new_tokens,
        "texts": told,
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
    }
