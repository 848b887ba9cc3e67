"""Rows to batches: pictures and words as the builder laid them out, of which only the assistant's words are learnt. Needs a processor, not torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from training.context import Block
from training.frames import MAX_PIXELS, MIN_PIXELS
from training.rows import Row
from training.views import View

ASSISTANT = "<|im_start|>assistant\n"
TURN_END = "<|im_end|>"
# Ticks a second in which frame times are told to the processor, which takes whole numbers only.
_TICKS = 1_000_000
# The format is told because of a picture three pixels high or less the processor would guess another one.
_PIXELS = {"size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}, "input_data_format": "channels_last"}


@dataclass(frozen=True)
class TokenCount:
    """The length of one row and reply, in tokens."""

    total: int  # those of the pictures included
    learnt: int  # the assistant's words and the mark that ends them


class Encoder:
    """Turns rows into what Qwen2.5-VL takes; nothing is ever cut."""

    def __init__(self, processor: Any, views: Mapping[str, View], pixels: Callable[[View], NDArray[np.uint8]]) -> None:
        """Views by row id; `pixels` returns the pictures of one, (moments, height, width, 3)."""
        self._processor = processor
        self._views = views
        self._pixels = pixels
        self._header = self._ids(ASSISTANT)
        self._turn_end = self._ids(TURN_END)[0]

    def messages(self, row: Row, reply: str) -> list[dict[str, Any]]:
        """Return the conversation as chat messages; pictures and lines stand in the first turn of the user, around its words."""
        turns: list[dict[str, Any]] = []
        for turn in row.prompt:
            first_of_user = turn.role == "user" and all(seen["role"] != "user" for seen in turns)
            blocks = self._views[row.id].context.blocks if first_of_user else (Block("text", turn.content),)
            turns.append({"role": turn.role, "content": [_part(block) for block in blocks]})
        # White space before the first word would melt into the header's line break, and no header would be found.
        turns.append({"role": "assistant", "content": [{"type": "text", "text": reply.strip()}]})
        return turns

    def text(self, row: Row, reply: str) -> str:
        """Return the whole conversation as the chat template writes it, with one mark for each picture or video."""
        return str(self._processor.apply_chat_template(self.messages(row, reply), tokenize=False))

    def count(self, row: Row, reply: str) -> TokenCount:
        """Return the tokens of the row with this reply, without touching a frame."""
        ids, view = self._ids(self.text(row, reply)), self._views[row.id]
        start, end = self._learnt(ids)
        return TokenCount(len(ids) - view.pads + view.visual_tokens, end - start)

    def batch(self, rows: Sequence[Row], replies: Sequence[str]) -> dict[str, Any]:
        """Return the processor's tensors for the rows, padded on the right, and `completion_mask`, 1 where a token is learnt.

        input_ids, attention_mask, mm_token_type_ids, completion_mask: (rows, longest). Those of pictures stack all rows.
        """
        batch = self._processor(
            text=[self.text(row, reply) for row, reply in zip(rows, replies, strict=True)],
            padding=True,
            padding_side="right",
            return_tensors="pt",
            **self._pictures([self._views[row.id] for row in rows]),
        )
        mask = batch["input_ids"].new_zeros(batch["input_ids"].shape)
        for at, ids in enumerate(batch["input_ids"].tolist()):
            start, end = self._learnt(ids)
            mask[at, start:end] = 1
        return {**batch, "completion_mask": mask}

    def _pictures(self, views: Sequence[View]) -> dict[str, Any]:
        images: list[NDArray[np.uint8]] = []
        videos: list[NDArray[np.uint8]] = []
        for view in views:
            # A copy: torch takes over the memory, and would not know that a mapped file must not be written.
            pixels = np.array(self._pixels(view))
            images += [pixels[block.moment] for block in view.context.blocks if block.kind == "image"]
            videos += [pixels for block in view.context.blocks if block.kind == "video"]
        found: dict[str, Any] = {}
        if images:
            found |= {"images": images, "images_kwargs": _PIXELS}
        if videos:
            metadata = [metadata_of(view) for view in views if view.is_video]
            kwargs = {**_PIXELS, "do_sample_frames": False, "video_metadata": metadata, "cap_pixels_per_frame": False}
            found |= {"videos": videos, "videos_kwargs": kwargs}
        return found

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _learnt(self, ids: Sequence[int]) -> tuple[int, int]:
        # Searched for rather than reckoned: other members of the family put more than one token for a video.
        size = len(self._header)
        starts = [at + size for at in range(len(ids) - size + 1) if list(ids[at : at + size]) == self._header]
        if len(starts) != 1:
            raise InputError(f"The chat template of this model writes the assistant's header {len(starts)} times. It is not one of Qwen2.5-VL.")
        return starts[0], list(ids).index(self._turn_end, starts[0]) + 1


def text_counter(processor: Any) -> Callable[[str], int]:
    """Return a function that counts the tokens of a text as this processor cuts it."""
    return lambda text: len(processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def count_all(encoder: Encoder, rows: Sequence[Row], max_tokens: int) -> list[TokenCount]:
    """Return the tokens of each row, the longer of its two replies for a pair.

    Raises InputError with all rows over `max_tokens`: cutting one could cut the tokens of its pictures.
    """
    counts = [max((encoder.count(row, reply) for reply in replies_of(row)), key=lambda count: count.total) for row in rows]
    long = [f"{row.id}: {count.total} tokens" for row, count in zip(rows, counts, strict=True) if count.total > max_tokens]
    if long:
        shown = "\n".join(long[:20])
        raise InputError(
            f"{len(long)} rows are longer than max_tokens = {max_tokens}, and nothing is ever cut. "
            f"Take fewer frames, a smaller longest side or a budget, raise max_tokens, or leave out the rows.\n{shown}"
        )
    return counts


def replies_of(row: Row) -> tuple[str, ...]:
    """Return the texts that the assistant says in this row: one for SFT, chosen and rejected for DPO."""
    return (row.reply,) if row.rejected is None else (row.reply, row.rejected)


def metadata_of(view: View) -> dict[str, Any]:
    """Return what the processor is told of a video: the true time of each frame, and as rate the mean distance between them.

    Qwen2.5-VL is given one number of seconds a pair of frames, so of uneven distances it learns the mean.
    """
    times_s = [moment.time_s for moment in view.context.moments]
    step_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else view.stretch.length_s
    return {
        "total_num_frames": round(len(times_s) * step_s * _TICKS),
        "fps": float(_TICKS),
        "duration": view.stretch.length_s,
        "frames_indices": [round(time_s * _TICKS) for time_s in times_s],
        "width": view.stretch.width,
        "height": view.stretch.height,
    }


def _part(block: Block) -> dict[str, Any]:
    return {"type": "text", "text": block.text} if block.kind == "text" else {"type": block.kind}
