"""What the model will get for one row, by the very parts that train: `python -m training.preview DIRECTORY`, a process of its own.

The pictures are taken back out of the processor's own tensors.
"""

import base64
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError, NotFoundError
from training.child import answer_as_child, ask_child
from training.config import RunConfig
from training.context import Dropped, Moment
from training.encoding import PADS, Encoder, replies_of, text_counter
from training.frames import look_at
from training.pictures import pictures_seen
from training.rows import FrozenSet, Row, load_set, planned_rows, texts_of
from training.run import prepare_environment
from training.views import view_of

TAKES_S = 300.0  # loading the libraries takes 5 to 30 s, an hour of film to be pooled minutes
CACHE_BYTES = 1 << 30
JPEG_QUALITY = 92  # of what is shown; the model gets the pixels themselves


@dataclass(frozen=True)
class Segment:
    """A run of tokens that are alike: words that are learnt, words that are not, or the place of a picture or video."""

    text: str
    tokens: int
    learnt: bool
    is_picture: bool


@dataclass(frozen=True)
class Side:
    """The whole conversation with one reply. Counts are tokens."""

    name: str  # "reply", "chosen" or "rejected"
    segments: tuple[Segment, ...]
    total: int
    visual: int
    learnt: int


@dataclass(frozen=True)
class Picture:
    """A picture as the model gets it, and what it shows, in seconds of the clip."""

    source: str  # a data: address
    width: int  # pixels
    height: int
    start_s: float
    end_s: float
    kind: str  # "frame", "window" or "key"


@dataclass(frozen=True)
class Preview:
    """All that the model gets for one row, and what it does not."""

    row_id: str
    split: str
    kind: str
    layout: str
    max_tokens: int
    sides: tuple[Side, ...]  # one, or chosen and rejected
    pictures: tuple[Picture, ...]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]


def ask_preview(data: Path, set_directory: Path, row_id: str, config: RunConfig, takes_s: float = TAKES_S) -> Preview:
    """Return what the model will get for a row of the set in `set_directory`; 5 to 30 s, most of them for loading the libraries.

    Raises InputError with the child's sentence, or when it takes longer than `takes_s` or dies.
    """
    request = {"data": str(data.resolve()), "set": str(set_directory.resolve()), "row": row_id, "config": asdict(config)}
    return _preview_of(ask_child("training.preview", request, takes_s, "The preview"))


def make_preview(data: Path, frozen: FrozenSet, row: Row, config: RunConfig) -> Preview:
    """Return what the model will get for the row. Loads the libraries, so it belongs in the child.

    Raises InputError when the video cannot be read or nothing of it can be shown.
    """
    processor, notes = _processor(data, frozen, config)
    plan = config.context_plan()
    stretch = look_at(data, [row.clip], config.longest_side_px, lambda done: None)[row.clip]
    view = view_of(row, stretch, plan, text_counter(processor), config.family)
    encoder = Encoder(processor, {row.id: view}, lambda seen: pictures_seen(data, seen, plan, CACHE_BYTES), config.scored)
    names = ("reply",) if row.rejected is None else ("chosen", "rejected")
    batches = [encoder.batch([row], [reply]) for reply in replies_of(row)]
    sides = tuple(_side(name, batch, processor) for name, batch in zip(names, batches, strict=True))
    pixels = pictures_in(batches[0], processor.image_processor)
    pictures = tuple(_picture(one, moment) for one, moment in zip(pixels, view.context.moments, strict=False))
    return Preview(row.id, row.split, row.kind, config.layout, config.max_tokens, sides, pictures, view.context.dropped, tuple(notes))


