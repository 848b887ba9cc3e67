"""Rows to batches: the video stands before the user's words, and only the assistant's words are learnt. Needs a processor, not torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from store.errors import InputError
from training.frames import MAX_PIXELS, MIN_PIXELS, ClipFrames
from training.rows import ClipSpan, Row

ASSISTANT = "<|im_start|>assistant\n"
TURN_END = "<|im_end|>"


@dataclass(frozen=True)
class TokenCount:
    """The length of one row and reply, in tokens."""

    total: int  # those of the video included
    learnt: int  # the assistant's words and the mark that ends them


class Encoder:
    """Turns rows into what Qwen2.5-VL takes; nothing is ever cut."""

    def __init__(self, processor: Any, frames: Mapping[ClipSpan, ClipFrames]) -> None:
        self._processor = processor
        self._frames = frames
        self._header = self._ids(ASSISTANT)
        self._turn_end = self._ids(TURN_END)[0]

    def text(self, row: Row, reply: str) -> str:
        """Return the whole conversation as the chat template writes it, with one mark for the video."""
        turns: list[dict[str, Any]] = []
        for turn in row.prompt:
            first_of_user = turn.role == "user" and all(seen["role"] != "user" for seen in turns)
            video = [{"type": "video"}] if first_of_user else []
            turns.append({"role": turn.role, "content": [*video, {"type": "text", "text": turn.content}]})
        # White space before the first word would melt into the header's line break, and no header would be found.
        turns.append({"role": "assistant", "content": [{"type": "text", "text": reply.strip()}]})
        return str(self._processor.apply_chat_template(turns, tokenize=False))

    def count(self, row: Row, reply: str) -> TokenCount:
        """Return the tokens of the row with this reply, without touching a frame."""
        ids = self._ids(self.text(row, reply))
        start, end = self._learnt(ids)
        return TokenCount(len(ids) - 1 + self._frames[row.clip].tokens, end - start)

    def batch(self, rows: Sequence[Row], replies: Sequence[str]) -> dict[str, Any]:
        """Return the processor's tensors for the rows, padded on the right, and `completion_mask`, 1 where a token is learnt.

        input_ids, attention_mask, mm_token_type_ids, completion_mask: (rows, longest). The video's tensors stack all clips.
        """
        clips = [self._frames[row.clip] for row in rows]
        batch = self._processor(
            text=[self.text(row, reply) for row, reply in zip(rows, replies, strict=True)],
            # Copies: torch takes over the memory, and would not know that a mapped file must not be written.
            videos=[np.array(clip.pixels()) for clip in clips],
            padding=True,
            padding_side="right",
            return_tensors="pt",
            videos_kwargs={
                "do_sample_frames": False,
                "video_metadata": [_metadata(clip) for clip in clips],
                "size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
                "cap_pixels_per_frame": False,
            },
        )
        mask = batch["input_ids"].new_zeros(batch["input_ids"].shape)
        for at, ids in enumerate(batch["input_ids"].tolist()):
            start, end = self._learnt(ids)
            mask[at, start:end] = 1
        return {**batch, "completion_mask": mask}

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


def count_all(encoder: Encoder, rows: Sequence[Row], max_tokens: int) -> list[TokenCount]:
    """Return the tokens of each row, the longer of its two replies for a pair.

    Raises InputError with all rows over `max_tokens`: cutting one could cut the video's own tokens.
    """
    counts = [max((encoder.count(row, reply) for reply in replies_of(row)), key=lambda count: count.total) for row in rows]
    long = [f"{row.id}: {count.total} tokens" for row, count in zip(rows, counts, strict=True) if count.total > max_tokens]
    if long:
        shown = "\n".join(long[:20])
        raise InputError(
            f"{len(long)} rows are longer than max_tokens = {max_tokens}, and nothing is ever cut. "
            f"Take fewer frames or a smaller longest side, raise max_tokens, or leave out the rows.\n{shown}"
        )
    return counts


def replies_of(row: Row) -> tuple[str, ...]:
    """Return the texts that the assistant says in this row: one for SFT, chosen and rejected for DPO."""
    return (row.reply,) if row.rejected is None else (row.reply, row.rejected)


def _metadata(clip: ClipFrames) -> dict[str, Any]:
    # The processor reckons seconds between frames from these; our frames stand at equal distances over the span.
    return {
        "total_num_frames": clip.frames,
        "fps": clip.frames / clip.span_s,
        "duration": clip.span_s,
        "frames_indices": list(range(clip.frames)),
        "width": clip.width,
        "height": clip.height,
    }
