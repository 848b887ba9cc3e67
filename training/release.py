"""An adapter made ready to be given away: its files alone, or merged into the weights of its base, with a model card. No torch here.

exports/adapter-<sha256>/  adapter_model.safetensors  adapter_config.json  README.md  release.json
exports/merged-<sha256>/   model*.safetensors  config.json  processor files    README.md  release.json
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import ConflictError, RefusedError, StorageError
from store.media_files import digest_of
from store.process import write_whole
from store.records import Run
from store.rows import utc_now
from training.cards import CardFacts, CardStage, Measured, model_card
from training.child import ask_child
from training.config import RunConfig
from training.jobs import load_config, read_run, runs_on_disk
from training.registering import WEIGHTS, learnt_rows
from training.shapes import shape_of
from training.status import USABLE, read_result
from training.trial import base_of

TAKES_S = 3600.0
BYTES_A_WEIGHT = 2  # bfloat16
# The tokenizer's files, and room that others may take meanwhile.
MARGIN_BYTES = 512 << 20


@dataclass(frozen=True)
class Release:
    """A folder that can be given away."""

    folder: Path
    bytes: int
    made: bool  # False: it was there already


def release(data: Path, run_id: str, merged: bool) -> Release:
    """Return the folder under `data`/exports that holds the run's adapter, alone or merged into its base in bfloat16, and its card.

    It appears whole or not at all; of one that is there already only the card is written anew, for what was measured since.
    Merging loads the base unquantised in a child on the CPU: minutes, and two bytes of memory for each of its weights.

    Raises NotFoundError without the run, ConflictError without its adapter, RefusedError when the disk is too small, InputError with the child's
    sentence, StorageError when the disk refuses.
    """
    run = read_run(data, run_id)
    source = data / run.directory / "adapter"
    if not (source / WEIGHTS).is_file() or (read_result(data / run.directory) or {}).get("outcome") not in USABLE:
        raise ConflictError(f"The run {run.name} has no adapter yet, or has failed. Let it finish, or choose another one.")
    sha256, config = digest_of(source / WEIGHTS), load_config(data / run.directory)
    folder = data / "exports" / f"{'merged' if merged else 'adapter'}-{sha256[:20]}"
    made = not (folder / "release.json").exists()
    if made:
        _refuse_full_disk(data, needed_bytes(config, source, merged))
        _make(data, run, folder, sha256)
    else:
        _renew_card(data, run, folder)
    return Release(folder, _bytes_in(folder), made)


def needed_bytes(config: RunConfig, adapter: Path, merged: bool) -> int:
    """Return how much room a release takes: the adapter's files, or two bytes for each weight of the base, and a margin."""
    return (BYTES_A_WEIGHT * shape_of(config.model).parameters if merged else _bytes_in(adapter)) + MARGIN_BYTES


def facts_of(data: Path, run: Run, merged: bool, sha256: str) -> CardFacts:
    """Return what the card tells, read from the run directories and exports/ of `data`."""
    stages, now = [_stage(data, run)], run
    while now.parent_id and (data / "runs" / now.parent_id / "manifest.json").exists():
        now = read_run(data, now.parent_id)
        stages.append(_stage(data, now))
    return CardFacts(run.name, merged, sha256, stages, _measured(data, run.id, sha256))


def _make(data: Path, run: Run, folder: Path, sha256: str) -> None:
    merged, source = folder.name.startswith("merged"), data / run.directory / "adapter"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".releasing-") as scratch:
            part = Path(scratch) / "release"
            if merged:
                base = base_of(data, run.id, load_config(data / run.directory))
                ask_child("training.merge", {"base": base, "adapter": str(source.resolve()), "folder": str(part.resolve())}, TAKES_S, "The merge")
            else:
                shutil.copytree(source, part)
            (part / "README.md").write_text(model_card(facts_of(data, run, merged, sha256)), encoding="utf-8")
            files = {path.name: digest_of(path) for path in sorted(part.iterdir())}
            told: dict[str, Any] = {"run_id": run.id, "adapter_sha256": sha256, "merged": merged, "made_at": utc_now(), "files": files}
            write_whole(part / "release.json", json.dumps(told, indent=1) + "\n")
            part.rename(folder)
    except OSError as error:
        # Another one may have made the same meanwhile; theirs is as good.
        if not (folder / "release.json").exists():
            raise StorageError(f"{folder} cannot be written: {error.strerror or error}. Make room or rights in {folder.parent}, then try again.") from error


def _renew_card(data: Path, run: Run, folder: Path) -> None:
    told = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    card = model_card(facts_of(data, run, told["merged"], told["adapter_sha256"]))
    if (folder / "README.md").read_text(encoding="utf-8") != card:
        write_whole(folder / "README.md", card)
        told |= {"run_id": run.id, "files": {**told["files"], "README.md": digest_of(folder / "README.md")}}
        write_whole(folder / "release.json", json.dumps(told, indent=1) + "\n")


def _stage(data: Path, run: Run) -> CardStage:
    directory, sheet = data / run.directory, data / "exports" / run.curated_set_id / "datasheet.md"
    path = directory / "dataset" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    rows = len(learnt_rows(directory)) if manifest else None
    agreement = _section(sheet.read_text(encoding="utf-8"), "## Agreement") if sheet.exists() else None
    return CardStage(run.name, run.id, load_config(directory), read_result(directory) or {}, manifest, rows, agreement)


def _section(text: str, heading: str) -> str | None:
    """Return what stands under the first heading that begins so, or None."""
    _, found, rest = text.partition(f"\n{heading}")
    return rest.partition("\n")[2].partition("\n## ")[0].strip() or None if found else None


def _measured(data: Path, run_id: str, sha256: str) -> Measured | None:
    """Return the newest evaluation of exactly these weights that ended, or None."""
    for run in reversed(runs_on_disk(data)):
        if run.stage == "evaluate" and run.parent_id == run_id:
            directory = data / run.directory
            accuracy, weights = (read_result(directory) or {}).get("accuracy"), directory / "parent" / "adapter" / WEIGHTS
            if accuracy and accuracy.get("adapter") and weights.is_file() and digest_of(weights) == sha256:
                manifest = json.loads((directory / "questions" / "manifest.json").read_text(encoding="utf-8"))
                return Measured(run.id, str(manifest.get("name")), load_config(directory).quantisation, accuracy)
    return None


def _refuse_full_disk(data: Path, needed: int) -> None:
    free = shutil.disk_usage(data).free
    if free < needed:
        raise RefusedError(
            f"This takes about {needed / 1e9:,.1f} GB, and {data} has {free / 1e9:,.1f} GB free. Make room, for example by deleting old checkpoints."
        )


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
