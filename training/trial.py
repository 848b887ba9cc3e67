"""One clip and one question, answered by a base model and by adapters on it beside each other, in a process of its own.

What they are shown is built as in the adapters' own training.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from store.clip_search import clip_file
from store.clips import get_qa_pair, subtitles_of
from store.errors import InputError
from store.media_files import digest_of
from store.records import QAPair
from store.row_words import context_of, load_prompts, prompt_for, span_of
from training.asking import NO_REPLY
from training.child import answer_as_child, ask_child
from training.config import SHOWN, RunConfig
from training.context import Line
from training.encoding import Encoder, text_counter
from training.form import preset_named
from training.frames import look_at
from training.jobs import load_config, read_run
from training.pictures import pictures_seen
from training.rows import ClipSpan, Message, Row, RowContext
from training.run import prepare_environment
from training.views import view_of

TAKES_S = 600.0  # a 7B model in 4 bits is loaded in a minute or two, and writes a few tokens a second
CACHE_BYTES = 1 << 30
MOST_ADAPTERS = 4
BASE = "base"


@dataclass(frozen=True)
class Trial:
    """What is asked of whom."""

    clip: ClipSpan
    said: Mapping[str, Any]  # what is spoken there, as `context_of` tells it
    kind: str  # "narrative", "rationale" or "answer": which prompt it is
    prompt: str
    run_ids: tuple[str, ...]  # whose adapters answer, beside their base
    new_tokens: int = 256
    temperature: float = 0.0

    @property
    def context(self) -> RowContext:
        """What is spoken, as a row has it."""
        window_s = self.said["window_s"] and (self.said["window_s"][0], self.said["window_s"][1])
        return RowContext(tuple(Line(*line) for line in self.said["lines"]), self.said["pause_s"], window_s)


@dataclass(frozen=True)
class Answer:
    """What one of them said. Counts are tokens."""

    writer: str  # "base", or the name of the adapter's run
    run_id: str | None
    text: str
    tokens: int
    cut: bool
    seconds: float


@dataclass(frozen=True)
class Tried:
    """All answers, the base's first, and what loading the model took."""

    answers: tuple[Answer, ...]
    loading_s: float  # libraries, model and adapters


def trial_of(db: sqlite_utils.Database, clip_id: str, question: str, kind: str, run_ids: Sequence[str], new_tokens: int = 256) -> Trial:
    """Return the trial of a clip and a question: the id of one that is about the clip, or any words; a narrative needs none.

    Raises NotFoundError for an unknown clip, InputError when its video is not there, the question lacks, or no adapter is chosen.
    """
    found = clip_file(db, clip_id)
    if found.problem or found.media is None:
        raise InputError(found.problem or "The clip has no video.")
    if not 1 <= len(run_ids) <= MOST_ADAPTERS:
        raise InputError(f"{len(run_ids)} adapters are chosen. Choose 1 to {MOST_ADAPTERS}; the base model answers beside them.")
    clip, qa = found.clip, None if kind == "narrative" else _question(db, clip_id, question.strip())
    span_s, said = span_of(clip, qa), context_of(clip, qa, subtitles_of(db, clip.id))
    shown = ClipSpan(clip.id, found.media.digest, *span_s)
    return Trial(shown, said, kind, prompt_for(load_prompts(), kind, qa), tuple(dict.fromkeys(run_ids)), new_tokens)


def ask_trial(data: Path, trial: Trial, takes_s: float = TAKES_S) -> Tried:
    """Return what base and adapters say; loading the libraries takes 5 to 30 s, a large model longer.

    Raises InputError with the child's sentence, or when it takes longer than `takes_s` or dies.
    """
    found = ask_child("training.trial", {"data": str(data.resolve()), "trial": asdict(trial)}, takes_s, "The trial")
    return Tried(tuple(Answer(**one) for one in found["answers"]), found["loading_s"])


