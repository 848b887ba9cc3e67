"""Checkpoints that can be trusted: a manifest of hashes written last, and what is asked of a run that goes on from one. No torch."""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from store.process import write_whole
from training.config import RunConfig
from training.plan import TrainingError

MANIFEST = "manifest.json"
# Without any of these a run would go on as another one: rate, momentum, order of rows and dropout would begin anew.
NEEDED = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
# The same weights on the same row, reckoned twice on one device.
PROBE_SLACK = 1e-3


@dataclass(frozen=True)
class Found:
    """The newest checkpoint that is whole, if any, and why each newer one is not: a sentence each."""

    folder: Path | None
    step: int | None
    problems: tuple[str, ...]


def write_manifest(folder: Path, config: RunConfig, step: int, probe_loss: float | None) -> None:
    """Put the hash of each file of the checkpoint in `folder` into its manifest.json, which makes it one that a run can go on from.

    To be called when all other files are written; reads them all. `probe_loss`: of a fixed row with these weights, None: not reckoned.
    """
    files = {path.relative_to(folder).as_posix(): _sha256(path) for path in _files(folder)}
    manifest = {"step": step, "config": config_hash(config), "probe_loss": probe_loss, "files": files}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def verified(directory: Path, config: RunConfig) -> Found:
    """Return the newest checkpoint of the run in `directory` that verifies; reads every file of those that it looks at."""
    folders = {int(number): path for path in (directory / "checkpoints").glob("checkpoint-*") if (number := path.name.partition("-")[2]).isdigit()}
    problems: list[str] = []
    for step in sorted(folders, reverse=True):
        problem = _problem(folders[step], config, step)
        if problem is None:
            return Found(folders[step], step, tuple(problems))
        problems.append(f"{folders[step].name} {problem}")
    return Found(None, None, tuple(problems))


def check_resumed(folder: Path, probe_loss: float | None) -> None:
    """Raise TrainingError when a run that goes on from the checkpoint in `folder` does not begin at the loss at which it was saved.

    `probe_loss`: of the same row as then, None: it is no number. A checkpoint that was saved without one is not compared.
    """
    before = _manifest(folder)["probe_loss"]
    if before is None:
        return
    if probe_loss is None or not math.isclose(before, probe_loss, rel_tol=PROBE_SLACK):
        raise TrainingError(
            f"The loss of a fixed row was {before:.6g} when {folder.name} was saved, and is {probe_loss} after it was loaded: what goes on is not "
            "what stopped. Start a new run; the checkpoint stays as it is."
        )


def config_hash(config: RunConfig) -> str:
    """Return the hash of what the config says beyond the defaults, so that a field that is added later changes no older hash."""
    default = {field.name: field.default for field in fields(config) if field.default is not MISSING}
    said = {name: value for name, value in asdict(config).items() if name not in default or value != default[name]}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _problem(folder: Path, config: RunConfig, step: int) -> str | None:
    """Return what is wrong with a checkpoint, in words that follow its name, or None."""
    try:
        manifest = _manifest(folder)
    except (OSError, ValueError):
        return "has no manifest: it was not written to its end"
    if manifest["config"] != config_hash(config):
        return "is of another config"
    if manifest["step"] != step:
        return f"says that it is of step {manifest['step']}"
    lacking = [name for name in NEEDED if name not in manifest["files"]]
    if lacking:
        return f"was saved without {', '.join(lacking)}"
    for name, sha256 in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            return f"lacks {name}"
        if _sha256(path) != sha256:
            return f"holds another {name} than was saved"
    return None


def _manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / MANIFEST and not path.name.startswith("."))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
