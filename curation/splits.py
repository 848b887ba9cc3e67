"""Which split a clip is in, such that no source video is in two."""

from collections.abc import Sequence

from store.records import Clip

# From the most to the least held out: a video that any clip holds out is held out for all its clips.
SPLITS = ("test", "validation", "train")
HELD_OUT = ("test", "validation")


def held_out_splits(clips: Sequence[Clip]) -> dict[str, str]:
    """Return clip id -> split, such that clips that share a group or a file share the most held-out split among them."""
    split: dict[str, str] = {clip.id: clip.split for clip in clips}
    changed = True
    while changed:
        by_source: dict[tuple[str, str], str] = {}
        for clip in clips:
            for source in _sources(clip):
                by_source[source] = min(by_source.get(source, "train"), split[clip.id], key=SPLITS.index)
        spread = {clip.id: min((by_source[source] for source in _sources(clip)), key=SPLITS.index) for clip in clips}
        changed, split = spread != split, spread
    return split


def _sources(clip: Clip) -> list[tuple[str, str]]:
    return [("group", clip.group_key), *([("file", clip.digest)] if clip.digest else [])]
