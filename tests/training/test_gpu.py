"""Whole SFT runs on a CUDA GPU, of random weights in the shape of Qwen2.5-VL-3B and of small ones: `make test-gpu`.

Random weights cost what trained ones cost. Each run is a child of its own, started as the page starts it, so its peak of memory is its own.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from store.records import Run
from tests.training.conftest import COLOURS, Studio, freeze_rows, keep_media, row_of, sft_config, wait_until, write_clip
from training.config import RunConfig
from training.events import read_events
from training.jobs import launch
from training.readiness import ROOM_BYTES
from training.rows import load_set, texts_of
from training.shapes import KNOWN, ModelShape, VisionShape
from training.status import log_tail, read_result, read_status

pytestmark = pytest.mark.gpu

PUBLISHED = "Qwen/Qwen2.5-VL-3B-Instruct"
_SMALL: dict[str, Any] = {"layers": 4, "hidden": 512, "intermediate": 1024, "heads": 8, "kv_heads": 2, "head_width": 64, "vocabulary": 4096, "tied": True}
_TOWER: dict[str, Any] = {"depth": 4, "width": 320, "intermediate": 640, "heads": 8, "merge": 2, "out": 512}
SHAPES = {
    "small Qwen2.5-VL": ModelShape("qwen2_5_vl", **_SMALL, vision=VisionShape(**_TOWER, patch_px=14, window_px=112, full_layers=1)),
    "small Qwen3-VL": ModelShape("qwen3_vl", **_SMALL, vision=VisionShape(**_TOWER, patch_px=16, deepstack=1, positions=2304)),
    "Qwen2.5-VL-3B": KNOWN[PUBLISHED],
}
ROWS, STEPS = 8, 2
# Of bfloat16 weights: sums come in another order in a pack.
SLACK = 0.03


@pytest.fixture(scope="module", autouse=True)
def gpu() -> str:
    """The name of the GPU. Without one all is skipped, or fails where REQUIRE_GPU=1 says that there must be one."""
    if not torch.cuda.is_available():
        (pytest.fail if os.environ.get("REQUIRE_GPU") == "1" else pytest.skip)("PyTorch finds no CUDA GPU here.")
    return torch.cuda.get_device_name(0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """Eight questions about one clip in the size in which films are read: 1,152 tokens of video with 16 frames in Qwen2.5-VL."""
    data = tmp_path_factory.mktemp("gpu") / "data"
    data.mkdir()
    digest = keep_media(data, write_clip(data / "clip.mp4", COLOURS["red"], (448, 252)))
    rows = [row_of(n, digest, split="train", clip={"id": "clip", "digest": digest, "start_s": 0.0, "end_s": None}) for n in range(ROWS)]
    return Studio(data, {"sft": freeze_rows(data, "sft", rows)}, {"red": digest})


@pytest.fixture(scope="module", params=SHAPES)
def model(clip: Studio, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    """The name of a shape and a folder with random weights of it."""
    # Imported here: it takes seconds, and most who collect these tests have no GPU.
    from training.tiny import build_random

    folder = tmp_path_factory.mktemp("weights")
    texts = texts_of(load_set(clip.data / clip.sets["sft"].directory).rows)
    build_random(folder, texts, 1, SHAPES[request.param], "cuda" if torch.cuda.is_available() else "cpu")
    torch.cuda.empty_cache()
    yield request.param, folder
    for path in folder.iterdir():
        path.unlink()


def config_of(folder: Path, quantisation: str, packing: str) -> RunConfig:
    return sft_config(
        model=str(folder), quantisation=quantisation, packing=packing, frames=16, longest_side_px=448, lora_dropout=0.0, batch_size=1, accumulation=ROWS,
        pack_rows=ROWS, epochs=STEPS, max_steps=STEPS, validation_rows=0, learning_rate=1e-3,
    )  # fmt: skip


def trained(clip: Studio, config: RunConfig) -> dict[str, Any]:
    """Return the result of a run, and whether it packed its rows."""
    run: Run = clip.make(config)
    directory = clip.directory(run)
    launch(directory)
    # Seconds on a fast disk; three billion weights are read from a slow one in minutes.
    wait_until(lambda: read_status(directory).ended, lambda: log_tail(directory), patience_s=900)
    status = read_status(directory)
    assert status.state == "finished", status
    packed = [event["packing"] for event in read_events(directory / "events.jsonl").events if "packing" in event]
    return {**(read_result(directory) or {}), "packed": packed}


@pytest.mark.parametrize("quantisation", ["nf4", "none"])
def test_two_steps_of_a_pack_are_those_of_its_rows_and_take_what_was_foretold(
    gpu: str, clip: Studio, model: tuple[str, Path], quantisation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, folder = model
    packed, separate = (trained(clip, config_of(folder, quantisation, packing)) for packing in ("clip", "none"))
    assert packed["packed"] == [True] and not separate["packed"], "no fall-back to separate rows, or the comparison would be of a thing with itself"
    for result in (packed, separate):
        assert (result["steps"], result["device"]) == (STEPS, gpu)
        weights = SHAPES[name].parameters * (2 if quantisation == "none" else 0.5)
        assert weights < result["peak_device_bytes"] < 2 * SHAPES[name].parameters + ROOM_BYTES, "what readiness.py promises of bfloat16"
    for step in ("first_step", "last_step"):
        assert packed[step]["loss"] == pytest.approx(separate[step]["loss"], rel=SLACK)
    assert separate["last_step"]["loss"] < separate["first_step"]["loss"]
    assert packed["tokens"] < separate["tokens"] / 4, "the video goes through once instead of eight times"
    with capsys.disabled():
        for how, result in (("packed", packed), ("separate", separate)):
            peak = result["peak_device_bytes"] / 1e9
            sys.stdout.write(f"\n{gpu}: {name}, {quantisation}, {how}: {result['training_seconds']} s for {STEPS} steps of {ROWS} rows, peak {peak:.2f} GB")


def test_four_bits_take_less_than_bfloat16_and_the_merger_can_be_trained(clip: Studio, model: tuple[str, Path]) -> None:
    name, folder = model
    four, sixteen = (trained(clip, replace(config_of(folder, quantisation, "clip"), projector=True)) for quantisation in ("nf4", "none"))
    assert four["peak_device_bytes"] < sixteen["peak_device_bytes"]
    assert four["trainable_parameters"] == sixteen["trainable_parameters"] == SHAPES[name].lora_parameters(config_of(folder, "nf4", "clip").lora_rank, True)
