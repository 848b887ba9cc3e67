"""A plan and its items as the JSON that lies in a synthesis directory, and back. Pure but for reading and writing those files; no SQL."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.synthesis.arms import Arm
from curation.synthesis.plan import Item, Limits, Prices, PromptText, SynthesisPlan, WriterSpec
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.writing import Sampling
from store.errors import NotFoundError
from store.process import write_whole

ROOM = "synthesis"  # in the data directory
PLAN = "plan.json"


def directory_of(data: Path, run_id: str) -> Path:
    """Return the directory of a run. Raises NotFoundError when there is none with a plan."""
    directory = data / ROOM / run_id
    if "/" in run_id or not (directory / PLAN).is_file():
        raise NotFoundError(f"There is no synthesis {run_id[:40]!r} in {data}. `python -m curation syntheses --data {data}` lists those that there are.")
    return directory


def read_plan(directory: Path) -> SynthesisPlan:
    """Return the plan of a synthesis directory. Raises NotFoundError when it holds none."""
    try:
        return plan_of(json.loads((directory / PLAN).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise NotFoundError(f"{directory} holds no {PLAN}, so it is no synthesis. Check its name.") from error


def write_plan(directory: Path, plan: SynthesisPlan) -> None:
    """Write the plan into a synthesis directory, whole or not at all."""
    write_whole(directory / PLAN, json.dumps(plan_json(plan), ensure_ascii=False, indent=2) + "\n")


def read_items(path: Path) -> Iterator[Item]:
    """Yield the items of a shard in their order; one line each, so memory does not grow with the file."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield item_of(json.loads(line))


def item_line(item: Item) -> str:
    """Return the item as one line of a shard, its end included."""
    return json.dumps(item_json(item), ensure_ascii=False, separators=(",", ":")) + "\n"


def plan_json(plan: SynthesisPlan) -> dict[str, Any]:
    """Return the plan as values that JSON has."""
    return asdict(plan)


def plan_of(told: Mapping[str, Any]) -> SynthesisPlan:
    """Return the plan that `plan_json` told."""
    parts = {
        "arm": Arm(**told["arm"]),
        "writer": WriterSpec(**told["writer"]),
        "sampling": Sampling(**told["sampling"]),
        "prompt": PromptText(**told["prompt"]),
        "limits": Limits(**told["limits"]),
        "prices": None if told["prices"] is None else Prices(**told["prices"]),
    }
    return SynthesisPlan(**{**told, **parts})


def item_json(item: Item) -> dict[str, Any]:
    """Return the item as values that JSON has."""
    return {**vars(item), "subject": subject_json(item.subject)}


def item_of(told: Mapping[str, Any]) -> Item:
    """Return the item that `item_json` told."""
    return Item(**{**told, "subject": subject_of(told["subject"])})


def subject_json(subject: Subject) -> dict[str, Any]:
    """Return the subject as values that JSON has."""
    return {**vars(subject), "pairs": [dict(vars(pair)) for pair in subject.pairs]}


def subject_of(told: Mapping[str, Any]) -> Subject:
    """Return the subject that `subject_json` told."""
    return Subject(**{**told, "pairs": tuple(_pair_of(pair) for pair in told["pairs"])})


def _pair_of(told: Mapping[str, Any]) -> Told:
    return Told(**{**told, "options": tuple(told["options"]), "spans": tuple((float(start_s), float(end_s)) for start_s, end_s in told["spans"])})
