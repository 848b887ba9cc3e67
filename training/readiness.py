"""What this machine lacks for a run, said before the start. Loads no heavy library: asks for versions, files and nvidia-smi."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from store.errors import InputError
from training.config import PIPELINE_CHECKS
from training.families import family_of
from training.shapes import shape_of

NEEDED = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes", "av")
# What a run is taken to need beside the weights before bfloat16 is advised: adapter, activations and libraries at 1,500 tokens a row took
# 3 GB by the formula of estimate.py; the rest is for longer rows. The estimate of the run itself tells more.
ROOM_BYTES = 8_000_000_000
_MIB = 2**20
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_QUERY = ["--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Gpu:
    """A CUDA device as nvidia-smi tells of it."""

    name: str
    total_mib: int
    free_mib: int


@dataclass(frozen=True)
class Readiness:
    """Why a run cannot be done here (a sentence each), and what else is worth knowing."""

    obstacles: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.obstacles


def find_gpus() -> tuple[Gpu, ...]:
    """Return the CUDA devices of this machine; about 50 ms where there is one. No driver, or one that does not answer: none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        answer = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=5, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return ()
    return parse_gpus(answer)


def parse_gpus(answer: str) -> tuple[Gpu, ...]:
    """Return the devices in nvidia-smi's answer, a line "name, total MiB, free MiB" each; other lines are passed over."""
    rows = [[part.strip() for part in line.rsplit(",", 2)] for line in answer.splitlines()]
    return tuple(Gpu(row[0], int(row[1]), int(row[2])) for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit())


def check_machine(model: str, gpus: tuple[Gpu, ...]) -> Readiness:
    """Return what stands in the way of a run of `model` on a machine with these devices."""
    obstacles = [f"The library {name} is not installed: pip install -r requirements.txt." for name in NEEDED if _version(name) is None]
    if model in PIPELINE_CHECKS:
        return Readiness(tuple(obstacles), ("Pipeline check: random weights. It proves that every part works here, and learns nothing of use.",))
    obstacles += _hardware_problems(gpus)
    found, notes = _model_problems(model)
    notes += [f"{gpu.name}: {gpu.free_mib / 1024:.1f} of {gpu.total_mib / 1024:.1f} GiB free." for gpu in gpus]
    notes += precision_notes(model, gpus)
    return Readiness(tuple(obstacles + found), tuple(notes))


def precision_notes(model: str, gpus: tuple[Gpu, ...]) -> list[str]:
    """Return the sentence that says whether LoRA on bfloat16 weights fits on the emptiest device, or none where a size is not known."""
    try:
        shape = shape_of(model)
    except InputError:
        return []
    if not gpus:
        return []
    weights, free = 2 * shape.parameters, max(gpu.free_mib for gpu in gpus) * _MIB
    told = f"Its {shape.parameters / 1e9:.1f}B weights take {weights / 1e9:.1f} GB in bfloat16"
    if weights + ROOM_BYTES <= free:
        return [
            f"{told}, and {free / 1e9:.1f} GB are free: quantisation none fits, and is faster than nf4, which unpacks each layer at every pass "
            "(Qwen-VL's README has 2,777 against 2,074 tokens a second with 4-bit weights, on an A100)."
        ]
    return [f"{told} and a run some {ROOM_BYTES / 1e9:.0f} GB more, and {free / 1e9:.1f} GB are free: choose the quantisation nf4."]


def _hardware_problems(gpus: tuple[Gpu, ...]) -> list[str]:
    if not gpus:
        return ["No CUDA GPU was found (nvidia-smi is not here or names none), and a model of this size is not trained on a CPU. Use a machine with one."]
    if (_version("torch") or "").endswith("+cpu"):
        return [f"torch {_version('torch')} is the build without CUDA, so the {gpus[0].name} cannot be used. Install the one from PyPI."]
    return []


def _model_problems(model: str) -> tuple[list[str], list[str]]:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _folder_problems(folder), []
    if _HUB_ID.fullmatch(model):
        return [], [f"{model} is a hub id: whether the hub answers is known at the start only. Weights that were fetched before are used again."]
    return [f"{model} is no folder on this machine and no hub id such as Qwen/Qwen2.5-VL-3B-Instruct. Give one of the two."], []


def _folder_problems(folder: Path) -> list[str]:
    if not (folder / "config.json").is_file():
        return [f"{folder} has no config.json, so it holds no model. Give the folder into which the model was downloaded."]
    problems = []
    try:
        family_of(str(folder))
    except InputError as error:
        problems.append(str(error))
    if not any(folder.glob("*.safetensors")):
        problems.append(f"{folder} has no *.safetensors, the weights. Download the model whole.")
    if not (folder / "tokenizer.json").is_file() and not (folder / "vocab.json").is_file():
        problems.append(f"{folder} has no tokenizer.json. Download the model whole.")
    return problems


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
