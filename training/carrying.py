"""A run directory is filled with all that the run needs: config, rows, questions, video files, and what it takes from its parent."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from store.errors import InputError, NotFoundError, StorageError
from store.media import media_path
from store.process import write_whole
from store.records import CuratedSet, Run
from store.rows import digest_id, utc_now
from training.config import RunConfig, lock_problem
from training.questions import Question, chosen_questions, contamination_problem, load_questions
from training.rows import ClipSpan, Row, load_set, planned_rows
from training.status import USABLE, read_result, read_status

# The stages that make an adapter.
TRAINING = ("sft", "dpo")
# Which kinds of curated sets a stage works on.
KINDS = {"sft": ("sft",), "dpo": ("dpo",), "evaluate": ("questions",), "write": ("sft", "dpo", "questions")}


@dataclass(frozen=True)
class Order:
    """What somebody asked for. Two orders with one `token`, config and set are one order: a double click."""

    name: str
    config: RunConfig
    curated: CuratedSet  # of a kind that KINDS names for the stage
    token: str
    questions: CuratedSet | None = None  # the one that config.question_set names, when `curated` is another

    @property
    def run_id(self) -> str:
        """The id of the run that this order makes."""
        return digest_id("run", self.token, self.config.to_json(), self.curated.id)

    @property
    def rows(self) -> CuratedSet | None:
        """The rows of the run, if it has any."""
        return None if self.curated.kind == "questions" else self.curated

    @property
    def question_set(self) -> CuratedSet | None:
        """The questions of the run, if it has any."""
        return self.curated if self.curated.kind == "questions" else self.questions


def fill(data: Path, directory: Path, order: Order) -> None:
    """Put all that the run needs into the empty `directory`.

    Raises InputError for a set or parent that does not fit, NotFoundError when media are missing, StorageError for changed rows.
    """
    config = order.config
    _check_sets(order)
    for name, curated in (("dataset", order.rows), ("questions", order.question_set)):
        if curated is not None:
            _carry_set(data, directory / name, curated)
    (_, train, held_out), questions = carried_rows(directory, config), carried_questions(directory, config)
    if config.parent_run is not None:
        _carry_parent(data, directory / "parent", config)
    own = {row.clip.digest for row in train} if config.stage in TRAINING else set()
    learnt_from = _learnt_from(directory, own, config)
    # Of what a parent learnt that does not tell, nothing can be said; of its own rows a run always knows.
    problem = contamination_problem(own if learnt_from is None else learnt_from, questions) if config.stage in TRAINING else None
    if problem:
        raise InputError(problem)
    _carry_media(data, directory, [*(row.clip for row in (*train, *held_out)), *(question.clip for question in questions)])
    write_whole(directory / "config.json", config.to_json())
    run = Run(
        id=order.run_id,
        name=order.name.strip() or f"{config.stage} on {order.curated.name}",
        stage=config.stage,
        curated_set_id=order.curated.id,
        parent_id=config.parent_run,
        directory=f"runs/{order.run_id}",
        created_at=utc_now(),
    )
    manifest = {
        "run": asdict(run),
        "rows_sha256": order.curated.sha256,
        "rows": len(train),
        "validation_rows": len(held_out),
        "questions": len(questions),
        "learnt_from": None if learnt_from is None else sorted(learnt_from),
    }
    write_whole(directory / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def carried_rows(directory: Path, config: RunConfig) -> tuple[int, tuple[Row, ...], tuple[Row, ...]]:
    """Return how many rows a run's set has, its training rows and its held-out rows; without a set none. A run that writes takes them all.

    Raises what `load_set` and `planned_rows` raise.
    """
    if not (directory / "dataset").is_dir():
        return 0, (), ()
    rows = load_set(directory / "dataset").rows
    return (len(rows), *(planned_rows(rows, config) if config.stage in TRAINING else (rows, ())))


def carried_questions(directory: Path, config: RunConfig) -> tuple[Question, ...]:
    """Return the questions that a run scores, none without a set. Raises what `load_questions` raises."""
    return chosen_questions(load_questions(directory / "questions"), config) if (directory / "questions").is_dir() else ()


def parent_problem(data: Path, parent_id: str, stage: str = "dpo") -> str | None:
    """Return the sentence that says why a run of `stage` cannot start from this run's adapter, or None when it can."""
    directory = data / "runs" / parent_id
    # An id with a slash in it would lead elsewhere.
    if Path(parent_id).name != parent_id or not (directory / "manifest.json").exists():
        return f"The run {parent_id} is not in {data / 'runs'}. Choose another one."
    theirs = load_config(directory).stage
    if theirs not in TRAINING:
        return f"The run {parent_id} is of the stage {theirs}, and makes no adapter. Choose an SFT run."
    if theirs != "sft" and stage == "dpo":
        return f"The run {parent_id} is a DPO run. Choose the SFT run that it came from."
    # A run that failed after it had saved has an adapter too, but not one to build on.
    outcome = (read_result(directory) or {}).get("outcome")
    if outcome not in USABLE or not (directory / "adapter" / "adapter_config.json").exists():
        return f"The run {parent_id} has no adapter: it is {read_status(directory).state}. Let it finish, or choose another one."
    return None


