"""Rows to batches: pictures and words as the builder laid them out, of which only the assistant's words are learnt. Needs a processor, not torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from training.context import Block
from training.families import MARKS, PAIR, TICKS, VIDEO_PAD, Family, ticks_of
from training.preferences import unscored
from training.rows import Row
from training.views import View

ASSISTANT = "<|im_start|>assistant\n"
TURN_END = "<|im_end|>"
PADS = ("<|image_pad|>", VIDEO_PAD)


@dataclass(frozen=True)
class TokenCount:
    """The length of one row and reply, in tokens."""

    total: int  # those of the pictures included
    learnt: int  # the assistant's words and the mark that ends them


class Encoder:
    """Turns rows into what a model of their views' family takes; nothing is ever cut."""

    def __init__(self, processor: Any, views: Mapping[str, View], pixels: Callable[[View], NDArray[np.uint8]], scored: str = "reply") -> None:
        """Views by row id; `pixels` returns the pictures of one, (moments, height, width, 3); `scored` as in RunConfig: what of a reply is learnt.

        Raises InputError when the processor cuts pictures otherwise than the views' family: the tokens would be counted wrong.
        """
        self._processor = processor
        self._views = views
        self._pixels = pixels
        self._scored = scored
        self._header = self._ids(ASSISTANT)
        self._turn_end = self._ids(TURN_END)[0]
        self._pads = set(processor.tokenizer.convert_tokens_to_ids(list(PADS)))
        token_px = processor.image_processor.patch_size * processor.image_processor.merge_size
        other = next((view.family for view in views.values() if view.family.token_px != token_px), None)
        if other:
            raise InputError(
                f"This model takes squares of {token_px} pixels for a token and the rows were laid out for {other.title}, which takes {other.token_px}. "
                "A hub id whose name does not tell the family is taken for Qwen2.5-VL: download the model and give its folder."
            )

    def view(self, row: Row) -> View:
        """Return what the model sees of the row."""
        return self._views[row.id]

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
        view = self._views[row.id]
        times_s = [moment.time_s for moment in view.context.moments]
        text = self.text(row, reply)
        ids = self._ids(text.replace(VIDEO_PAD, view.family.video_text(times_s)) if view.is_video else text)
        start, end = self._learnt(ids)
        return TokenCount(len(ids) - sum(token in self._pads for token in ids) + view.visual_tokens, end - start)

    def tail(self, row: Row, reply: str) -> tuple[list[int], list[bool]]:
        """Return the tokens behind the last picture, all of them where there is none, and which of them are learnt.

        The mark that ends a picture ends a word for the tokenizer too, so these are the last tokens of the row's batch.
        """
        ids = self._ids(self.text(row, reply).rpartition(MARKS[1])[2])
        start, end = self._learnt(ids)
        return ids, [start <= at < end for at in range(len(ids))]

    def one(self, row: Row, reply: str) -> dict[str, Any]:
        """Return the batch of this row alone, without padding."""
        return self.batch([row], [reply])

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
            if view.is_video:
                videos.append(np.concatenate([pixels, pixels[-1:]]) if len(pixels) % PAIR else pixels)
        found: dict[str, Any] = {}
        if images:
            found |= {"images": images, "images_kwargs": _limits(views[0].family, video=False)}
        if videos:
            metadata = [metadata_of(view) for view in views if view.is_video]
            kwargs = {"do_sample_frames": False, "video_metadata": metadata, "cap_pixels_per_frame": False}
            found |= {"videos": videos, "videos_kwargs": {**_limits(views[0].family, video=True), **kwargs}}
        return found

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _learnt(self, ids: Sequence[int]) -> tuple[int, int]:
        # Searched for rather than reckoned: other members of the family put more than one token for a video.
        size = len(self._header)
        starts = [at + size for at in range(len(ids) - size + 1) if list(ids[at : at + size]) == self._header]
        if len(starts) != 1:
            raise InputError(f"The chat template of this model writes the assistant's header {len(starts)} times. It is not one of Qwen's.")
        start, end = starts[0], list(ids).index(self._turn_end, starts[0])
        return start + (unscored(self._processor.tokenizer, ids[start:end]) if self._scored == "final_answer" else 0), end + 1


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

    Qwen2.5-VL is given one number of seconds a pair of frames, so of uneven distances it learns the mean; Qwen3-VL reads each pair's time.
    """
    times_s = [moment.time_s for moment in view.context.moments]
    step_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else view.stretch.length_s
    ticks = ticks_of(times_s)
    return {
        "total_num_frames": round(len(ticks) * step_s * TICKS),
        "fps": float(TICKS),
        "duration": view.stretch.length_s,
        "frames_indices": ticks,
        "width": view.stretch.width,
        "height": view.stretch.height,
    }


def _limits(family: Family, video: bool) -> dict[str, Any]:
    low, high = family.limits(video)
    # The format is told because of a picture three pixels high or less the processor would guess another one.
    return {"size": {"shortest_edge": low, "longest_edge": high}, "input_data_format": "channels_last"}


def _part(block: Block) -> dict[str, Any]:
    return {"type": "text", "text": block.text} if block.kind == "text" else {"type": block.kind}
