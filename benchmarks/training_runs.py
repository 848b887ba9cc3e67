"""Training runs to measure: random models of a named shape, clips of the demo's size, questions of NExT-QA's length; each way in a child."""

import hashlib
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.child import in_child
from benchmarks.films import run_ffmpeg
from training.config import RunConfig
from training.presets import PRESETS
from training.rows import texts_of
from training.shapes import KNOWN, ModelShape, VisionShape

# 34 million parameters, of the proportions of Qwen2.5-VL.
SHAPE = ModelShape("qwen2_5_vl", 8, 512, 1536, 8, 2, 64, 4096, True, VisionShape(4, 320, 864, 8, 14, 2, 512, window_px=112, full_layers=1))
LARGE = KNOWN["Qwen/Qwen2.5-VL-3B-Instruct"]
FRAMES, SIDE_PX, SECONDS = 16, 224, 8
# Words of NExT-QA's validation questions and of their answers, on average: 11.6 and 2.8.
QUESTION_WORDS, ANSWER_WORDS = 12, 3
PROMPT = "Watch the clip, then answer the question about it. Write the answer only.\n\nQuestion: {}?"
_WORDS = (
    *("the", "man", "in", "a", "red", "coat", "walks", "to", "door", "and", "then", "looks", "at", "small", "dog", "why"),
    *("what", "how", "does", "she", "hold", "long", "green", "bottle", "near", "table", "after"),
)


def make_run(folder: Path, questions: Sequence[int], words: int = ANSWER_WORDS, large: bool = False, **changes: Any) -> Path:
    """Write a run directory with so many questions about each of as many clips, and a random model, and return it.

    words: of each answer. `changes` are of the settings.
    """
    if large:  # a row a pass would leave the GPU of the plain trainer idle
        changes = {"batch_size": 8, "accumulation": 1, **changes}
    directory = folder / f"run-{hashlib.sha256(repr((questions, words, large, changes)).encode()).hexdigest()[:8]}"
    if directory.exists():
        return directory
    directory.mkdir()
    rows = [row for clip, count in enumerate(questions) for row in _rows(_clip(directory, clip), clip, count, words)]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / "dataset").mkdir()
    (directory / "dataset" / "rows.jsonl").write_text(content)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    (directory / "dataset" / "manifest.json").write_text(json.dumps({"id": "b", "name": "benchmark", "kind": "sft", "rows_sha256": sha256}))
    model = folder / ("large" if large else "small")
    (directory / "config.json").write_text(json.dumps(asdict(config_of(model, **changes))))
    if not model.exists():
        built = in_child("benchmarks.training_runs:build", str(model), str(directory), large)
        assert built.failure is None, built.failure
    return directory


def build(folder: str, directory: str, large: bool) -> None:
    """Put a random model into `folder`, its tokenizer made of the texts of the run in `directory`."""
    import torch

    from training.rows import load_set
    from training.tiny import build_random

    texts = texts_of(load_set(Path(directory) / "dataset").rows)
    build_random(Path(folder), texts, 1, LARGE if large else SHAPE, "cuda" if large and torch.cuda.is_available() else "cpu")


def config_of(model: Path, **changes: Any) -> RunConfig:
    """Return the settings of all ways: LoRA of rank 16 in bfloat16, checkpointing, eight rows a step, one pass over the rows."""
    settings: dict[str, Any] = {
        "model": str(model), "quantisation": "none", "frames": FRAMES, "longest_side_px": SIDE_PX, "max_tokens": 8192, "lora_rank": 16, "lora_alpha": 32,
        "learning_rate": 1e-4, "epochs": 1, "max_steps": 0, "batch_size": 1, "accumulation": 8, "validation_rows": 0, "checkpoint_steps": 10_000,
        "packing": "clip",
    }  # fmt: skip
    return PRESETS[0].config(**{**settings, **changes})


