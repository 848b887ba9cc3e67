"""What the page says of this machine before a run."""

import json
from pathlib import Path

import pytest

from training.config import PIPELINE_CHECKS
from training.readiness import ROOM_BYTES, Gpu, check_machine, find_gpus, parse_gpus, precision_notes
from training.shapes import KNOWN

H200 = Gpu("NVIDIA H200", 143_771, 143_156)


def model_folder(folder: Path, kind: str = "qwen2_5_vl", without: str = "") -> Path:
    folder.mkdir()
    for name, text in {"config.json": json.dumps({"model_type": kind}), "model.safetensors": "", "tokenizer.json": "{}"}.items():
        if name != without:
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("model", PIPELINE_CHECKS)
def test_a_pipeline_check_runs_anywhere_and_says_what_it_is(model: str) -> None:
    readiness = check_machine(model, ())
    assert readiness.ready, readiness.obstacles
    assert "learns nothing of use" in readiness.notes[0]


def test_a_real_model_without_a_gpu_is_refused_before_the_start() -> None:
    readiness = check_machine("Qwen/Qwen2.5-VL-3B-Instruct", ())
    assert not readiness.ready
    assert "No CUDA GPU" in readiness.obstacles[0]
    assert any("hub answers is known at the start only" in note for note in readiness.notes)


def test_a_complete_folder_is_told_from_a_broken_one(tmp_path: Path) -> None:
    def folder_problems(folder: Path) -> list[str]:
        return [line for line in check_machine(str(folder), (H200,)).obstacles if str(tmp_path) in line]

    assert folder_problems(model_folder(tmp_path / "whole")) == [], "the control"
    assert folder_problems(model_folder(tmp_path / "newer", kind="qwen3_vl")) == []
    for number, missing in enumerate(("config.json", "model.safetensors", "tokenizer.json")):
        (problem,) = folder_problems(model_folder(tmp_path / str(number), without=missing))
        assert missing.replace("model", "*") in problem
    (problem,) = folder_problems(model_folder(tmp_path / "other", kind="llama"))
    assert "is a llama, and only Qwen2.5-VL and Qwen3-VL" in problem
    (tmp_path / "whole" / "config.json").write_text("{")
    assert "cannot be read" in folder_problems(tmp_path / "whole")[0]


@pytest.mark.parametrize("model", ["/no/such/folder", "one word", "a/b/c"])
def test_a_model_that_is_neither_folder_nor_hub_id_is_refused(model: str) -> None:
    assert any("is no folder on this machine and no hub id" in line for line in check_machine(model, (H200,)).obstacles)


def test_the_answer_of_nvidia_smi_is_read_line_by_line() -> None:
    assert parse_gpus("NVIDIA H200, 143771, 143156\nTesla T4, 15360, 100\n") == (H200, Gpu("Tesla T4", 15360, 100))
    assert parse_gpus("") == parse_gpus("NVIDIA-SMI has failed because it could not reach the driver.\n") == ()
    assert parse_gpus("Odd, name, with, commas, 10, 5") == (Gpu("Odd, name, with, commas", 10, 5),)


@pytest.mark.parametrize("script", ["exit 9", "echo nonsense"])
def test_a_driver_that_does_not_answer_counts_as_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert find_gpus() == ()
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771, 143156'\n")
    assert find_gpus() == (H200,), "the control: our nvidia-smi is the one that is asked"


@pytest.mark.parametrize("model", KNOWN)
def test_bfloat16_is_advised_where_it_fits_and_nf4_where_it_does_not(model: str) -> None:
    enough = 2 * KNOWN[model].parameters + ROOM_BYTES
    (roomy,) = precision_notes(model, (Gpu("small", 15_360, 100), Gpu("large", 143_771, enough // 2**20 + 1)))
    assert "quantisation none fits, and is faster" in roomy and f"{2 * KNOWN[model].parameters / 1e9:.1f} GB in bfloat16" in roomy
    (tight,) = precision_notes(model, (Gpu("large", 143_771, enough // 2**20),))
    assert "choose the quantisation nf4" in tight
    assert roomy in check_machine(model, (Gpu("large", 143_771, enough // 2**20 + 1),)).notes


def test_nothing_is_said_of_a_size_that_is_not_known(tmp_path: Path) -> None:
    assert precision_notes("no-such-organisation/no-such-model", (H200,)) == []
    assert precision_notes(next(iter(KNOWN)), ()) == []
    assert precision_notes(str(model_folder(tmp_path / "bare")), (H200,)) == []
