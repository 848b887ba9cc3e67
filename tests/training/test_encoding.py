"""What the model is given: for each family the very tensors that its own processor makes of the same pictures and words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.bench import LINES, PLANS, Bench, build_bench  # isort: skip  # first: it repairs torchvision before transformers is used
from transformers.video_utils import VideoMetadata  # isort: skip

from store.errors import InputError
from tests.training.conftest import Studio, sft_config
from training.context import ContextPlan
from training.encoding import PADS, Encoder, TokenCount, count_all, metadata_of, text_counter
from training.families import FAMILIES, MARKS, PIPELINES
from training.frames import look_at
from training.model import load_processor
from training.pictures import pictures_seen
from training.preview import make_preview, pictures_in, segments_of
from training.rows import load_set, planned_rows, texts_of
from training.tiny import build_tiny
from training.views import View, views_of


@pytest.fixture(scope="module", params=FAMILIES)
def bench(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Bench:
    return build_bench(shared_studio, tmp_path_factory.mktemp(request.param), request.param)


def learnt_in(batch: dict[str, Any], at: int = 0) -> torch.Tensor:
    return batch["input_ids"][at][batch["completion_mask"][at] == 1]


def test_only_the_assistants_words_and_their_end_are_learnt(bench: Bench) -> None:
    rows = bench.rows[:3]
    batch = bench.encoder.batch(rows, [row.reply for row in rows])
    for at, row in enumerate(rows):
        assert bench.decoded(learnt_in(batch, at)) == row.reply + "<|im_end|>"


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
    alone = bench.encoder.one(bench.rows[0], "short")
    assert alone["attention_mask"].all() and torch.equal(alone["input_ids"][0], batch["input_ids"][0][~padding[0]])


@pytest.mark.parametrize("reply", ["\n\n  spaced out  \n", "emoji 🐢 עברית", "two\nlines", "assistant\nassistant"])
def test_counted_tokens_are_those_of_the_batch(bench: Bench, reply: str) -> None:
    for row in bench.rows[:2]:
        batch, count = bench.encoder.one(row, reply), bench.encoder.count(row, reply)
        assert count.total == batch["input_ids"].shape[1]
        assert count.learnt == int(batch["completion_mask"].sum())
        assert bench.decoded(learnt_in(batch)) == reply.strip() + "<|im_end|>"


@pytest.mark.parametrize("name", PLANS)
def test_counted_tokens_are_those_of_the_batch_in_every_layout(bench: Bench, name: str) -> None:
    encoder, plan = bench.encoder_of(PLANS[name]), PLANS[name]
    for row in bench.rows[:2]:
        batch, count, view = encoder.one(row, row.reply), encoder.count(row, row.reply), encoder.view(row)
        assert (count.total, count.learnt) == (batch["input_ids"].shape[1], int(batch["completion_mask"].sum()))
        assert bench.decoded(learnt_in(batch)) == row.reply + "<|im_end|>"
        pads = sum(bench.processor.tokenizer.convert_tokens_to_ids(pad) == batch["input_ids"] for pad in PADS)
        assert int(pads.sum()) == view.visual_tokens
        # The turn of the user, whole: what stands around it is the same for a row without pictures.
        empty = len(bench.processor.tokenizer("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n\n")["input_ids"])
        assert view.context.tokens == count.total - count.learnt - empty
        assert plan.budget_tokens is None or view.context.tokens <= plan.budget_tokens
        said = "".join(block.text for block in view.context.blocks)
        assert said.endswith(row.prompt[0].content) or plan.candidates == "povqa"
    assert bool(view.visual_tokens) == (name != "words alone")


@pytest.mark.parametrize("name", PLANS)
def test_the_tail_is_what_the_batch_ends_in(bench: Bench, name: str) -> None:
    row, encoder = bench.rows[0], bench.encoder_of(PLANS[name])
    batch, (ids, learnt) = encoder.one(row, row.reply), encoder.tail(row, row.reply)
    assert batch["input_ids"][0].tolist()[-len(ids) :] == ids
    assert batch["completion_mask"][0].bool().tolist()[-len(ids) :] == learnt and batch["completion_mask"].sum() == sum(learnt)
    assert MARKS[1] not in bench.decoded(ids)
    before = bench.decoded(batch["input_ids"][0][: -len(ids)])
    assert before.endswith(MARKS[1]) or (name == "words alone" and not before)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 3), (3, 200), (90, 1), (57, 33)])
@pytest.mark.parametrize("name", ["video", "video of one", "block"])
def test_pictures_of_every_size_are_counted_as_the_processor_cuts_them(bench: Bench, name: str, width: int, height: int) -> None:
    row, view = bench.rows[0], bench.views(PLANS[name])[bench.rows[0].id]
    small = replace(view, stretch=replace(view.stretch, width=width, height=height))
    pixels = np.random.default_rng(1).integers(0, 255, (len(view.context.moments), height, width, 3), np.uint8)
    encoder = Encoder(bench.processor, {row.id: small}, lambda seen: pixels)
    batch = encoder.one(row, row.reply)
    assert encoder.count(row, row.reply).total == batch["input_ids"].shape[1]
    seen = bench.family.grid_size(height, width) if name == "block" else bench.family.video_grid_size(-(-len(pixels) // 2) * 2, height, width)
    assert {picture.shape for picture in pictures_in(batch, bench.processor.image_processor)} == {(*seen, 3)}


@pytest.mark.parametrize("name", ["interleaved", "block", "pooled"])
def test_our_batch_of_pictures_is_what_the_processor_makes_of_the_same_messages(bench: Bench, name: str) -> None:
    encoder, views = bench.encoder_of(PLANS[name]), bench.views(PLANS[name])
    rows = bench.rows[:2]
    pictures = [Image.fromarray(one) for row in rows for one in pictures_seen(bench.root, views[row.id], PLANS[name])]
    texts = [bench.processor.apply_chat_template(encoder.messages(row, row.reply), tokenize=False) for row in rows]
    plain = bench.processor(text=texts, images=pictures, padding=True, padding_side="right", return_tensors="pt")
    ours = encoder.batch(rows, [row.reply for row in rows])
    del ours["completion_mask"]
    assert set(ours) == set(plain) and {"pixel_values", "image_grid_thw", "mm_token_type_ids"} <= set(ours)
    assert all(torch.equal(ours[key], plain[key]) for key in plain), "input_ids and pixel_values among them"
    if name != "pooled":
        said = logits(bench, plain)
        assert torch.equal(logits(bench, ours), said)
        assert not torch.equal(logits(bench, {**ours, "pixel_values": ours["pixel_values"].flip(0)}), said), "the control: pictures do reach the model"


@pytest.mark.parametrize("name", ["video", "video with lines"])
def test_our_batch_of_a_video_says_to_the_model_what_the_processor_alone_would_say(bench: Bench, name: str) -> None:
    """Parity: a key that is dropped on the way, such as the seconds between frames, would change the logits."""
    row, plan = bench.rows[1], PLANS[name]
    encoder = bench.encoder_of(plan)
    # The middles of four parts of 1.5 s are these frames of a film with 16 a second.
    plain = plain_video(bench, encoder, plan, [3, 9, 15, 21], 24)
    ours = encoder.one(row, row.reply)
    mask = ours.pop("completion_mask")
    assert set(ours) == set(plain) and {"mm_token_type_ids", "pixel_values_videos", "video_grid_thw"} <= set(ours)
    assert torch.equal(ours["input_ids"], plain["input_ids"]) and mask.shape == ours["input_ids"].shape
    said = logits(bench, plain)
    assert torch.equal(logits(bench, ours), said)
    late = plain_video(bench, encoder, plan, [4, 12, 20, 28], 32)
    assert late["input_ids"].shape == plain["input_ids"].shape
    assert not torch.equal(logits(bench, late), said), "the control: time does reach the model"


def plain_video(bench: Bench, encoder: Encoder, plan: ContextPlan, indices: list[int], of: int) -> Any:
    """Return what the processor by itself makes of a row's frames, told that they are these of so many, 16 a second."""
    row = bench.rows[1]
    return bench.processor(
        text=[bench.processor.apply_chat_template(encoder.messages(row, row.reply), tokenize=False)],
        videos=[pictures_seen(bench.root, encoder.view(row), plan).copy()],
        videos_kwargs={"video_metadata": [{"total_num_frames": of, "fps": 16.0, "frames_indices": indices}], "do_sample_frames": False},
        return_tensors="pt",
    )


