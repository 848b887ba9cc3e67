"""What a run will take, reckoned before it starts: the sizes of the models, the tokens of the rows, memory and time."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from store.errors import InputError
from store.records import Media
from store.rows import utc_now
from tests.training.conftest import sft_config
from training.config import RunConfig
from training.estimate import (
    HEAD_TOKENS,
    NF4_BYTES,
    OVERHEAD_BYTES,
    VARYING,
    Correction,
    Estimate,
    Machine,
    correction_from,
    estimate,
    machine_of,
    memory_parts,
)
from training.rows import ClipSpan, Message, Row, RowContext
from training.shapes import KNOWN, TINY, ModelShape, shape_from, shape_of
from training.workload import Pass, count_by_words, epoch_tokens, packs_of, passes_of, row_tokens, tokenizer_of, workload_of

DIGEST = "0" * 64
GPU = Machine("a GPU", "cuda", 24 * 2**30, 24 * 2**30)


def built(shape: ModelShape) -> tuple[int, dict]:
    """Return parameters and config of the real class with these sizes, built without memory."""
    import torch

    from training import tiny  # noqa: F401  first: it repairs torchvision, which the next import needs
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLForConditionalGeneration  # isort: skip

    seen, text = shape.vision, {
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied,
    }  # fmt: skip
    vision = {"depth": seen.depth, "hidden_size": seen.width, "intermediate_size": seen.intermediate, "num_heads": seen.heads, "out_hidden_size": seen.out}
    if shape.family == "qwen2_5_vl":
        config = Qwen2_5_VLConfig(text_config=text, vision_config={**vision, "window_size": seen.window_px}, tie_word_embeddings=shape.tied)
        kind = Qwen2_5_VLForConditionalGeneration
    else:
        vision |= {"patch_size": seen.patch_px, "num_position_embeddings": seen.positions, "deepstack_visual_indexes": list(range(seen.deepstack))}
        config = Qwen3VLConfig(text_config={**text, "head_dim": shape.head_width}, vision_config=vision, tie_word_embeddings=shape.tied)
        kind = Qwen3VLForConditionalGeneration
    with torch.device("meta"):
        model = kind(config)
    return sum(tensor.numel() for tensor in model.parameters()), config.to_dict()


@pytest.mark.parametrize("name", [*KNOWN, *TINY])
def test_a_models_parameters_are_those_of_the_real_class_with_its_numbers(name: str) -> None:
    shape = shape_of(name)
    parameters, config = built(shape)
    assert shape.parameters == parameters
    again = shape_from(config, shape.source)
    assert again.parameters == parameters and (again.linears, again.vision.deepstack) == (shape.linears, shape.vision.deepstack)


def media_of(width: int | None, height: int | None, seconds: float = 3600.0) -> dict[str, Media]:
    return {DIGEST: Media(DIGEST, "a.mp4", 1, "mp4", "h264", None, width, height, 0, seconds, round(24 * seconds), True, None, "ok", None, utc_now())}


def rows_of(clips: Sequence[tuple[int, int]], words: int = 20) -> list[Row]:
    """Return rows about clips, each given as (rows, seconds)."""
    made, start_s = [], 0.0
    for clip, (count, seconds) in enumerate(clips):
        span = ClipSpan(f"clip-{clip}", DIGEST, start_s, start_s + seconds)
        start_s += seconds
        prompt = (Message("user", "What happens here?"),)
        made += [Row(f"row-{clip}-{number}", "train", "answer", span, prompt, " ".join(["word"] * words), None) for number in range(count)]
    return made


def config_of(**changes: Any) -> RunConfig:
    return sft_config(
        **{
            "model": "Qwen/Qwen2.5-VL-3B-Instruct",
            "frames": 16,
            "longest_side_px": 448,
            "packing": "none",
            "max_steps": 0,
            "epochs": 1,
            "accumulation": 16,
            **changes,
        }
    )


def reckoned(config: RunConfig, clips: Sequence[tuple[int, int]] = ((8, 20),), correction: Correction | None = None, words: int = 20) -> Estimate:
    load = workload_of(rows_of(clips, words), config, media_of(1920, 1080))
    return estimate(shape_of(config.model), config, load, GPU, correction)


def bytes_by_name(made: Estimate) -> dict[str, int]:
    return {part.name: part.bytes for part in made.parts}


def test_weights_take_what_their_numbers_say() -> None:
    four, sixteen = bytes_by_name(reckoned(config_of(quantisation="nf4"))), bytes_by_name(reckoned(config_of(quantisation="none")))
    weights = ("language model", "embedding and head", "vision tower")
    assert sum(sixteen[name] for name in weights) == 2 * 3_754_622_976
    assert four["vision tower"] == sixteen["vision tower"] and four["embedding and head"] == sixteen["embedding and head"], "never quantised"
    assert four["language model"] / sixteen["language model"] == pytest.approx(NF4_BYTES / 2, rel=1e-3)
    assert sixteen["adapter and optimiser"] == shape_of("Qwen/Qwen2.5-VL-3B-Instruct").lora_parameters(config_of().lora_rank) * 16


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 60), st.sampled_from([112, 224, 448]), st.integers(1, 32), st.sampled_from(["none", "clip"]))
def test_more_of_anything_never_takes_less(rows: int, words: int, side: int, frames: int, packing: str) -> None:
    config = config_of(frames=2 * frames, longest_side_px=side, packing=packing, pack_rows=8)
    clips = ((rows, 30), (1, 30))
    now = reckoned(config, clips, words=words)
    more = [
        reckoned(replace(config, frames=config.frames + 2), clips, words=words),
        reckoned(replace(config, longest_side_px=side + 28), clips, words=words),
        reckoned(replace(config, batch_size=2), clips, words=words),
        reckoned(replace(config, lora_rank=config.lora_rank * 2), clips, words=words),
        reckoned(replace(config, pack_rows=16), clips, words=words),
        reckoned(config, clips, words=words + 5),
        reckoned(replace(config, model="Qwen/Qwen2.5-VL-7B-Instruct"), clips, words=words),
    ]
    assert all(one.bytes >= now.bytes for one in more)
    assert now.packed_tokens <= now.separate_tokens
    assert now.source == "formula" and not now.run_s.known and "probe" in now.run_s.source, "no figure of time is invented"


def test_without_gradient_checkpointing_every_layer_keeps_what_it_worked_with() -> None:
    shape, one = shape_of("Qwen/Qwen2.5-VL-3B-Instruct"), Pass(1, 1452, 1152, 60, ("row",))
    with_it, without = (sum(part.bytes for part in memory_parts(shape, config_of(), one, "cuda", checkpointing)) for checkpointing in (True, False))
    assert without > with_it + 30 * 1452 * 8 * shape.intermediate


def live_bytes(model: Any, work: Callable[[], Any]) -> int:
    """Return the most bytes that tensors made by `work` took at once; the model's own do not count."""
    import torch
    from torch.multiprocessing.reductions import StorageWeakRef
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    own = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}

    class Counting(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.live: dict[int, tuple[Any, int]] = {}
            self.most = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for storage in (leaf.untyped_storage() for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)):
                if storage.data_ptr() not in own:
                    self.live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
            self.live = {at: one for at, one in self.live.items() if not one[0].expired()}
            self.most = max(self.most, sum(size for _, size in self.live.values()))
            return made

    with Counting() as counting, torch.autocast("cpu", dtype=torch.bfloat16):
        work()
    return counting.most


