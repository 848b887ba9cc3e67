"""One pass through the model, for SFT, DPO and evaluation alike: packs of a clip's items, pictures encoded once, log-probabilities where wanted.

Of a batch the model's own keys are passed on, and `vision.*`, what its frozen tower made of the pictures, in place of the pixels.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from training.context import ContextPlan
from training.encoding import Encoder, replies_of
from training.features import FeatureCache
from training.packing import Item, Pack, pack, pack_key
from training.rows import Row

Batch = dict[str, torch.Tensor]

# Tokens that go through the language head at once: with 152,000 words each takes 0.6 MB, and as much again for its gradient.
HEAD_TOKENS = 512
_WORDS = ("input_ids", "attention_mask", "mm_token_type_ids", "completion_mask")
_GRIDS = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")
_PIXELS = {"image": "pixel_values", "video": "pixel_values_videos"}


def base_of(model: Any) -> Any:
    """Return the model itself, out of what PEFT has wrapped around it; the adapters stay in its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def on(inputs: Mapping[str, torch.Tensor], device: Any) -> Batch:
    """Return the inputs on a device."""
    return {name: torch.as_tensor(value).to(device) for name, value in inputs.items()}


def item_of(batch: Mapping[str, torch.Tensor], model: Any) -> Item:
    """Return the one row of a batch with its `completion_mask`, positioned as the model would do it."""
    grids = {name: torch.as_tensor(batch[name]) for name in _GRIDS if name in batch}
    positions, _ = base_of(model).model.get_rope_index(batch["input_ids"], mm_token_type_ids=batch["mm_token_type_ids"], **grids)
    ids, learnt, types = (batch[name][0].numpy() for name in ("input_ids", "completion_mask", "mm_token_type_ids"))
    return Item(ids, learnt.astype(bool), positions[:, 0].numpy(), types)


def packed_batch(packed: Pack, like: Mapping[str, torch.Tensor], model: Any) -> Batch:
    """Return the model's inputs for a pack, its pictures taken from `like`, a batch that shows them once.

    input_ids: (1, T); position_ids: (3, 1, T); attention_mask: (1, 1, T, T), 0 where a token sees another and the least number elsewhere.
    """
    dtype = base_of(model).get_input_embeddings().weight.dtype
    unseen = torch.from_numpy(~packed.mask())[None, None]
    return {
        "input_ids": torch.from_numpy(packed.ids)[None],
        "position_ids": torch.from_numpy(packed.positions)[:, None],
        "attention_mask": torch.zeros(unseen.shape, dtype=dtype).masked_fill_(unseen, torch.finfo(dtype).min),
        **{name: value for name, value in like.items() if name not in _WORDS},
    }


def wanted_of(packed: Pack) -> torch.Tensor:
    """Return (1, T): the tokens that the loss is about."""
    return torch.from_numpy(packed.learnt)[None]