def logits(bench: Bench, batch: Any) -> torch.Tensor:
    with torch.no_grad():
        return bench.model(**batch).logits


def test_the_times_of_a_video_are_said_as_its_family_says_them(bench: Bench) -> None:
    row = bench.rows[1]
    batch = bench.encoder.one(row, row.reply)
    said = bench.decoded(batch["input_ids"][0])
    if bench.family.stamped:
        # 0.375 s and 1.125 s are the middles of the pairs.
        assert said.index("<0.4 seconds>") < said.index("<1.1 seconds>") and said.count(" seconds>") == 2
    else:
        # Two frames a grid step, four frames over a span of one second and a half.
        assert float(torch.as_tensor(batch["second_per_grid_ts"])[0]) == pytest.approx(2 * 1.5 / 4) and " seconds>" not in said


def test_the_processor_is_told_the_true_time_of_each_frame_of_a_video(bench: Bench) -> None:
    row, plan = bench.rows[1], ContextPlan(frames=2, selection="near_ts", window_s=0.3)
    view = bench.views(plan)[row.id]
    told = VideoMetadata(**metadata_of(view))
    assert [moment.time_s for moment in view.context.moments] == pytest.approx([1.05, 1.35])
    assert told.timestamps == pytest.approx([1.05, 1.35])
    assert 1 / told.sampled_fps == pytest.approx(0.3)


