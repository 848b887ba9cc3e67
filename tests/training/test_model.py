"""What the model is given and which of its parts move. Loads torch, so the tiny model is built once for all tests here."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize  # isort: skip

from store.errors import InputError, NotFoundError
from tests.training.conftest import Studio, sft_config
from training.encoding import Encoder, count_all
from training.frames import MAX_PIXELS, MIN_PIXELS, TOKEN_SIDE_PX, decode_all, grid_size
from training.plan import TrainingError
from training.rows import Row, load_set
from training.sft import check_gradients

CONFIG = sft_config()


@dataclasses.dataclass(frozen=True)
class Bench:
    """A tiny model in 4 bits with rows to feed it."""

    folder: Path
    model: torch.nn.Module
    processor: object
    encoder: Encoder
    rows: tuple[Row, ...]
    pairs: tuple[Row, ...]


@pytest.fixture(scope="module")
def bench(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    root, folder = shared_studio.data, tmp_path_factory.mktemp("tiny")
    rows, pairs = (load_set(root / shared_studio.sets[stage].directory).rows for stage in ("sft", "dpo"))
    frames = decode_all(root, [row.clip for row in rows], CONFIG.frames, CONFIG.longest_side_px, lambda done: None)
    models.build_tiny(folder, [text for row in rows for text in (row.prompt[0].content, row.reply)], seed=1)
    processor = models.load_processor(str(folder))
    model = models.load_model(str(folder), "nf4").eval()
    return Bench(folder, model, processor, Encoder(processor, frames), rows, pairs)


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


def test_our_batch_says_to_the_model_what_the_processor_alone_would_say(bench: Bench) -> None:
    """Parity: a key that is dropped on the way, such as the seconds between frames, would change the logits."""
    row = bench.rows[1]
    clip = bench.encoder._frames[row.clip]
    plain = bench.processor(  # type: ignore[operator]
        text=[bench.encoder.text(row, row.reply)],
        videos=[clip.pixels().copy()],
        videos_kwargs={
            "video_metadata": [{"total_num_frames": clip.frames, "fps": clip.frames / 1.5, "frames_indices": list(range(clip.frames))}],
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
