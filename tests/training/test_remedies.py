"""What to change when a run does not fit: cheapest first, each with what it saves; and what an out-of-memory error tells."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.test_estimate import media_of, rows_of
from training.config import LOCKED, RunConfig
from training.estimate import Estimate, Machine, estimate
from training.events import EventLog
from training.presets import PRESETS
from training.remedies import RESERVE, after_failure, diagnose, failed_run, remedies
from training.shapes import shape_of
from training.workload import workload_of

GIB = 2**30
SFT = next(preset for preset in PRESETS if preset.name == "SFT safe").config(model="Qwen/Qwen2.5-VL-7B-Instruct", packing="none")
# The words of PyTorch's allocator (c10/cuda/CUDACachingAllocator.cpp), with another process on the device.
WORDS = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.10 GiB is free. "
    "Process 4711 has 3.00 GiB memory in use. Including non-PyTorch memory, this process has 19.52 GiB memory in use. Of the allocated memory "
    "18.00 GiB is allocated by PyTorch, and 1.02 GiB is reserved by PyTorch but unallocated."
)


def measuring(clips: Sequence[tuple[int, int]] = ((4, 30),)) -> Callable[[RunConfig], Estimate]:
    rows, media = rows_of(clips), media_of(1920, 1080)
    return lambda config: estimate(shape_of(config.model), config, workload_of(rows, config, media), Machine("a GPU", "cuda", 24 * GIB, 24 * GIB))


def test_each_remedy_saves_what_it_says_and_the_first_three_stand_in_the_order_of_their_cost() -> None:
    measure = measuring()
    config = replace(SFT, quantisation="none", batch_size=4, frames=64, longest_side_px=896)
    found = remedies(config, measure, measure(config).bytes)
    assert [remedy.name for remedy in found] == ["Batch 1", "nf4", "Smaller pictures"]
    found = remedies(config, measure, 24 * GIB)
    assert len(found) == 3 and all(remedy.saves_bytes == measure(config).bytes - measure(remedy.config).bytes > 0 for remedy in found)
    assert all(remedy.fits == (measure(remedy.config).bytes <= 24 * GIB * (1 - RESERVE)) for remedy in found)
    one = next(remedy.config for remedy in remedies(config, measure, measure(config).bytes))
    assert one.batch_size * one.accumulation == config.batch_size * config.accumulation, "as many rows a step as before"


def test_the_mildest_setting_that_fits_is_taken() -> None:
    measure, config = measuring(), replace(SFT, frames=256, longest_side_px=896)
    limit = round(measure(config).bytes * 0.97)
    for remedy in remedies(config, measure, limit):
        if remedy.name == "Fewer frames":
            assert remedy.config.frames == 192
        if remedy.name == "Smaller pictures":
            assert remedy.config.longest_side_px == 728


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 80), st.sampled_from(["none", "clip"]), st.sampled_from(["none", "nf4"]), st.integers(1, 4))
def test_what_is_said_to_fit_fits_and_comes_first(limit_gib: int, packing: str, quantisation: str, batch: int) -> None:
    measure, config = measuring(((8, 30),)), replace(SFT, packing=packing, quantisation=quantisation, batch_size=batch, frames=64)
    found = remedies(config, measure, limit_gib * GIB)
    fits = [remedy.fits for remedy in found]
    assert fits == sorted(fits, reverse=True) and len(found) <= 3
    assert all(measure(remedy.config).bytes <= limit_gib * GIB for remedy in found if remedy.fits)


def test_several_changes_are_proposed_where_no_single_one_is_enough() -> None:
    measure, config = measuring(), replace(SFT, model="Qwen/Qwen2.5-VL-3B-Instruct", quantisation="none", batch_size=8, frames=128, longest_side_px=896)
    found = remedies(config, measure, 7 * GIB)
    assert found[0].name == "Several changes" and found[0].fits
    assert "Batch 1" in found[0].what and "nf4" in found[0].what
    assert not any(remedy.fits for remedy in found[1:])


def test_a_dpo_run_keeps_what_its_sft_run_has_fixed() -> None:
    preset = next(preset for preset in PRESETS if preset.name == "DPO from SFT")
    config = preset.config(parent_run="r", model=SFT.model, quantisation="none", frames=64, longest_side_px=448, few_pairs=True)
    found = remedies(config, measuring(((4, 30), (4, 30))), 20 * GIB)
    assert found and all(getattr(remedy.config, name) == getattr(config, name) for remedy in found for name in LOCKED)
    assert any(remedy.config.quantisation != "none" for remedy in remedies(replace(SFT, quantisation="none"), measuring(), 20 * GIB)), "the control: SFT may"


def traced(*lines: str) -> str:
    return "\n".join(["Traceback (most recent call last):", *(f'  File "{line}' for line in lines), WORDS])


@pytest.mark.parametrize(
    ("phase", "log", "where"),
    [
        ("loading the model", WORDS, "loading"),
        ("training", traced('modeling_qwen2_5_vl.py", line 9, in get_video_features'), "vision tower"),
        ("training", traced('modeling_qwen2_5_vl.py", line 9, in forward\n    self.lm_head(hidden)'), "logits"),
        ("training", traced('accelerator.py", line 9, in backward\n    loss.backward(**kwargs)', 'torch/autograd/__init__.py", line 1'), "backward"),
        ("training", traced('torch/optim/adamw.py", line 9, in _multi_tensor_adamw'), "optimizer"),
        ("training", traced('modeling_qwen2_5_vl.py", line 9, in forward'), "forward"),
        ("scoring 8 held-out rows", traced('x.py", line 1'), "scoring"),
    ],
)
def test_an_error_tells_where_it_struck_and_how_much_was_lacking(phase: str, log: str, where: str) -> None:
    found = diagnose(log, phase)
    assert found is not None and found.phase == where
    assert (found.tried, found.free, found.total) == (round(2.32 * GIB), round(1.10 * GIB), round(23.65 * GIB))
    assert found.others == 3 * GIB and "other processes held 3.00 GiB" in found.text and where in found.text


def test_another_error_is_no_lack_of_memory() -> None:
    assert diagnose("ValueError: the loss became nan", "training") is None
    assert diagnose("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes.", "training") is not None


def test_after_a_failure_more_is_saved_than_was_lacking_although_the_estimate_said_that_it_fits() -> None:
    measure, found = measuring(), diagnose(WORDS, "training")
    config = replace(SFT, quantisation="none", frames=48)
    assert found and found.total and measure(config).bytes < found.total, "the estimate had said so"
    first = after_failure(config, found, measure)[0]
    assert first.saves_bytes >= found.tried - found.free + RESERVE * found.total  # type: ignore[operator]


def test_weights_that_do_not_fit_are_not_remedied_by_fewer_frames() -> None:
    loading = diagnose(WORDS, "loading the model")
    assert loading is not None
    found = after_failure(replace(SFT, quantisation="none", frames=64), loading, measuring())
    assert [remedy.name for remedy in found] == ["nf4", "A smaller model"]


def test_a_failed_run_is_diagnosed_from_its_files(tmp_path: Path) -> None:
    assert failed_run(tmp_path) is None
    EventLog(tmp_path / "events.jsonl").emit("phase", phase="training")
    (tmp_path / "log.txt").write_text(traced('torch/optim/adamw.py", line 9, in step'))
    (tmp_path / "result.json").write_text(json.dumps({"outcome": "failed", "reason": "Out of memory while at: training."}))
    found = failed_run(tmp_path)
    assert found is not None and (found.phase, found.tried) == ("optimizer", round(2.32 * GIB))
    (tmp_path / "result.json").write_text(json.dumps({"outcome": "finished", "reason": "All steps are done."}))
    assert failed_run(tmp_path) is None
