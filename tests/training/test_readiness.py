"""What the page says of this machine before a run."""

import json
from pathlib import Path

import pytest

from training.config import PIPELINE_CHECK
from training.readiness import Gpu, check_machine, find_gpus, parse_gpus

H200 = Gpu("NVIDIA H200", 143_771, 143_156)


def model_folder(folder: Path, kind: str = "qwen2_5_vl", without: str = "") -> Path:
    folder.mkdir()
    for name, text in {"config.json": json.dumps({"model_type": kind}), "model.safetensors": "", "tokenizer.json": "{}"}.items():
        if name != without:
            (folder / name).write_text(text)
    return folder


def test_the_pipeline_check_runs_anywhere_and_says_what_it_is() -> None:
    readiness = check_machine(PIPELINE_CHECK, ())
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
    for number, missing in enumerate(("config.json", "model.safetensors", "tokenizer.json")):
        (problem,) = folder_problems(model_folder(tmp_path / str(number), without=missing))
        assert missing.replace("model", "*") in problem
    (problem,) = folder_problems(model_folder(tmp_path / "other", kind="llama"))
    assert "holds a llama" in problem
    (tmp_path / "whole" / "config.json").write_text("{")
    assert "is no JSON" in folder_problems(tmp_path / "whole")[0]


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