def load_config(directory: Path) -> RunConfig:
    """Return the config of the run in `directory`. Raises NotFoundError, InputError."""
    path = directory / "config.json"
    if not path.exists():
        raise NotFoundError(f"{path} is not there, so {directory} holds no run.")
    return RunConfig.from_json(path.read_text(encoding="utf-8"))


def _check_sets(order: Order) -> None:
    config, curated, questions = order.config, order.curated, order.question_set
    wanted = KINDS[config.stage]
    if curated.kind not in wanted:
        raise InputError(
            f"The set {curated.name} is of the kind {curated.kind}, and a run of the stage {config.stage} works on {' or '.join(wanted)}. Choose another set."
        )
    if config.question_set != (None if questions is None else questions.id):
        raise InputError(f"The config names the question set {config.question_set}, and the order brings {questions and questions.id}. Choose it again.")


def _carry_set(data: Path, target: Path, curated: CuratedSet) -> None:
    # The copy is what will be read, so the copy is what is checked.
    source = data / curated.directory
    target.mkdir()
    for name in ("rows.jsonl", "manifest.json"):
        if not (source / name).exists():
            raise NotFoundError(f"{source / name} is not there. Freeze the set again.")
        shutil.copyfile(source / name, target / name)
    manifest: dict[str, Any] = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    if (manifest.get("kind"), manifest.get("rows_sha256")) != (curated.kind, curated.sha256):
        raise StorageError(f"The rows of the set {curated.name} are not those that the database knows by their hash. Freeze the set again.")


def _carry_media(data: Path, directory: Path, clips: Iterable[ClipSpan]) -> None:
    wanted = {clip.digest: clip.id for clip in clips}
    missing = [clip for digest, clip in wanted.items() if not media_path(data, digest).is_file()]
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise NotFoundError(f"The video of {len(missing)} clips is missing: {', '.join(missing[:10])}{more}. Import the videos, then start again.")
    for digest in wanted:
        _link(media_path(data, digest), media_path(directory, digest))


def _carry_parent(data: Path, target: Path, config: RunConfig) -> None:
    parent_id = str(config.parent_run)
    source = data / "runs" / parent_id
    problem = parent_problem(data, parent_id, config.stage) or _adapter_problem(load_config(source), config)
    if problem:
        raise InputError(problem)
    files = {path.name: path for path in (source / "config.json", source / "manifest.json", source / "result.json")}
    folders = {"adapter": source / "adapter"}
    if config.random_weights:
        # A DPO run carries the model of the SFT run that it came from.
        folders["model"] = source / "model" if (source / "model").is_dir() else source / "parent" / "model"
    for name, folder in folders.items():
        files |= {f"{name}/{path.relative_to(folder).as_posix()}": path for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, path in files.items():
        _link(path, target / name)


def _learnt_from(directory: Path, own: set[str], config: RunConfig) -> set[str] | None:
    """Return the digests of the videos that the adapter of the run will have learnt from, its parent's too; None: its parent does not tell."""
    theirs = [] if config.parent_run is None else json.loads((directory / "parent" / "manifest.json").read_text(encoding="utf-8")).get("learnt_from")
    return None if theirs is None else own | set(theirs)


def _adapter_problem(parent: RunConfig, config: RunConfig) -> str | None:
    if config.stage == "dpo":
        return lock_problem(parent, config)
    if parent.model != config.model:
        return f"model is {config.model!r}, and the adapter of the run {config.parent_run} was trained on {parent.model!r}. Take that one."
    return None


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(source, target)
