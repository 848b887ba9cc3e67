"""A project of words: clips with questions, evidence and speech, as tests of syntheses start from. No video file is written."""

import shutil
from pathlib import Path

import pytest
import sqlite_utils

from store.clips import add_clip, add_media, add_qa_pair
from store.database import open_store
from store.records import Clip, EvidenceSpan, Media, QAPair, Subtitle
from store.rows import digest_id, utc_now

OPTIONS = ("run away", "sit down on the bench", "throw the ball")


def put_clip(
    db: sqlite_utils.Database, name: str, questions: int = 3, dataset: str = "yard", length_s: float | None = 30.0, health: str = "ok", split: str = "train"
) -> str:
    """Put a clip with questions "1", "2", ... into the store, question k shown from 30 - 4 k to 33 - 4 k s; without a length its video is missing."""
    digest = None
    if length_s is not None:
        digest = digest_id("media", name) + "0" * 44
        reason = None if health == "ok" else "It is cut off."
        add_media(db, Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, 64, 48, 0, length_s, 300, True, None, health, reason, utc_now()), None)
    clip = Clip(digest_id("clip", dataset, name), dataset, name, f"{name}.mp4", digest, 0.0, None, name, split)
    add_clip(db, clip, [Subtitle(clip.id, 0, 1.0, 2.5, "Look at the dog!")])
    for number in range(1, questions + 1):
        put_question(db, clip, str(number), 30.0 - 4 * number)
    return clip.id


def put_question(db: sqlite_utils.Database, clip: Clip, name: str, start_s: float | None = None, answer: str | None = OPTIONS[1], options: bool = True) -> str:
    """Put a question into the store; its evidence lasts three seconds."""
    qa_id = digest_id("qa", clip.id, name)
    index = OPTIONS.index(answer) if options and answer in OPTIONS else None
    question = f"what does the boy do in part {name} of {clip.external_id}"
    pair = QAPair(qa_id, clip.id, name, question, answer, OPTIONS if options else (), index, "TN", None, None, None)
    add_qa_pair(db, pair, [] if start_s is None else [EvidenceSpan(qa_id, 0, start_s, start_s + 3.0)])
    return qa_id


@pytest.fixture(scope="session")
def _seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("words") / "data"
    with open_store(data) as db:
        for number in range(4):
            put_clip(db, f"clip-{number}", dataset="yard" if number < 3 else "street", split="test" if number == 2 else "train")
    return data


@pytest.fixture
def project(_seed: Path, tmp_path: Path) -> Path:
    """Return a data directory of its own: three clips of the data set "yard", one of "street", three questions each."""
    return Path(shutil.copytree(_seed, tmp_path / "data"))