def token_scores(model: Any, inputs: Mapping[str, Any], wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the log-probability of each wanted token given those before it, and whether it was the likeliest: (n,) float32, (n,) bool.

    inputs: (rows, T); wanted: (rows, T), nowhere a row's first token. The language head sees only what foretells a wanted token, and with
    gradients its logits are made again on the way back, so that no more than HEAD_TOKENS rows of them ever exist.
    """
    base = base_of(model)
    rows, at = wanted.nonzero(as_tuple=True)
    hidden = base.model(**_as_model_takes(inputs), use_cache=False).last_hidden_state[rows, at - 1]
    targets = inputs["input_ids"][rows, at]
    parts = list(zip(hidden.split(HEAD_TOKENS), targets.split(HEAD_TOKENS), strict=True))
    if torch.is_grad_enabled() and len(parts) > 1:
        scored = [checkpoint(_scored, base.lm_head, *part, use_reentrant=False) for part in parts]
    else:
        scored = [_scored(base.lm_head, *part) for part in parts]
    logps, likeliest = zip(*scored, strict=True)
    return torch.cat(logps), torch.cat(likeliest)


def token_logps(model: Any, inputs: Mapping[str, Any], wanted: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of each wanted token, row by row: (n,) float32."""
    return token_scores(model, inputs, wanted)[0]


def logps_by_branch(model: Any, inputs: Mapping[str, Any], packed: Pack) -> list[torch.Tensor]:
    """Return the log-probabilities of the learnt tokens of each item, in their order."""
    wanted = wanted_of(packed).to(inputs["input_ids"].device)
    logps = token_logps(model, inputs, wanted)
    branches = torch.from_numpy(packed.branch[packed.learnt]).to(logps.device)
    return [logps[branches == number] for number in range(packed.items)]


def text_loss(model: Any, clips: "ClipEncoder", row: Row, reply: str) -> float:
    """Return the mean loss of a row with this reply by itself, without dropout; the model is left as it was."""
    with quiet(model):
        inputs = on(clips.plain([row], [reply]), _device(model))
        return -float(token_logps(model, inputs, inputs["completion_mask"] != 0).mean())


def pack_differences(model: Any, clips: "ClipEncoder", rows: Sequence[Row], most: int) -> list[tuple[float, float]]:
    """Return by how much the mean loss of a text in the pack of all differs from that of the text by itself, for the first `most` texts.

    Of a pair both texts are in the pack. The second figure of each is the same where every text sees those before it: what a model that
    ignores the mask would give.
    """
    texts = [(row, reply) for row in rows for reply in replies_of(row)]
    with quiet(model):
        packed, inputs = clips.packed([row for row, _ in texts], [reply for _, reply in texts])
        inputs = on(inputs, _device(model))
        leaking = {name: value for name, value in inputs.items() if name != "attention_mask"}
        together, leaked = ([-float(logps.mean()) for logps in logps_by_branch(model, given, packed)] for given in (inputs, leaking))
    alone = [text_loss(model, clips, *text) for text in texts[:most]]
    return [(abs(one - loss), abs(other - loss)) for one, other, loss in zip(together, leaked, alone, strict=False)]


def _device(model: Any) -> torch.device:
    return base_of(model).get_input_embeddings().weight.device


@contextmanager
def quiet(model: Any) -> Iterator[None]:
    """Switch dropout and gradients off for a while."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


class ClipEncoder:
    """Turns rows into what the model takes: the rows of a clip as a pack, or each row by itself; with `vision`, features for pixels."""

    def __init__(self, encoder: Encoder, model: Any, vision: "Vision | None" = None) -> None:
        self._encoder = encoder
        self._model = model
        self._vision = vision

    def packed(self, rows: Sequence[Row], replies: Sequence[str]) -> tuple[Pack, Batch]:
        """Return the rows with these replies as one sequence; the pictures of the first are read, and stand for all.

        The rows must have one `pack_key`. Raises what `pack` raises.
        """
        head = self._head(rows[0], replies[0])
        items = [item_of(self._whole(head, row, reply), self._model) for row, reply in zip(rows, replies, strict=True)]
        packed = pack(items)
        return packed, packed_batch(packed, head, self._model)

    def plain(self, rows: Sequence[Row], replies: Sequence[str]) -> Batch:
        """Return the rows with these replies side by side, as the model's own processor makes them."""
        return self._encoder.batch(rows, replies)

    def batch(self, rows: Sequence[Row], replies: Sequence[str]) -> Batch:
        """Return the rows with these replies side by side, padded on the right, as `Encoder.batch` does."""
        if self._vision is None:
            return self.plain(rows, replies)
        heads = [self._head(row, reply) for row, reply in zip(rows, replies, strict=True)]
        return _stacked([self._whole(*one) for one in zip(heads, rows, replies, strict=True)])

    def _head(self, row: Row, reply: str) -> Batch:
        """Return the words up to the end of the last picture, (1, h), with grids and pixels or features."""
        if self._vision is None:
            return self._read(row, reply)
        key = pack_key(self._encoder.text(row, reply), self._encoder.view(row))
        return self._vision.head(key, lambda: self._read(row, reply))

    def _read(self, row: Row, reply: str) -> Batch:
        batch = {name: torch.as_tensor(value) for name, value in self._encoder.one(row, reply).items() if name not in ("attention_mask", "completion_mask")}
        stop = batch["input_ids"].shape[1] - len(self._encoder.tail(row, reply)[0])
        return batch | {name: batch[name][:, :stop] for name in ("input_ids", "mm_token_type_ids")}

    def _whole(self, head: Batch, row: Row, reply: str) -> Batch:
        """Return the batch of one row: the head, then what the row alone says."""
        ids, learnt = self._encoder.tail(row, reply)
        size = head["input_ids"].shape[1]
        return {
            **head,
            "input_ids": torch.cat([head["input_ids"], torch.tensor([ids])], dim=1),
            "mm_token_type_ids": torch.nn.functional.pad(head["mm_token_type_ids"], (0, len(ids))),
            "completion_mask": torch.tensor([[False] * size + learnt]).long(),
            "attention_mask": torch.ones(1, size + len(ids), dtype=torch.long),
        }


class Vision:
    """What the frozen tower makes of pictures, kept on disk; it stands in for the tower only while nothing in it learns."""

    def __init__(self, model: Any, cache: FeatureCache, processor: Any, plan: ContextPlan) -> None:
        """Reads the weights of the tower once, for their digest; `processor` cuts the pictures, the plan tells how they were made."""
        self._model = base_of(model)
        self._cache = cache
        self._made_by = f"{tower_digest(self._model)} {_settings(processor)} {plan!r}"

    def head(self, key: str | None, read: Callable[[], Batch]) -> Batch:
        """Return what `read` does, with features in place of pixels; when they are kept under the key, no picture is read."""
        if key is None:
            return read()
        name = hashlib.sha256(f"{key} {self._made_by}".encode()).hexdigest()
        found = self._cache.get(name)
        if found is None:
            fresh = read()
            found = {name: value for name, value in fresh.items() if name not in _PIXELS.values()} | self._seen(fresh)
            self._cache.put(name, found)
        return found

    def _seen(self, batch: Batch) -> Batch:
        """Return `vision.*`: what the tower gives to the language model and, for Qwen3-VL, into the first of its layers."""
        found: Batch = {}
        tower = self._model.model.visual
        device, dtype = tower.device, tower.dtype
        # As in a training step, where the libraries choose the type of some sums.
        with torch.no_grad(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            for kind, pixels in _PIXELS.items():
                if pixels in batch:
                    see = getattr(self._model.model, f"get_{kind}_features")
                    seen = see(batch[pixels].to(device), batch[f"{kind}_grid_thw"].to(device), return_dict=True)
                    found[f"vision.{kind}"] = torch.cat(seen.pooler_output).cpu()
                    for depth, layer in enumerate(getattr(seen, "deepstack_features", None) or ()):
                        found[f"vision.{kind}.{depth}"] = torch.cat(layer).cpu()
        return found


def tower_digest(model: Any) -> str:
    """Return the hash of all weights of the vision tower; a second for 1.3 GB."""
    told = hashlib.sha256()
    for name, tensor in sorted(base_of(model).model.visual.state_dict().items()):
        told.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        told.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return told.hexdigest()


def _settings(processor: Any) -> str:
    parts = [getattr(processor, name, None) for name in ("image_processor", "video_processor")]
    return json.dumps([part.to_dict() for part in parts if part is not None], sort_keys=True, default=str)


def _as_model_takes(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs without what is ours, features in the form in which the model takes them."""
    ours = ("completion_mask", "labels")
    kinds = [kind for kind in _PIXELS if f"vision.{kind}" in inputs]
    taken = {name: value for name, value in inputs.items() if name not in ours and not name.startswith("vision.")}
    if kinds:
        taken["mm_encoder_outputs"] = {kind: _features(inputs, f"vision.{kind}") for kind in kinds}
    return taken


def _features(inputs: Mapping[str, torch.Tensor], name: str) -> SimpleNamespace:
    layers = sorted((other for other in inputs if other.startswith(f"{name}.")), key=lambda other: int(other.rsplit(".", 1)[1]))
    return SimpleNamespace(pooler_output=(inputs[name],), deepstack_features=[(inputs[layer],) for layer in layers])


def _stacked(wholes: list[Batch]) -> Batch:
    """Return batches of one row as one batch."""
    longest = max(whole["input_ids"].shape[1] for whole in wholes)

    def padded(whole: Batch, name: str) -> torch.Tensor:
        # A word of the row itself stands in the padding: nobody looks at it, and it is none of the pictures' marks.
        fill = int(whole["input_ids"][0, -1]) if name == "input_ids" else 0
        return torch.nn.functional.pad(whole[name], (0, longest - whole[name].shape[1]), value=fill)

    words = {name: torch.cat([padded(whole, name) for whole in wholes]) for name in _WORDS}
    others = {name for whole in wholes for name in whole if name not in _WORDS}
    return words | {name: torch.cat([whole[name] for whole in wholes if name in whole]) for name in sorted(others)}


def _scored(head: Any, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    logits = head(hidden).float()
    return -cross_entropy(logits, targets, reduction="none"), logits.detach().argmax(dim=-1) == targets
