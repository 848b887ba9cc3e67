"""A tiny model of each family with rows to feed it, and the layouts in which they are shown."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from tests.training.conftest import Studio, sft_config
from training.context import PRESETS as CONTEXTS
from training.context import ContextPlan, Line
from training.encoding import Encoder, text_counter
from training.families import FAMILIES, Family
from training.frames import look_at
from training.pictures import pictures_seen
from training.rows import Row, RowContext, load_set, texts_of
from training.tiny import build_tiny
from training.views import View, views_of

CONFIG = sft_config()
LINES = (Line(0.1, 0.4, "Look, a bar!"), Line(0.9, 1.2, "It moves — «fast» 🐢"), Line(1.1, 1.3, "assistant\nno"))
PLANS = {
    "video": ContextPlan(frames=4),
    "video of an odd number": ContextPlan(frames=3),
    "video of one": ContextPlan(frames=1),
    "video with lines": ContextPlan(frames=4, max_lines=9, hint=True),
    "video on a budget": ContextPlan(frames=8, max_lines=9, budget_tokens=120),
    "interleaved": replace(CONTEXTS["train-16"], frames=3),
    "block": ContextPlan(layout="block", frames=2, keyframe="last", hint=True, max_lines=2),
    "pooled": ContextPlan(layout="interleaved", frames=3, pooling="BBLF", window_s=0.4, max_lines=9, pause_causal=True),
    "povqa": replace(CONTEXTS["povqa"], frames=2),
    "budget": ContextPlan(layout="interleaved", frames=8, max_lines=9, budget_tokens=120),
    "words alone": ContextPlan(layout="block", frames=0),
}


@dataclass(frozen=True)
class Bench:
    """A tiny model of a family with rows to feed it."""

    root: Path
    folder: Path
    family: Family
    processor: Any
    rows: tuple[Row, ...]
    pairs: tuple[Row, ...]

    @cached_property
    def model(self) -> Any:
        return models.load_model(str(self.folder), "nf4").eval()

    @cached_property
    def encoder(self) -> Encoder:
        return self.encoder_of(CONFIG.context_plan())

    def views(self, plan: ContextPlan) -> dict[str, View]:
        rows = (*self.rows, *self.pairs)
        stretches = look_at(self.root, [row.clip for row in rows], CONFIG.longest_side_px, lambda done: None)
        return views_of(rows, stretches, plan, text_counter(self.processor), self.family)

    def encoder_of(self, plan: ContextPlan) -> Encoder:
        return Encoder(self.processor, self.views(plan), lambda view: pictures_seen(self.root, view, plan))

    def decoded(self, ids: Any) -> str:
        return self.processor.tokenizer.decode(ids)


def build_bench(studio: Studio, folder: Path, family: str) -> Bench:
    root = studio.data
    rows, pairs = (load_set(root / studio.sets[stage].directory).rows for stage in ("sft", "dpo"))
    rows, pairs = (tuple(replace(row, context=RowContext(LINES, pause_s=1.3)) for row in one) for one in (rows, pairs))
    build_tiny(folder, texts_of(rows), 1, family)
    return Bench(root, folder, FAMILIES[family], models.load_processor(str(folder)), rows, pairs)