def pictures_in(batch: Mapping[str, Any], image_processor: Any) -> list[NDArray[np.uint8]]:
    """Return the pictures that the tensors of a batch hold, (height, width, 3) each, in order: the patches put together again.

    Of a video all its frames; one that was repeated to make their number even comes twice.
    """
    size, pairs, merge = image_processor.patch_size, image_processor.temporal_patch_size, image_processor.merge_size
    found: list[NDArray[np.uint8]] = []
    for values, grids, shown in (("pixel_values", "image_grid_thw", 1), ("pixel_values_videos", "video_grid_thw", pairs)):
        patches, at = np.asarray(batch.get(values, ())), 0
        for steps, rows, columns in np.asarray(batch.get(grids, ())).tolist():
            own = patches[at : (at := at + steps * rows * columns)]
            tiles = own.reshape(steps, rows // merge, columns // merge, merge, merge, 3, pairs, size, size).transpose(0, 6, 1, 3, 7, 2, 4, 8, 5)
            frames = tiles.reshape(steps * pairs, rows * size, columns * size, 3)[: steps * shown]
            levels = (frames * image_processor.image_std + image_processor.image_mean) * 255
            found += list(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    return found


def segments_of(ids: Sequence[int], learnt: Sequence[bool], tokenizer: Any) -> tuple[Segment, ...]:
    """Return the tokens as runs: whether they are learnt, and whether they stand for a picture or a video."""
    pads = set(tokenizer.convert_tokens_to_ids(list(PADS)))
    runs = groupby(zip(ids, learnt, strict=True), key=lambda token: (token[0] in pads, bool(token[1])))
    made = []
    for (is_picture, is_learnt), run in runs:
        own = [token for token, _ in run]
        made.append(Segment("" if is_picture else tokenizer.decode(own), len(own), is_learnt, is_picture))
    return tuple(made)


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    config = RunConfig.from_values(request["config"])
    # A preview waits for no download: what is not on this machine is told.
    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_environment(config)
    frozen = load_set(Path(request["set"]))
    row = next((row for row in frozen.rows if row.id == request["row"]), None)
    if row is None:
        raise InputError(f"The set {frozen.name} has no row {request['row']}. Choose another one.")
    return asdict(make_preview(Path(request["data"]), frozen, row, config))


def _processor(data: Path, frozen: FrozenSet, config: RunConfig) -> tuple[Any, list[str]]:
    # Imported here: the app reads this module too, and must not load torch.
    from training import model as models
    from training import tiny as tinies

    def tiny() -> Any:
        return tinies.tiny_processor(texts_of(row for part in planned_rows(frozen.rows, config) for row in part), config.family.name)

    if config.random_weights:
        return (models.load_processor(str(data / "runs" / str(config.parent_run) / "model")) if config.parent_run else tiny()), []
    try:
        return models.load_processor(config.model), []
    except NotFoundError:
        by_count = ", and so is what the budget leaves out" if config.budget_tokens else ""
        return tiny(), [
            f"The processor of {config.model} is not on this machine, so the words are cut into tokens, and the turns marked, as in the pipeline check. "
            f"The pictures, the words and which of them are learnt are as in the run; the counts of text tokens are others{by_count}."
        ]


def _side(name: str, batch: Mapping[str, Any], processor: Any) -> Side:
    ids, learnt = batch["input_ids"][0].tolist(), batch["completion_mask"][0].tolist()
    segments = segments_of(ids, learnt, processor.tokenizer)
    return Side(name, segments, len(ids), sum(segment.tokens for segment in segments if segment.is_picture), sum(learnt))


def _picture(pixels: NDArray[np.uint8], moment: Moment) -> Picture:
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    source = f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
    height, width, _ = pixels.shape
    return Picture(source, width, height, moment.start_s, moment.end_s, moment.kind)


def _preview_of(found: Mapping[str, Any]) -> Preview:
    def all_of(kind: Any, values: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
        return tuple(kind(**value) for value in values)

    sides = tuple(Side(**{**side, "segments": all_of(Segment, side["segments"])}) for side in found["sides"])
    parts = {"sides": sides, "pictures": all_of(Picture, found["pictures"]), "dropped": all_of(Dropped, found["dropped"]), "notes": tuple(found["notes"])}
    return Preview(**{**found, **parts})


if __name__ == "__main__":
    answer_as_child(_answer)