def test_where_only_the_answer_is_scored_the_words_before_it_are_read(bench: Bench) -> None:
    row, reply = bench.rows[0], "A bar moves to the right.\nFinal answer: to the right"
    views = bench.views(PLANS["video"])
    encoder = Encoder(bench.processor, views, lambda view: pictures_seen(bench.root, view, PLANS["video"]), "final_answer")
    batch = encoder.one(row, reply)
    assert bench.decoded(learnt_in(batch)).strip() == "to the right<|im_end|>"
    assert encoder.count(row, reply).learnt == sum(encoder.tail(row, reply)[1]) == int(batch["completion_mask"].sum())
    assert bench.encoder.count(row, reply).total == encoder.count(row, reply).total


def test_rows_laid_out_for_another_family_are_refused(bench: Bench) -> None:
    other = next(family for family in FAMILIES.values() if family is not bench.family)
    views = {name: replace(view, family=other) for name, view in bench.views(PLANS["video"]).items()}
    with pytest.raises(InputError, match=f"laid out for {other.title}"):
        Encoder(bench.processor, views, lambda view: np.zeros(0, np.uint8))


@pytest.mark.parametrize("name", ["video", "block", "pooled"])
def test_the_preview_takes_the_very_pictures_back_out_of_the_batch(bench: Bench, name: str) -> None:
    row, plan = bench.rows[0], PLANS[name]
    view = bench.views(plan)[row.id]
    side = bench.family.token_px
    exact = View(replace(view.stretch, width=3 * side, height=2 * side), view.context, bench.family)
    encoder = Encoder(bench.processor, {row.id: exact}, lambda seen: pictures_seen(bench.root, seen, plan))
    found = pictures_in(encoder.one(row, row.reply), bench.processor.image_processor)
    true = pictures_seen(bench.root, exact, plan)
    assert len(found) == len(true) and all(np.array_equal(one, other) for one, other in zip(found, true, strict=True)), "a whole grid: nothing is resized"


def test_the_segments_of_a_preview_are_the_text_and_only_the_reply_is_learnt(bench: Bench) -> None:
    row, encoder = bench.rows[0], bench.encoder_of(PLANS["interleaved"])
    batch = encoder.one(row, row.reply)
    segments = segments_of(batch["input_ids"][0].tolist(), batch["completion_mask"][0].tolist(), bench.processor.tokenizer)
    assert [segment.text for segment in segments if segment.learnt] == [row.reply + "<|im_end|>"]
    assert sum(segment.tokens for segment in segments) == batch["input_ids"].shape[1]
    assert len({segment.tokens for segment in segments if segment.is_picture}) == 1
    assert sum(segment.is_picture for segment in segments) == len(encoder.view(row).context.moments) == 4, "three frames and the one at the pause"
    marked = "".join("<|image_pad|>" if segment.is_picture else segment.text for segment in segments)
    assert marked == encoder.text(row, row.reply)
    assert all(line.text in marked.replace("\n", " ") or "\n" in line.text for line in LINES)


@pytest.mark.parametrize("layout", ["video", "interleaved"])
def test_the_preview_tells_the_very_tokens_that_the_run_will_count(bench: Bench, shared_studio: Studio, tmp_path: Path, layout: str) -> None:
    """The app asks another process for it; here the same function is called beside the parts of a run."""
    frozen = load_set(shared_studio.data / shared_studio.sets["sft"].directory)
    check = {family.name: name for name, family in PIPELINES.items()}[bench.family.name]
    config = sft_config(model=check, layout=layout, frames=4)
    train, held_out = planned_rows(frozen.rows, config)
    build_tiny(tmp_path, texts_of((*train, *held_out)), config.seed, bench.family.name)
    processor, plan = load_processor(str(tmp_path)), config.context_plan()
    stretches = look_at(bench.root, [row.clip for row in frozen.rows], config.longest_side_px, lambda done: None)
    views = views_of(frozen.rows, stretches, plan, text_counter(processor), bench.family)
    encoder = Encoder(processor, views, lambda view: pictures_seen(bench.root, view, plan))
    for row in (train[0], held_out[0]):
        preview = make_preview(bench.root, frozen, row, config)
        (side,) = preview.sides
        batch = encoder.one(row, row.reply)
        assert TokenCount(side.total, side.learnt) == encoder.count(row, row.reply)
        assert side.segments == segments_of(batch["input_ids"][0].tolist(), batch["completion_mask"][0].tolist(), processor.tokenizer)
        assert not preview.notes and len(preview.pictures) == 4


def test_rows_over_the_limit_are_all_named_and_nothing_is_cut(bench: Bench) -> None:
    pairs = [replace(row, rejected="no " * 10 * number + "nothing") for number, row in enumerate(bench.pairs)]
    counts = count_all(bench.encoder, pairs, 10_000)
    assert [count.total for count in counts] == [max(bench.encoder.count(row, text).total for text in (row.reply, row.rejected)) for row in pairs]
    limit = sorted(count.total for count in counts)[-3]
    with pytest.raises(InputError, match="rows are longer than max_tokens") as refused:
        count_all(bench.encoder, pairs, limit)
    named = {row.id for row in pairs if f"{row.id}:" in str(refused.value)}
    assert named == {row.id for row, count in zip(pairs, counts, strict=True) if count.total > limit} and len(named) == 2
