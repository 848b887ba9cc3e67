"""DPO: all pairs of a clip behind its one video and a reference that is asked once, against TRL's own trainer with a pair a pass."""

import random
import secrets
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import in_turn
from benchmarks.rows import Row, judged
from benchmarks.training_runs import Quiet, make_run
from training.rows import Row as TrainingRow

PAIRS, CLIPS, ROUNDS = 4, 2, 1
WAYS = ("ours", "plain")


def measure(folder: Path, quick: bool, large: bool = False) -> list[Row]:
    """Return how much faster pairs of a clip are learnt from together, in one pass over them and in two, and the control: one pair a clip."""
    pairs = 2 if quick else PAIRS
    once, twice, alone = (_compared(make_run(folder, [count] * CLIPS, large=large, epochs=epochs), quick) for count, epochs in ((pairs, 1), (pairs, 2), (1, 1)))
    named = f"{pairs} pairs about a clip"
    return [
        judged(
            f"DPO, {named}: faster than TRL on the same pairs",
            once["faster"],
            "x",
            ">= 5",
            f"with 1 pair about a clip {alone['faster']:.2f} x; {once['ours_s']:.1f} s against {once['plain_s']:.1f} s",
        ),
        judged(f"DPO, {named}, two passes over them: faster than TRL", twice["faster"], "x", None, "in the second nothing is asked of the reference"),
        judged(f"DPO, {named}: memory over TRL's", once["memory"], "x", None, "most that the process or device held meanwhile"),
        judged(f"DPO, {named}: loss of the second step, difference", twice["apart"], "", "<= 0.02", f"bfloat16; one step took {twice['fallen']:.3f} off it"),
    ]


def train(directory: str, way: str) -> dict[str, Any]:
    """Train on the run in `directory` as we do ("ours") or with TRL's own trainer ("plain"); return seconds, device memory and the losses of the steps.

    seconds: of this process on the CPU, or on the clock where there is a GPU, from the first pass to the last.
    """
    import torch

    from training import model as models  # first: it repairs torchvision
    from training import sft
    from training.carrying import load_config
    from training.plan import plan_run

    from peft import get_peft_model  # isort: skip

    run = Path(directory)
    plan = plan_run(run, load_config(run), Quiet())
    # The step size is one at which a single step shows in the loss.
    config = replace(plan.config, stage="dpo", parent_run="none", beta=0.1, loss_types=("sigmoid",), loss_weights=(1.0,), learning_rate=1e-3, warmup_share=0.0)
    prepared = sft.prepare(config.model, replace(plan, config=config, train=tuple(_pair(row) for row in plan.train)), Quiet())
    base = sft.load(config.model, prepared.plan, Quiet())
    torch.manual_seed(1)
    model = get_peft_model(base, models.lora_config(base, config)[0])
    trainer = (_plain if way == "plain" else _ours)(prepared, model)
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started_s = clock()
    trainer.train()
    seconds = clock() - started_s
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return {"seconds": seconds, "device_mib": peak, "losses": [step["loss"] for step in trainer.state.log_history if "loss" in step]}


def _pair(row: TrainingRow) -> TrainingRow:
    """Return the row with the same words in another order as the rejected text."""
    words = row.reply.rstrip(".").split()
    return replace(row, rejected=f"{' '.join(random.Random(row.id).sample(words, len(words))[::-1])} no.")


def _ours(prepared: Any, model: Any) -> Any:
    from training import sft
    from training.dpo import PairProgress, Pairs, PairTrainer
    from training.references import References

    plan = prepared.plan
    clips = sft.clips_of(prepared, model)
    passes, _ = sft.checked_passes(prepared, model, clips, Quiet())
    # A new file each time, so that the reference is asked.
    pairs = Pairs(plan, prepared.encoder, clips, References(plan.directory / f"{secrets.token_hex(4)}.jsonl", "benchmark"))
    return PairTrainer(
        pairs=pairs,
        progress=PairProgress(Quiet()),
        data_collator=lambda examples: pairs.batch(sft.rows_of(plan, passes, examples), passes),
        **_options(prepared, model, passes),
    )


def _plain(prepared: Any, model: Any) -> Any:
    from trl import DPOTrainer

    from training import sft
    from training.passes import passes_of

    plan = prepared.plan
    passes = passes_of(prepared.encoder, plan.train, (), plan.config, packed=False)

    def collate(examples: list[dict[str, int]]) -> dict[str, Any]:
        rows = sft.rows_of(plan, passes, examples)
        whole: dict[str, Any] = prepared.encoder.batch([*rows, *rows], [*(row.reply for row in rows), *(row.rejected for row in rows)])
        return whole

    # TRL would rewrite rows that name no images; all else is its own.
    plain = type("Plain", (DPOTrainer,), {"_prepare_dataset": lambda self, dataset, *args: dataset})
    return plain(data_collator=collate, **_options(prepared, model, passes))


def _options(prepared: Any, model: Any, passes: Any) -> dict[str, Any]:
    from trl import DPOConfig

    from training import sft

    config = prepared.plan.config
    arguments = DPOConfig(**sft.arguments(prepared.plan, passes), beta=config.beta, loss_type=list(config.loss_types), loss_weights=list(config.loss_weights))
    return {"model": model, "ref_model": None, "args": arguments, **sft.datasets_of(passes), "processing_class": prepared.processor}


def _compared(directory: Path, quick: bool) -> dict[str, float]:
    done = in_turn({way: ("benchmarks.training_dpo:train", str(directory), way) for way in WAYS}, 1 if quick else ROUNDS)
    for outcomes in done.values():
        assert outcomes[0].failure is None, outcomes[0].failure
    ours, plain = (done[way] for way in WAYS)
    mine, theirs = (outcomes[0].result["losses"] for outcomes in (ours, plain))
    return {
        "faster": median(one.result["seconds"] / other.result["seconds"] for one, other in zip(plain, ours, strict=True)),
        "ours_s": median(one.result["seconds"] for one in ours),
        "plain_s": median(one.result["seconds"] for one in plain),
        "memory": max(one.result["device_mib"] or one.grown_mib for one in ours) / max(one.result["device_mib"] or one.grown_mib for one in plain),
        "apart": max(abs(one - other) for one, other in zip(mine, theirs, strict=True)),
        "fallen": mine[0] - mine[-1],
    }
