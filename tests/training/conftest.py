"""A small studio: three real clips, an SFT set and a DPO set about them, frozen as the app freezes them, and ways to run on them."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from store.database import open_store
from store.records import CuratedSet, Run
from store.rows import as_row, utc_now
from training.config import LOCKED, RunConfig
from training.jobs import Order, create_run, launch, load_config
from training.presets import PRESETS
from training.status import RunStatus, log_tail, read_status

COLOURS = {"red": (230, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 230)}
WIDTH, HEIGHT, FRAMES_A_SECOND, FRAME_COUNT = 96, 64, 12, 24


@dataclass(frozen=True)
class Studio:
    """A data directory with clips and frozen sets."""

    data: Path
    sets: dict[str, CuratedSet]
    digests: dict[str, str]

    def make(self, config: RunConfig, token: str = "", name: str = "a run") -> Run:
        """Make the run directory of a config, another one at each call without a token."""
        return create_run(self.data, self.order(config, token or utc_now(), name))

    def order(self, config: RunConfig, token: str = "one press", name: str = "a run") -> Order:
        return Order(name, config, self.sets[config.stage], token)

    def directory(self, run: Run) -> Path:
        return self.data / run.directory

    def done(self, run: Run) -> tuple[Path, RunStatus]:
        """Start a run, wait for its end, and return its directory and status."""
        directory = self.directory(run)
        launch(directory)
        return directory, self.ended(directory)

    def ended(self, directory: Path) -> RunStatus:
        wait_until(lambda: read_status(directory).ended, lambda: log_tail(directory))
        return read_status(directory)


def wait_until(condition: Callable[[], object], story: Callable[[], str] = str, patience_s: float = 120.0) -> None:
    """Wait for a condition, looking often; fail with the story when it does not come true."""
    deadline, pause = time.monotonic() + patience_s, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"nothing came of it within {patience_s:.0f} s\n{story()}"
        pause.wait(0.05)


def write_clip(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Write two seconds of H.264: a bar of the colour moves from left to right over grey."""
    width, height = size
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_A_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(FRAME_COUNT):
            picture = np.full((height, width, 3), 120, np.uint8)
            left = number * (width - 16) // FRAME_COUNT
            picture[:, left : left + 16] = colour
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def keep_media(data: Path, path: Path) -> str:
    """Move a file to where the store keeps media; return its digest."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    target = data / "media" / digest[:2] / digest
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return digest


def row_of(number: int, digest: str, stage: str = "sft", **changes: Any) -> dict[str, Any]:
    """Return one row as export writes it; replies of a pair differ from the first word on, so that they can be told apart."""
    good, bad = f"A bar moves to the right in clip {number % 3}.", "Nothing at all is to be seen here."
    texts = {"completion": good} if stage == "sft" else {"chosen": good, "rejected": bad}
    return {
        "id": f"{stage}-{number}",
        "split": "validation" if number >= 6 else "train",
        "kind": ("narrative", "rationale")[number % 2],
        "clip": {"id": f"clip-{number % 3}", "digest": digest, "start_s": 0.0, "end_s": 1.5 if number % 2 else None},
        "prompt": [{"role": "user", "content": f"What happens? ({number})"}],
        **{name: [{"role": "assistant", "content": text}] for name, text in texts.items()},
        "source": {"candidate": f"candidate-{number}"},
        **changes,
    }


def freeze_rows(data: Path, kind: str, rows: Sequence[dict[str, Any]], name: str = "a set") -> CuratedSet:
    """Write a frozen set by the contract of exports/ and list it in the store."""
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    made = CuratedSet(sha256[:16], name, kind, sha256, len(rows), "{}", f"exports/{sha256[:16]}", utc_now())
    directory = data / made.directory
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rows.jsonl").write_bytes(content)
    manifest = {"id": made.id, "name": name, "kind": kind, "rows": len(rows), "rows_sha256": sha256, "created_at": made.created_at}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with open_store(data) as db:
        db["curated_set"].insert(as_row(made), ignore=True)
    return made


def build_studio(data: Path) -> Studio:
    data.mkdir(parents=True, exist_ok=True)
    digests = {name: keep_media(data, write_clip(data / f"{name}.mp4", colour)) for name, colour in COLOURS.items()}
    order = list(digests.values())
    sets = {stage: freeze_rows(data, stage, [row_of(n, order[n % 3], stage) for n in range(8)], f"{stage} set") for stage in ("sft", "dpo")}
    return Studio(data, sets, digests)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return build_studio(tmp_path / "data")


@pytest.fixture(scope="session")
def shared_studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """For the tests that train: a training run costs seconds, so they share what they make and change nothing in it."""
    return build_studio(tmp_path_factory.mktemp("shared") / "data")


def sft_config(**changes: Any) -> RunConfig:
    return PRESETS[0].config(**changes)


def dpo_config(data: Path, parent: Run, **changes: Any) -> RunConfig:
    """Return the pipeline check's DPO config, locked to its parent."""
    preset = next(preset for preset in PRESETS if preset.name == "Pipeline check (DPO)")
    theirs = load_config(data / parent.directory)
    return replace(preset.config(parent_run=parent.id, **{name: getattr(theirs, name) for name in LOCKED}), **changes)