def shown_config(data: Path, trial: Trial) -> RunConfig:
    """Return how model and clip are loaded for all adapters of the trial. Raises InputError when they do not share base and view."""
    configs = {run_id: load_config(data / "runs" / run_id) for run_id in trial.run_ids}
    first_id, first = next(iter(configs.items()))
    for run_id, config in configs.items():
        for name in ("model", "quantisation", *SHOWN):
            if getattr(config, name) != getattr(first, name):
                raise InputError(
                    f"{name} is {getattr(first, name)!r} in the run {first_id} and {getattr(config, name)!r} in the run {run_id}: "
                    "beside each other they would not be shown the same. Choose adapters of one base and one view."
                )
        if config.random_weights and _weights(data, run_id, config) != _weights(data, first_id, first):
            raise InputError(f"The runs {first_id} and {run_id} stand on different tiny models. Choose an SFT run and a DPO run that started from it.")
    seen = {name: getattr(first, name) for name in ("model", "quantisation", "longest_side_px", "max_tokens", "seed", *SHOWN)}
    return preset_named("Write").config(**seen, writes=trial.kind, new_tokens=trial.new_tokens, temperature=trial.temperature)


def base_of(data: Path, run_id: str, config: RunConfig) -> str:
    """Return where the base model of a run's adapter is: folder or hub id; of a pipeline check the one in the run's own directory."""
    own = data / "runs" / run_id / "model"
    return config.model if not config.random_weights else str(own if own.is_dir() else own.parent / "parent" / "model")


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    data, asked = Path(request["data"]), request["trial"]
    trial = Trial(**{**asked, "clip": ClipSpan(**asked["clip"]), "run_ids": tuple(asked["run_ids"])})
    config = shown_config(data, trial)
    # A trial waits for no download: what is not on this machine is told.
    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_environment(config)
    begun_s = time.monotonic()
    # Imported here: the app reads this module too, and must not load torch.
    from training import writing

    source = base_of(data, trial.run_ids[0], load_config(data / "runs" / trial.run_ids[0]))
    processor, row, encoder = _laid_out(data, trial, config, source)
    model = writing.with_adapters(source, config.quantisation, {run_id: data / "runs" / run_id / "adapter" for run_id in trial.run_ids})
    loaded_s = time.monotonic()
    answers = []
    for run_id in (None, *trial.run_ids):
        begins_s = time.monotonic()
        with writing.speaking(model, run_id):
            said = writing.say(model, encoder, processor, row, config)
        writer = read_run(data, run_id).name if run_id else BASE
        answers.append(Answer(writer, run_id, said.text, said.tokens, said.cut, round(time.monotonic() - begins_s, 2)))
    return asdict(Tried(tuple(answers), round(loaded_s - begun_s, 1)))


def _laid_out(data: Path, trial: Trial, config: RunConfig, source: str) -> tuple[Any, Row, Encoder]:
    """Return processor, row and encoder of the trial: what is shown is built as any row's."""
    from training.model import load_processor

    processor, plan = load_processor(source), config.context_plan()
    row = Row("trial", "test", trial.kind, trial.clip, (Message("user", trial.prompt),), NO_REPLY, None, trial.context)
    stretch = look_at(data, [trial.clip], config.longest_side_px, lambda done: None)[trial.clip]
    view = view_of(row, stretch, plan, text_counter(processor), config.family)
    return processor, row, Encoder(processor, {row.id: view}, lambda seen: pictures_seen(data, seen, plan, CACHE_BYTES))


def _question(db: sqlite_utils.Database, clip_id: str, words: str) -> QAPair:
    """Return the question of the clip with this id, or one of these words about the whole clip."""
    if not words:
        raise InputError("There is no question. Choose one of the clip's, or write one.")
    known = get_qa_pair(db, words)
    return known if known and known.clip_id == clip_id else QAPair("", clip_id, "", words, None, (), None, None, None, None, None)


def _weights(data: Path, run_id: str, config: RunConfig) -> str:
    return digest_of(Path(base_of(data, run_id, config)) / "model.safetensors")


if __name__ == "__main__":
    answer_as_child(_answer)