def train(directory: str, way: str) -> dict[str, float]:
    """Train on the run in `directory` as we do ("ours") or with TRL's own trainer on a row a pass ("plain"); return what it took.

    seconds: of this process on the CPU, or on the clock where there is a GPU, from the first pass to the last.
    """
    import torch

    from training import sft
    from training.jobs import load_config
    from training.plan import plan_run

    plan = plan_run(Path(directory), load_config(Path(directory)), Quiet())
    prepared = sft.prepare(plan.config.model, plan, Quiet())
    model = sft.load(plan.config.model, plan, Quiet())
    trainer = (_plain if way == "plain" else _ours)(prepared, model)
    _warm(trainer)
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started_s = clock()
    trainer.train()
    seconds = clock() - started_s
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return {"seconds": seconds, "items": len(plan.train), "device_mib": peak, "first_loss": trainer.state.log_history[0]["loss"]}


def _warm(trainer: Any) -> None:
    """Do one pass that is not measured: the first one lays out weights and chooses kernels."""
    batch = trainer._prepare_inputs(trainer.data_collator([trainer.train_dataset[0]]))
    trainer.compute_loss(trainer.model.train(), batch).backward()
    trainer.model.zero_grad()


def _ours(prepared: Any, model: Any) -> Any:
    from trl import SFTConfig

    from training import model as models
    from training import sft
    from training.progress import Progress

    clips = sft.clips_of(prepared, model)
    passes, _ = sft.checked_passes(prepared, model, clips, Quiet())
    return sft.PackTrainer(
        progress=Progress(Quiet()),
        model=model,
        args=SFTConfig(**sft.arguments(prepared.plan, passes), dataset_kwargs={"skip_prepare_dataset": True}),
        data_collator=partial(sft.collate, prepared.plan, clips, passes),
        **sft.datasets_of(passes),
        processing_class=prepared.processor,
        peft_config=models.lora_config(model, prepared.plan.config)[0],
    )


def _plain(prepared: Any, model: Any) -> Any:
    from trl import SFTConfig, SFTTrainer

    from training import model as models
    from training import sft
    from training.passes import passes_of

    plan = prepared.plan
    passes = passes_of(prepared.encoder, plan.train, (), plan.config, packed=False)

    def collate(examples: list[dict[str, int]]) -> dict[str, Any]:
        rows = sft.rows_of(plan, passes, examples)
        batch = prepared.encoder.batch(rows, [row.reply for row in rows])
        learnt = batch.pop("completion_mask") != 0
        return {**batch, "labels": batch["input_ids"].masked_fill(~learnt, -100)}

    return SFTTrainer(
        model=model,
        args=SFTConfig(**sft.arguments(plan, passes), dataset_kwargs={"skip_prepare_dataset": True}),
        data_collator=collate,
        **sft.datasets_of(passes),
        processing_class=prepared.processor,
        peft_config=models.lora_config(model, plan.config)[0],
    )


class Quiet:
    """A reporter that tells nobody and never stops a run."""

    def emit(self, kind: str, **values: Any) -> None:
        """Do nothing."""

    def stop_asked(self) -> bool:
        """Return False."""
        return False


def _clip(directory: Path, number: int) -> str:
    """Write a clip and return its digest."""
    path = directory / "clip.mp4"
    source = f"testsrc2=size={SIDE_PX}x{SIDE_PX}:rate=12:duration={SECONDS},hue=h={number * 40}"
    run_ffmpeg("-y", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    target = directory / "media" / digest[:2] / digest
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return digest


def _rows(digest: str, clip: int, count: int, words: int) -> list[dict[str, Any]]:
    rows = []
    for number in range(count):
        chance = random.Random(1000 * clip + number)
        question, answer = (" ".join(chance.choices(_WORDS, k=length)) for length in (QUESTION_WORDS, words))
        rows.append(
            {
                "id": f"{clip}-{number}",
                "split": "train",
                "kind": "answer",
                "clip": {"id": f"clip-{clip}", "digest": digest, "start_s": 0.0, "end_s": None},
                "prompt": [{"role": "user", "content": PROMPT.format(question)}],
                "completion": [{"role": "assistant", "content": f"{answer}."}],
            }
        )
    return rows