def small(family: str) -> tuple[ModelShape, Any]:
    """Return a model of the real class, a few layers wide enough that what it keeps counts, and its sizes."""
    import torch

    from training import tiny  # noqa: F401  first
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLForConditionalGeneration  # isort: skip

    text = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 500}
    vision = {"depth": 2, "hidden_size": 320, "intermediate_size": 855, "num_heads": 4, "out_hidden_size": 256}
    torch.set_default_dtype(torch.bfloat16)
    try:
        if family == "qwen2_5_vl":
            config = Qwen2_5_VLConfig(text_config=text, vision_config={**vision, "fullatt_block_indexes": [1]})
            model = Qwen2_5_VLForConditionalGeneration(config)
        else:
            config = Qwen3VLConfig(text_config={**text, "head_dim": 128}, vision_config={**vision, "deepstack_visual_indexes": [0]})
            model = Qwen3VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(torch.float32)
    return shape_from(config.to_dict(), "small"), model.requires_grad_(False)


@pytest.mark.parametrize(("family", "checkpointing", "dropout"), [("qwen2_5_vl", True, 0.05), ("qwen2_5_vl", False, 0.0), ("qwen3_vl", True, 0.0)])
def test_activations_are_those_that_the_real_class_holds(family: str, checkpointing: bool, dropout: float) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    shape, model = small(family)
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    targets = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    model = get_peft_model(model, LoraConfig(r=4, lora_dropout=dropout, target_modules=targets)).train()
    language, tokens = model.base_model.model.model.language_model, 768
    entered = torch.zeros(1, tokens, 256, dtype=torch.bfloat16, requires_grad=True)
    places = torch.arange(tokens)[None, None].expand(3, 1, tokens)

    def work() -> None:
        language(inputs_embeds=entered, position_ids=places, use_cache=False).last_hidden_state[:, -8:].float().sum().backward()

    config = config_of(lora_dropout=dropout, quantisation="none")
    told = {part.name: part.bytes for part in memory_parts(shape, config, Pass(1, tokens, 0, 0, ("row",)), "cpu", checkpointing)}
    assert told["activations"] == pytest.approx(live_bytes(model, work), rel=0.08)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_the_vision_tower_holds_what_the_formula_says(family: str) -> None:
    import torch

    shape, model = small(family)
    tokens = 4 * 9 * 16
    pixels = torch.zeros(4 * tokens, 3 * 2 * shape.vision.patch_px**2)

    def work() -> None:
        with torch.no_grad():
            model.model.visual(pixels.to(torch.bfloat16), grid_thw=torch.tensor([[4, 18, 32]]))

    told = {part.name: part.bytes for part in memory_parts(shape, config_of(), Pass(1, tokens, tokens, 0, ("row",)), "cpu")}
    assert told["vision tower at work"] - pixels.nbytes == pytest.approx(live_bytes(model, work), rel=0.08)


