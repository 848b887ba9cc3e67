"""What the model is given and which of its parts move. Loads torch, so the tiny model is built once for all tests here."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize  # isort: skip
from transformers.video_utils import VideoMetadata  # isort: skip

from store.errors import InputError, NotFoundError
from tests.training.conftest import Studio, sft_config
from training.context import PRESETS as CONTEXTS
from training.context import ContextPlan, Line
from training.encoding import Encoder, TokenCount, count_all, metadata_of, text_counter
from training.frames import MAX_PIXELS, MIN_PIXELS, TOKEN_SIDE_PX, grid_size, look_at
from training.pictures import pictures_seen
from training.plan import TrainingError
from training.preview import PADS, make_preview, pictures_in, segments_of
from training.rows import Row, RowContext, load_set, planned_rows, texts_of
from training.sft import check_gradients
from training.views import View, views_of

CONFIG = sft_config()


@dataclasses.dataclass(frozen=True)
class Bench:
    """A tiny model in 4 bits with rows to feed it."""

    root: Path
    folder: Path
    model: torch.nn.Module
    processor: object
    rows: tuple[Row, ...]
    pairs: tuple[Row, ...]

    def views(self, plan: ContextPlan) -> dict[str, View]:
        rows = (*self.rows, *self.pairs)
        stretches = look_at(self.root, [row.clip for row in rows], CONFIG.longest_side_px, lambda done: None)
        return views_of(rows, stretches, plan, text_counter(self.processor))

    def encoder_of(self, plan: ContextPlan) -> Encoder:
        return Encoder(self.processor, self.views(plan), lambda view: pictures_seen(self.root, view, plan))

    @cached_property
    def encoder(self) -> Encoder:
        return self.encoder_of(CONFIG.context_plan())


LINES = (Line(0.1, 0.4, "Look, a bar!"), Line(0.9, 1.2, "It moves — «fast» 🐢"), Line(1.1, 1.3, "assistant\nno"))
PLANS = {
    "video": ContextPlan(frames=4),
    "video with lines": ContextPlan(frames=4, max_lines=9, hint=True),
    "interleaved": replace(CONTEXTS["train-16"], frames=3),
    "block": ContextPlan(layout="block", frames=2, keyframe="last", hint=True, max_lines=2),
    "pooled": ContextPlan(layout="interleaved", frames=3, pooling="BBLF", window_s=0.4, max_lines=9, pause_causal=True),
    "povqa": replace(CONTEXTS["povqa"], frames=2),
    "budget": ContextPlan(layout="interleaved", frames=8, max_lines=9, budget_tokens=120),
    "words alone": ContextPlan(layout="block", frames=0),
}


@pytest.fixture(scope="module")
def bench(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root, folder = shared_studio.data, tmp_path_factory.mktemp("tiny")
    rows, pairs = (load_set(root / shared_studio.sets[stage].directory).rows for stage in ("sft", "dpo"))
    rows, pairs = (tuple(dataclasses.replace(row, context=RowContext(LINES, pause_s=1.3)) for row in one) for one in (rows, pairs))
    models.build_tiny(folder, texts_of(rows), seed=1)
    processor = models.load_processor(str(folder))
    model = models.load_model(str(folder), "nf4").eval()
    return Bench(root, folder, model, processor, rows, pairs)


def decoded(bench: Bench, ids: "torch.Tensor") -> str:
    return bench.processor.tokenizer.decode(ids)  # type: ignore[attr-defined]


def test_only_the_assistants_words_and_their_end_are_learnt(bench: Bench) -> None:
    rows = bench.rows[:3]
    batch = bench.encoder.batch(rows, [row.reply for row in rows])
    for at, row in enumerate(rows):
        learnt = batch["input_ids"][at][batch["completion_mask"][at] == 1]
        assert decoded(bench, learnt) == row.reply + "<|im_end|>"


def test_the_video_stands_before_the_users_words(bench: Bench) -> None:
    row = bench.rows[0]
    text = bench.encoder.text(row, row.reply)
    assert text.index("<|vision_start|><|video_pad|><|vision_end|>") < text.index(row.prompt[0].content) < text.index(row.reply)
    assert text.count("<|video_pad|>") == 1


def test_padding_is_never_learnt_and_never_looked_at(bench: Bench) -> None:
    batch = bench.encoder.batch([bench.rows[0], bench.rows[0]], ["short", bench.rows[0].reply])
    padding = batch["attention_mask"] == 0
    assert padding[0].any() and not padding[1].any()
    assert not batch["completion_mask"][padding].any()


@pytest.mark.parametrize("reply", ["\n\n  spaced out  \n", "emoji 🐢 עברית", "two\nlines", "assistant\nassistant"])
def test_counted_tokens_are_those_of_the_batch(bench: Bench, reply: str) -> None:
    for row in bench.rows[:2]:
        batch, count = bench.encoder.batch([row], [reply]), bench.encoder.count(row, reply)
        assert count.total == batch["input_ids"].shape[1]
        assert count.learnt == int(batch["completion_mask"].sum())
        assert decoded(bench, batch["input_ids"][0][batch["completion_mask"][0] == 1]) == reply.strip() + "<|im_end|>"


@pytest.mark.parametrize("name", PLANS)
def test_counted_tokens_are_those_of_the_batch_in_every_layout(bench: Bench, name: str) -> None:
    encoder, views = bench.encoder_of(PLANS[name]), bench.views(PLANS[name])
    for row in bench.rows[:2]:
        batch, count, view = encoder.batch([row], [row.reply]), encoder.count(row, row.reply), views[row.id]
        assert (count.total, count.learnt) == (batch["input_ids"].shape[1], int(batch["completion_mask"].sum()))
        assert decoded(bench, batch["input_ids"][0][batch["completion_mask"][0] == 1]) == row.reply + "<|im_end|>"
        pads = sum(bench.processor.tokenizer.convert_tokens_to_ids(pad) == batch["input_ids"] for pad in PADS)  # type: ignore[attr-defined]
        assert int(pads.sum()) == view.visual_tokens
        assert PLANS[name].budget_tokens is None or view.context.tokens <= PLANS[name].budget_tokens
        said = "".join(block.text for block in view.context.blocks)
        assert said.endswith(row.prompt[0].content) or PLANS[name].candidates == "povqa"
    assert bool(view.visual_tokens) == (name != "words alone")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 3), (3, 200), (90, 1), (57, 33)])
@pytest.mark.parametrize("name", ["video", "block"])
def test_pictures_of_every_size_are_counted_as_the_processor_cuts_them(bench: Bench, name: str, width: int, height: int) -> None:
    row, view = bench.rows[0], bench.views(PLANS[name])[bench.rows[0].id]
    small = View(replace(view.stretch, width=width, height=height), view.context)
    pixels = np.random.default_rng(1).integers(0, 255, (len(view.context.moments), height, width, 3), np.uint8)
    encoder = Encoder(bench.processor, {row.id: small}, lambda seen: pixels)
    batch = encoder.batch([row], [row.reply])
    assert encoder.count(row, row.reply).total == batch["input_ids"].shape[1]
    assert {picture.shape for picture in pictures_in(batch, bench.processor.image_processor)} == {(*grid_size(height, width), 3)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["interleaved", "block", "pooled"])
def test_our_batch_of_pictures_is_what_the_processor_makes_of_the_same_messages(bench: Bench, name: str) -> None:
    encoder, views = bench.encoder_of(PLANS[name]), bench.views(PLANS[name])
    rows = bench.rows[:2]
    pictures = [Image.fromarray(one) for row in rows for one in pictures_seen(bench.root, views[row.id], PLANS[name])]
    plain = bench.processor(  # type: ignore[operator]
        text=[bench.processor.apply_chat_template(encoder.messages(row, row.reply), tokenize=False) for row in rows],  # type: ignore[attr-defined]
        images=pictures,
        images_kwargs={"size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}},
        padding=True,
        padding_side="right",
        return_tensors="pt",
    )
    ours = encoder.batch(rows, [row.reply for row in rows])
    del ours["completion_mask"]
    assert set(ours) == set(plain) and {"pixel_values", "image_grid_thw", "mm_token_type_ids"} <= set(ours)
    assert all(torch.equal(ours[key], plain[key]) for key in plain), "input_ids and pixel_values among them"
    if name == "block":  # its pictures are the fewest: attention over many small ones takes seconds here
        with torch.no_grad():
            assert torch.equal(bench.model(**ours).logits, bench.model(**plain).logits)
            swapped = {**ours, "pixel_values": ours["pixel_values"].flip(0)}
            assert not torch.equal(bench.model(**swapped).logits, bench.model(**plain).logits), "the control: pictures do reach the model"


def test_our_batch_of_a_video_says_to_the_model_what_the_processor_alone_would_say(bench: Bench) -> None:
    """Parity: a key that is dropped on the way, such as the seconds between frames, would change the logits."""
    row, plan = bench.rows[1], PLANS["video"]
    frames = pictures_seen(bench.root, bench.views(plan)[row.id], plan)
    plain = bench.processor(  # type: ignore[operator]
        text=[bench.encoder.text(row, row.reply)],
        videos=[frames.copy()],
        videos_kwargs={
            "video_metadata": [{"total_num_frames": 4, "fps": 4 / 1.5, "frames_indices": list(range(4))}],
            "do_sample_frames": False,
            "size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
        },
        return_tensors="pt",
    )
    ours = bench.encoder.batch([row], [row.reply])
    mask = ours.pop("completion_mask")
    assert set(ours) == set(plain)
    assert {"mm_token_type_ids", "second_per_grid_ts", "pixel_values_videos", "video_grid_thw"} <= set(ours)
    # Two frames a grid step, four frames over a span of one second and a half.
    assert float(torch.as_tensor(ours["second_per_grid_ts"])[0]) == pytest.approx(2 * 1.5 / 4)
    with torch.no_grad():
        assert torch.equal(bench.model(**ours).logits, bench.model(**plain).logits)
        faster = {**ours, "second_per_grid_ts": torch.tensor([5.0])}
        assert not torch.equal(bench.model(**faster).logits, bench.model(**plain).logits), "the control: time does reach the model"
    assert mask.shape == ours["input_ids"].shape


def test_the_processor_is_told_the_true_time_of_each_frame_of_a_video(bench: Bench) -> None:
    row, plan = bench.rows[1], ContextPlan(frames=2, selection="near_ts", window_s=0.3)
    view = bench.views(plan)[row.id]
    told = VideoMetadata(**metadata_of(view))
    assert [moment.time_s for moment in view.context.moments] == pytest.approx([1.05, 1.35])
    assert told.timestamps == pytest.approx([1.05, 1.35])
    assert 1 / told.sampled_fps == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["video", "block", "pooled"])
def test_the_preview_takes_the_very_pictures_back_out_of_the_batch(bench: Bench, name: str) -> None:
    row, plan = bench.rows[0], PLANS[name]
    view = bench.views(plan)[row.id]
    exact = View(replace(view.stretch, width=84, height=56), view.context)
    encoder = Encoder(bench.processor, {row.id: exact}, lambda seen: pictures_seen(bench.root, seen, plan))
    found = pictures_in(encoder.batch([row], [row.reply]), bench.processor.image_processor)  # type: ignore[attr-defined]
    true = pictures_seen(bench.root, exact, plan)
    assert len(found) == len(true) and all(np.array_equal(one, other) for one, other in zip(found, true, strict=True)), "84 x 56 is a grid: nothing is resized"
    resized = pictures_in(bench.encoder_of(plan).batch([row], [row.reply]), bench.processor.image_processor)  # type: ignore[attr-defined]
    assert {picture.shape[:2] for picture in resized} == {grid_size(view.stretch.height, view.stretch.width)}


def test_the_segments_of_a_preview_are_the_text_and_only_the_reply_is_learnt(bench: Bench) -> None:
    row, encoder = bench.rows[0], bench.encoder_of(PLANS["interleaved"])
    batch = encoder.batch([row], [row.reply])
    segments = segments_of(*told(batch), bench.processor.tokenizer)  # type: ignore[attr-defined]
    assert [segment.text for segment in segments if segment.learnt] == [row.reply + "<|im_end|>"]
    assert sum(segment.tokens for segment in segments) == batch["input_ids"].shape[1]
    view = bench.views(PLANS["interleaved"])[row.id]
    assert len({segment.tokens for segment in segments if segment.is_picture}) == 1
    assert sum(segment.is_picture for segment in segments) == len(view.context.moments) == 4, "three frames and the one at the pause"
    marked = "".join("<|image_pad|>" if segment.is_picture else segment.text for segment in segments)
    assert marked == encoder.text(row, row.reply)
    assert all(line.text in marked.replace("\n", " ") or "\n" in line.text for line in LINES)


def test_the_preview_tells_the_very_tokens_that_the_run_will_count(bench: Bench, shared_studio: Studio, tmp_path: Path) -> None:
    """The app asks another process for it; here the same function is called beside the parts of a run."""
    frozen = load_set(shared_studio.data / shared_studio.sets["sft"].directory)
    config = sft_config(layout="interleaved", frames=3)
    train, held_out = planned_rows(frozen.rows, config)
    models.build_tiny(tmp_path, texts_of((*train, *held_out)), config.seed)
    processor, plan = models.load_processor(str(tmp_path)), config.context_plan()
    stretches = look_at(bench.root, [row.clip for row in frozen.rows], config.longest_side_px, lambda done: None)
    encoder = Encoder(processor, views_of(frozen.rows, stretches, plan, text_counter(processor)), lambda view: pictures_seen(bench.root, view, plan))
    for row in (train[0], held_out[0]):
        preview = make_preview(bench.root, frozen, row, config)
        (side,) = preview.sides
        assert TokenCount(side.total, side.learnt) == encoder.count(row, row.reply)
        assert side.segments == segments_of(*told(encoder.batch([row], [row.reply])), processor.tokenizer)
        assert not preview.notes and len(preview.pictures) == 3


def told(batch: dict) -> tuple[list[int], list[int]]:
    return batch["input_ids"][0].tolist(), batch["completion_mask"][0].tolist()


def test_rows_over_the_limit_are_all_named_and_nothing_is_cut(bench: Bench) -> None:
    pairs = [dataclasses.replace(row, rejected="no " * 10 * number + "nothing") for number, row in enumerate(bench.pairs)]
    counts = count_all(bench.encoder, pairs, 10_000)
    assert [count.total for count in counts] == [max(bench.encoder.count(row, text).total for text in (row.reply, row.rejected)) for row in pairs]
    limit = sorted(count.total for count in counts)[-3]
    with pytest.raises(InputError, match="rows are longer than max_tokens") as refused:
        count_all(bench.encoder, pairs, limit)
    named = {row.id for row in pairs if f"{row.id}:" in str(refused.value)}
    assert named == {row.id for row, count in zip(pairs, counts, strict=True) if count.total > limit} and len(named) == 2


def test_only_language_layers_are_in_four_bits_and_adapted(bench: Bench) -> None:
    import bitsandbytes as bnb

    four_bits = {name for name, layer in bench.model.named_modules() if isinstance(layer, bnb.nn.Linear4bit)}
    assert len(four_bits) == 14 and all(".language_model." in name for name in four_bits)
    assert bench.model.is_loaded_in_4bit
    lora, layers = models.lora_config(bench.model, CONFIG)
    assert layers == 14
    suffixes_only = dataclasses.replace(lora, target_modules=["gate_proj", "up_proj", "down_proj"])
    from peft import get_peft_model

    plain = models.Qwen2_5_VLForConditionalGeneration.from_pretrained(bench.folder)
    adapted = [name for name, _ in get_peft_model(plain, suffixes_only).named_modules() if name.endswith("lora_A")]
    assert any("visual" in name for name in adapted), "the control: by suffix alone the vision tower is hit"


def test_a_model_without_language_layers_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to adapt"):
        models.lora_config(torch.nn.Sequential(torch.nn.Linear(2, 2)), CONFIG)


def test_another_kind_of_model_and_a_missing_one_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library read the environment at its import, before the test could set it.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="is a llama"):
        models.load_model(str(tmp_path), "none")
    with pytest.raises(NotFoundError, match="could not be loaded"):
        models.load_model(str(tmp_path / "none"), "none")
    with pytest.raises(NotFoundError, match="connect this machine"):
        models.load_model("no-such-organisation/no-such-model", "nf4")


def test_a_frozen_tensor_that_moves_is_seen() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[0].requires_grad_(False)
    before = models.frozen_sums(model)
    with torch.no_grad():
        model[1].weight += 1
    assert models.frozen_sums(model) == before, "a trainable one may move"
    with torch.no_grad():
        model[0].weight[0, 0] += 1e-3
    assert [name for name, total in models.frozen_sums(model).items() if before[name] != total] == ["0.weight"]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [(lambda layer: setattr(layer.weight, "grad", None), "no gradient"), (lambda layer: layer.weight.grad.fill_(float("nan")), "not finite")],
)
def test_a_trainable_tensor_without_a_finite_gradient_ends_the_run(spoil: Callable[[torch.nn.Module], None], word: str) -> None:
    layer = torch.nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    check_gradients(layer)
    spoil(layer)
    with pytest.raises(TrainingError, match=word):
        check_gradients(layer)


def test_tokens_are_counted_by_the_rule_of_the_models_own_processor() -> None:
    generator = torch.Generator().manual_seed(1)
    for height, width in torch.randint(8, 4000, (500, 2), generator=generator).tolist():
        if max(height, width) <= 200 * min(height, width):
            theirs = smart_resize(height, width, factor=TOKEN_SIDE_PX, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
            assert grid_size(height, width) == theirs


@pytest.mark.gpu
def test_on_a_gpu_the_model_lies_on_it(bench: Bench) -> None:
    assert torch.cuda.is_available()
    assert {parameter.device.type for parameter in bench.model.parameters()} == {"cuda"}
