"""A pack through the model: each item's loss and gradient as if it stood alone, for both families, for a video and for pictures between lines."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from peft import get_peft_model  # isort: skip
from trl.trainer.utils import add_fused_lm_head  # isort: skip

from tests.training.bench import CONFIG, PLANS, Bench, build_bench
from tests.training.conftest import Studio
from training import forward
from training.context import ContextPlan
from training.encoding import Encoder, text_counter
from training.features import FeatureCache
from training.forward import Batch, ClipEncoder, Vision, base_of, logps_by_branch, pack_differences, text_loss, token_logps, token_scores, tower_digest
from training.frames import look_at
from training.packing import Pack
from training.pictures import pictures_seen
from training.rows import Message, Row
from training.views import View, views_of

SAME_LOSS, SAME_GRADIENT = 2e-6, 1e-5
LAYOUTS = ("video", "interleaved")
REPLIES = ("It moves.", "The bar moves to the right, slowly — «fast» 🐢.", "No.", "It moves to the left.")


@dataclass(frozen=True)
class Clip:
    """A tiny model in float32 whose adapter is no longer nothing, and four questions about one clip."""

    bench: Bench
    model: Any
    rows: list[Row]
    blind: bool = False

    def encoder(self, layout: str) -> Encoder:
        plan = PLANS[layout]
        stretches = look_at(self.bench.root, [self.rows[0].clip], CONFIG.longest_side_px, lambda done: None)
        views = views_of(self.rows, stretches, plan, text_counter(self.bench.processor), self.bench.family)
        return Encoder(self.bench.processor, views, lambda view: self.seen(view, plan))

    def seen(self, view: View, plan: ContextPlan) -> NDArray[np.uint8]:
        assert not self.blind, "a picture is read"
        return pictures_seen(self.bench.root, view, plan)

    def clips(self, layout: str = "video", vision: Vision | None = None) -> ClipEncoder:
        return ClipEncoder(self.encoder(layout), self.model, vision)

    def vision(self, folder: Path, layout: str = "video") -> Vision:
        return Vision(self.model, FeatureCache(folder, 10**9), self.bench.processor, PLANS[layout])

    def packed(self, layout: str = "video", vision: Vision | None = None) -> tuple[Pack, Batch]:
        return self.clips(layout, vision).packed(self.rows, [row.reply for row in self.rows])

    def alone(self, row: Row, layout: str = "video") -> tuple[Batch, torch.Tensor]:
        batch = self.clips(layout).plain([row], [row.reply])
        return batch, batch["completion_mask"] != 0

    def losses_alone(self, layout: str = "video") -> list[float]:
        with torch.no_grad():
            return [-float(token_logps(self.model, *self.alone(row, layout)).mean()) for row in self.rows]

    def gradients(self, work: Callable[[], None]) -> torch.Tensor:
        self.model.zero_grad()
        work()
        found = torch.cat([tensor.grad.flatten() for tensor in self.model.parameters() if tensor.requires_grad])
        self.model.zero_grad()
        return found


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def clip(request: pytest.FixtureRequest, shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    bench = build_bench(shared_studio, tmp_path_factory.mktemp("tiny"), request.param)
    base = models.load_model(str(bench.folder), "none").float()
    model = get_peft_model(base, models.lora_config(base, CONFIG)[0]).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(tensor, 0, 0.05, generator=torch.Generator().manual_seed(1))
    asked = [Message("user", f"What happens at number {number}?") for number in range(4)]
    rows = [replace(bench.rows[0], id=f"q{number}", prompt=(one,), reply=REPLIES[number]) for number, one in enumerate(asked)]
    return Clip(bench, model, rows)


def losses(found: list[torch.Tensor]) -> list[float]:
    return [-float(logps.detach().mean()) for logps in found]


def worst(ones: list[float], others: list[float]) -> float:
    return max(abs(one - other) for one, other in zip(ones, others, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_losses_and_gradients_of_a_pack_are_those_of_its_items_alone(clip: Clip, layout: str) -> None:
    packed, inputs = clip.packed(layout)
    found: list[torch.Tensor] = []

    def together() -> None:
        found[:] = logps_by_branch(clip.model, inputs, packed)
        (-torch.cat(found).sum()).backward()

    def apart() -> None:
        for row in clip.rows:
            (-token_logps(clip.model, *clip.alone(row, layout)).sum()).backward()

    ours, theirs = clip.gradients(together), clip.gradients(apart)
    assert worst(losses(found), clip.losses_alone(layout)) < SAME_LOSS
    assert float((ours - theirs).norm() / theirs.norm()) < SAME_GRADIENT
    assert inputs["input_ids"].shape[1] < sum(clip.alone(row, layout)[0]["input_ids"].shape[1] for row in clip.rows)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_the_mask_or_with_positions_that_run_on_the_losses_differ(clip: Clip, layout: str) -> None:
    """The control: the test above does see what it is about."""
    packed, inputs = clip.packed(layout)
    seeing_all = {name: value for name, value in inputs.items() if name != "attention_mask"}
    running = inputs["position_ids"].clone()
    size = running.shape[-1] - packed.prefix
    running[..., packed.prefix :] = running[..., : packed.prefix].max() + 1 + torch.arange(size)
    for spoilt in (seeing_all, {**inputs, "position_ids": running}):
        with torch.no_grad():
            assert worst(losses(logps_by_branch(clip.model, spoilt, packed)), clip.losses_alone(layout)) > 50 * SAME_LOSS


def test_log_probabilities_are_those_of_a_softmax_over_the_plain_logits_in_float64(clip: Clip) -> None:
    batch, wanted = clip.alone(clip.rows[1])
    with torch.no_grad():
        logits = clip.model(**{name: value for name, value in batch.items() if name != "completion_mask"}).logits.double()
        logps, likeliest = token_scores(clip.model, batch, wanted)
    at = wanted[0].nonzero()[:, 0]
    told = logits[0, at - 1].log_softmax(-1)
    assert torch.allclose(logps.double(), told.gather(1, batch["input_ids"][0, at][:, None])[:, 0], atol=1e-5)
    assert torch.equal(likeliest, told.argmax(-1) == batch["input_ids"][0, at])


def test_log_probabilities_and_gradients_are_those_of_trls_own_head(clip: Clip) -> None:
    batch = clip.clips().batch(clip.rows, [row.reply for row in clip.rows])
    wanted = batch["completion_mask"] != 0
    model = models.load_model(str(clip.bench.folder), "none").float()
    add_fused_lm_head(model)
    labels = batch["input_ids"].masked_fill(~wanted, -100)
    theirs = model(**{name: value for name, value in batch.items() if name != "completion_mask"}, labels=labels, fused_lm_head=True)
    with torch.no_grad():
        assert torch.allclose(token_logps(model, batch, wanted), theirs.log_probs[theirs.label_mask], atol=1e-5)


def test_many_wanted_tokens_are_scored_in_parts_with_the_same_gradients(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    packed, inputs = clip.packed()

    def work() -> None:
        torch.cat(logps_by_branch(clip.model, inputs, packed)).sum().backward()

    whole = clip.gradients(work)
    monkeypatch.setattr(forward, "HEAD_TOKENS", 7)
    assert torch.allclose(clip.gradients(work), whole, rtol=1e-4, atol=1e-6)


def test_the_self_check_tells_a_right_pack_from_one_that_leaks(clip: Clip) -> None:
    found = pack_differences(clip.model, clip.clips(), clip.rows, 3)
    assert len(found) == 3
    assert all(difference < SAME_LOSS for difference, _ in found)
    assert found[0][1] < SAME_LOSS < 100 * SAME_LOSS < max(leak for _, leak in found), "the first row has none before it"


def test_the_loss_of_a_row_is_told_without_dropout_and_leaves_the_model_as_it_was(clip: Clip) -> None:
    clip.model.train()
    try:
        one, other = (text_loss(clip.model, clip.clips(), clip.rows[1], REPLIES[1]) for _ in range(2))
        assert clip.model.training and one == other
    finally:
        clip.model.eval()
    assert one == pytest.approx(clip.losses_alone()[1], abs=SAME_LOSS)


# ---- features in place of pixels


@pytest.mark.parametrize("layout", LAYOUTS)
def test_with_kept_features_the_losses_are_the_same_and_no_picture_is_read_again(clip: Clip, layout: str, tmp_path: Path) -> None:
    expected = clip.losses_alone(layout)
    fresh, inputs = clip.packed(layout, clip.vision(tmp_path, layout))
    assert not {"pixel_values", "pixel_values_videos"} & set(inputs)
    blind = replace(clip, blind=True)
    with pytest.raises(AssertionError, match="a picture is read"):
        blind.packed(layout)
    again, kept = blind.packed(layout, clip.vision(tmp_path, layout))
    with torch.no_grad():
        for packed, given in ((fresh, inputs), (again, kept)):
            assert worst(losses(logps_by_branch(clip.model, given, packed)), expected) < SAME_LOSS
        side_by_side = blind.clips(layout, clip.vision(tmp_path, layout)).batch(clip.rows, [row.reply for row in clip.rows])
        wanted = side_by_side["completion_mask"] != 0
        assert token_logps(clip.model, side_by_side, wanted).mean() == pytest.approx(
            float(torch.cat(logps_by_branch(clip.model, kept, again)).mean()), abs=10 * SAME_LOSS
        )


def test_other_weights_another_processor_another_plan_and_another_clip_find_no_features_of_this_one(clip: Clip, tmp_path: Path) -> None:
    clip.packed("video", clip.vision(tmp_path))
    blind = replace(clip, blind=True)
    blind.packed("video", clip.vision(tmp_path))

    def misses(rows: list[Row], vision: Vision) -> None:
        with pytest.raises(AssertionError, match="a picture is read"):
            replace(blind, rows=rows).packed("video", vision)

    cache = FeatureCache(tmp_path, 10**9)
    misses(clip.rows, Vision(clip.model, cache, clip.bench.processor, replace(PLANS["video"], pooling="WA")))
    misses(clip.rows, Vision(clip.model, cache, SimpleNamespace(image_processor=None, video_processor=None), PLANS["video"]))
    other = next(row.clip for row in clip.bench.rows if row.clip.digest != clip.rows[0].clip.digest)
    misses([replace(row, clip=other) for row in clip.rows], clip.vision(tmp_path))
    tower = base_of(clip.model).model.visual
    before = tower_digest(clip.model)
    with torch.no_grad():
        weight = next(tower.parameters())
        weight[0] += 1e-3
        assert tower_digest(clip.model) != before
        misses(clip.rows, clip.vision(tmp_path))