def test_the_head_does_as_many_tokens_at_a_time_as_the_formula_says() -> None:
    from training import forward

    assert forward.HEAD_TOKENS == HEAD_TOKENS


def test_tokens_of_an_epoch_add_up_packed_and_separate() -> None:
    rows = row_tokens(rows_of(((8, 20), (1, 20))), config_of(), media_of(1920, 1080), count_by_words)
    separate, packed = epoch_tokens(rows, config_of(pack_rows=16))
    shared = rows[0].shared
    assert rows[0].visual == 8 * 16 * 9, "8 pairs of frames of 448 x 252 pixels"
    assert separate == sum(row.shared + row.branches[0] for row in rows)
    assert separate - packed == 7 * shared, "the video of the first clip stands there once instead of eight times"
    assert epoch_tokens(rows, config_of(pack_rows=1)) == (separate, separate)
    assert epoch_tokens(rows, config_of(pack_rows=4))[1] == packed + shared
    assert epoch_tokens(rows, config_of(max_tokens=rows[0].longest)) == (separate, separate), "no pack is longer than a row may be"


def test_rows_with_other_pictures_are_not_packed_together() -> None:
    told = config_of(layout="interleaved", keyframe="in_order")
    rows = [replace(row, context=RowContext((), 1.0 + number % 2, None)) for number, row in enumerate(rows_of(((4, 20),)))]
    packs = packs_of(row_tokens(rows, told, media_of(1920, 1080), count_by_words), told)
    assert sorted(len(pack) for pack in packs) == [2, 2], "two moments of pause, two sets of pictures"


def test_a_pair_has_two_conversations_and_one_reference() -> None:
    rows = [replace(row, rejected="Nothing at all happens.") for row in rows_of(((2, 20),))]
    config = replace(config_of(), stage="dpo", parent_run="r", beta=0.1, loss_types=("sigmoid",), loss_weights=(1.0,))
    (first, _) = passes_of(row_tokens(rows, config, media_of(1920, 1080), count_by_words), config)
    assert (first.sequences, first.visual) == (2, 2 * 1152)
    answers = [replace(row, kind="rationale", reply=f"{row.reply} Final answer: left", rejected="No. Final answer: right") for row in rows]
    (pair, _) = row_tokens(answers, replace(config, scored="final_answer"), media_of(1920, 1080), count_by_words)
    assert pair.learnt == (2, 2) and min(pair.branches) > 5, "only the words behind it bear the loss"
    dpo, sft = (bytes_by_name(estimate(shape_of(one.model), one, workload_of(rows, one, media_of(1920, 1080)), GPU)) for one in (config, config_of()))
    assert dpo["adapter and optimiser"] > sft["adapter and optimiser"]


