"""How each family cuts pictures into tokens, by the rules of its own processor, and how it is told from a name or a folder."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.families import FAMILIES, MARKS, PAIR, QWEN2_5_VL, QWEN3_VL, TICKS, VIDEO_PAD, Family, family_named, family_of, oblong, ticks_of

sides = st.integers(1, 4000)
families = st.sampled_from(list(FAMILIES.values()))
counts = st.integers(1, 800)


@pytest.fixture(scope="module")
def processors() -> dict[Family, object]:
    # Loads torch; every other test here does without.
    from training.tiny import tiny_processor

    return {family: tiny_processor(["nothing"], name) for name, family in FAMILIES.items()}


@given(families, counts, sides, sides)
def test_tokens_are_counted_as_the_models_own_processor_counts_them(
    processors: dict[Family, object], family: Family, frames: int, height: int, width: int
) -> None:
    """The processors' own functions are asked, with the limits that a batch is made with."""
    processor, patches = processors[family], 4
    for video in (False, True):
        low, high = family.limits(video)
        told = {"min_pixels": low, "max_pixels": high, "size": {"shortest_edge": low, "longest_edge": high}}
        try:
            if video:
                theirs = processor.video_processor.get_num_of_video_patches(frames + frames % 2, height, width, told)  # type: ignore[attr-defined]
            else:
                theirs = processor.image_processor.get_number_of_image_patches(height, width, told)  # type: ignore[attr-defined]
        except ValueError:
            with pytest.raises(InputError, match="200 times longer"):
                family.video_tokens(frames, height, width) if video else family.picture_tokens(height, width)
        else:
            ours = family.video_tokens(frames, height, width) if video else family.picture_tokens(height, width)
            assert ours * patches == theirs


@given(families, st.integers(1, 400), sides, sides)
def test_a_grid_is_of_whole_tokens_within_the_limits(family: Family, pairs: int, height: int, width: int) -> None:
    if oblong(height, width):
        with pytest.raises(InputError, match="Leave this clip out"):
            family.grid_size(height, width)
        return
    rows, columns = family.grid_size(height, width)
    low, high = family.limits(video=False)
    assert rows % family.token_px == columns % family.token_px == 0 and low <= rows * columns <= high
    assert family.picture_tokens(height, width) == rows * columns // family.token_px**2
    assert family.video_tokens(2 * pairs, height, width) == family.video_tokens(2 * pairs - 1, height, width)


@given(sides, sides, st.integers(1, 400))
def test_only_a_family_with_times_limits_all_frames_together(height: int, width: int, pairs: int) -> None:
    if not oblong(height, width):
        assert QWEN2_5_VL.video_tokens(2 * pairs, height, width) == pairs * QWEN2_5_VL.picture_tokens(height, width)
    assert 768 * QWEN3_VL.video_tokens(2, 1080, 1920) > QWEN3_VL.video_tokens(2 * 768, 1080, 1920), "as published: 25,165,824 pixels in all"


def test_published_budgets_are_reproduced() -> None:
    # 16 frames as one video, without the 300 tokens of text: 812 - 300 and 1452 - 300.
    assert QWEN2_5_VL.video_tokens(16, 224, 224) == 512
    assert QWEN2_5_VL.video_tokens(16, 252, 448) == 1152
    # POVQA's pictures of 224 x 224.
    assert QWEN2_5_VL.picture_tokens(224, 224) == 64
    assert QWEN3_VL.picture_tokens(224, 224) == 49


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=20).map(sorted))
def test_every_pair_of_frames_stands_behind_the_middle_of_its_times(times_s: list[float]) -> None:
    stamps = QWEN3_VL.stamps(times_s)
    assert len(stamps) == len(ticks_of(times_s)) // 2 == -(-len(times_s) // 2)
    for stamp, first, last in zip(stamps, times_s[::2], [*times_s[1::2], times_s[-1]], strict=False):
        assert float(stamp.removeprefix("<").removesuffix(" seconds>")) == pytest.approx((first + last) / 2, abs=0.051)
    assert QWEN3_VL.video_text(times_s) == "".join(f"{stamp}{MARKS[0]}{VIDEO_PAD}{MARKS[1]}" for stamp in stamps)
    assert QWEN2_5_VL.stamps(times_s) == [] and QWEN2_5_VL.video_text(times_s) == VIDEO_PAD


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=20).map(sorted))
def test_times_are_said_as_the_models_own_processor_says_them(processors: dict[Family, object], times_s: list[float]) -> None:
    theirs = processors[QWEN3_VL]._calculate_timestamps(ticks_of(times_s), float(TICKS), PAIR)  # type: ignore[attr-defined]
    assert QWEN3_VL.stamps(times_s) == [f"<{time_s:.1f} seconds>" for time_s in theirs]


@pytest.mark.parametrize(
    ("source", "family"),
    [
        ("pipeline-check", QWEN2_5_VL),
        ("pipeline-check-qwen3", QWEN3_VL),
        ("Qwen/Qwen2.5-VL-7B-Instruct", QWEN2_5_VL),
        ("Qwen/Qwen3-VL-4B-Instruct", QWEN3_VL),
        ("somebody/qwen3_vl_8b_povqa", QWEN3_VL),
        ("Qwen3-VL-lovers/another", QWEN2_5_VL),
    ],
)
def test_a_family_is_told_from_a_name(source: str, family: Family) -> None:
    assert family_of(source) is family


def test_the_files_of_a_model_have_the_last_word_over_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Qwen2.5-VL"
    folder.mkdir()
    for kind, family in FAMILIES.items():
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        assert family_of(str(folder)) is family
        # What the hub's cache holds of a model is asked before its name.
        monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda source, name: str(folder / name))
        assert family_of("somebody/Qwen3-VL") is family


@pytest.mark.parametrize("text", ['{"model_type": "llama"}', "{", "[]", '{"model_type": ["a"]}', None])
def test_a_folder_of_no_family_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"only Qwen2\.5-VL and Qwen3-VL|cannot be read"):
        family_of(str(tmp_path))


def test_a_family_is_found_by_its_model_type() -> None:
    assert {family_named(name, "m") for name in FAMILIES} == set(FAMILIES.values())
    with pytest.raises(InputError, match="m is a qwen2_vl, and only"):
        family_named("qwen2_vl", "m")