def test_of_many_rows_whole_clips_are_counted_and_the_whole_is_told_from_their_share() -> None:
    rows = rows_of(((600, 20),) * 5)
    config = config_of(packing="clip", pack_rows=10)
    load = workload_of(rows, config, media_of(1920, 1080))
    assert (len(load.rows), load.all_rows, load.share) == (1800, 3000, 0.6) and "1,800 of 3,000 rows" in load.said
    made = estimate(shape_of(config.model), config, load, GPU)
    assert made.steps == -(-300 // 2), "16 rows a step are 1.6 packs of 10, so 2"
    all_of_it = epoch_tokens(row_tokens(rows, config, media_of(1920, 1080), count_by_words), config)
    assert (made.separate_tokens, made.packed_tokens) == pytest.approx(all_of_it, rel=1e-3)


def test_a_limit_of_learnt_tokens_leaves_rows_out() -> None:
    rows, media = rows_of(((40, 20),)), media_of(1920, 1080)
    each = row_tokens(rows[:1], config_of(), media, count_by_words)[0].learnt[0]
    load = workload_of(rows, config_of(max_learnt_tokens=10 * each + 1), media)
    assert (len(load.rows), load.all_rows) == (10, 10)
    assert len(workload_of(rows, config_of(max_learnt_tokens=0), media).rows) == 40, "the control"
    many = rows_of(((600, 20),) * 5)
    assert workload_of(many, config_of(max_learnt_tokens=2400 * each), media).all_rows == 2400, "more than were counted"


def test_words_are_counted_by_the_models_tokenizer_where_there_is_one(tmp_path: Path) -> None:
    assert tokenizer_of(str(tmp_path)) is None and "estimated from words" in workload_of(rows_of(((1, 20),)), config_of(), media_of(64, 48)).said
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(["word"], trainers.WordLevelTrainer(special_tokens=["[UNK]"]))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    count = tokenizer_of(str(tmp_path))
    assert count is not None and (count("word word word"), count_by_words("word word word")) == (3, 4)


def test_what_a_probe_measured_comes_out_again_and_moves_only_what_a_formula_can_miss() -> None:
    config = config_of()
    shape, plain = shape_of(config.model), reckoned(config)
    correction = correction_from(shape, config, plain.longest, "cuda", (plain.bytes - OVERHEAD_BYTES["cuda"] + 3 * 10**9, 2.5, 2))
    probed = reckoned(config, correction=correction)
    assert probed.bytes == pytest.approx(plain.bytes + 3 * 10**9, rel=1e-6) and probed.source == "probe"
    assert probed.pass_s.value == pytest.approx(2.5) and probed.pass_s.source == "probe"
    fixed = [name for name in bytes_by_name(plain) if name not in VARYING["cuda"]]
    assert all(bytes_by_name(probed)[name] == bytes_by_name(plain)[name] for name in fixed)
    double = reckoned(replace(config, epochs=2, validation_rows=0), correction=correction)
    once = reckoned(replace(config, validation_rows=0), correction=correction)
    assert double.run_s.value == pytest.approx(2 * once.run_s.value)  # type: ignore[operator]


def test_sizes_that_are_not_known_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sizes of no-such/model are not known"):
        shape_of("no-such/model")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match="a llama"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl", "vision_config": {}, "hidden_size": 4}))
    with pytest.raises(InputError, match="lacks 'num_attention_heads'"):
        shape_of(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        shape_of(str(tmp_path))


def test_the_device_is_the_gpu_with_the_most_room_and_the_tiny_model_stays_on_the_cpu_without_one() -> None:
    gpus = (("full", 10, 1), ("free", 8, 7))
    assert machine_of(gpus, (5, 4)).name == "free" and machine_of((), (5, 4)) == Machine("cpu", "cpu", 5, 4)
