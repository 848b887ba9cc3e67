"""What a writer is shown, by real child processes: the right parts, one decoding for all who ask for a clip, and no harm from a child that dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from curation.synthesis import pictures
from curation.synthesis.children import ChildDied, ChildTooSlow, LineChild
from curation.synthesis.pictures import Shower, full_view
from curation.synthesis.subjects import Subject
from curation.synthesis.writing import Film, LastingError, PassingError, Picture, Words
from store.media_files import keep, media_path
from tests.clips import make_clip, shorten

VIEW = {"frames": 4, "longest_px": 160}
MODULE = "training.showing"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with three clips, the last of them cut off."""
    data = tmp_path_factory.mktemp("pictures") / "data"
    for number in range(3):
        make_clip(data.parent / f"{number}.mp4", seconds=1 + number)
    shorten(data.parent / "2.mp4", 0.5)
    return data


def subject(data: Path, number: int = 0, **changes: object) -> Subject:
    said = {"lines": [[0.1, 0.4, "Look!"]], "pause_s": None, "window_s": None}
    digest = keep(data, data.parent / f"{number}.mp4")
    return replace(Subject("rationale", "clip", "qa", f"clip {number}", "test", digest, 0.0, None, None, said, ()), **changes)  # type: ignore[arg-type]


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if MODULE in child.cmdline()]


@asynccontextmanager
async def showing(data: Path, directory: Path, **changes: float) -> AsyncIterator[Shower]:
    shower = Shower(data, directory, **changes)  # type: ignore[arg-type]
    try:
        yield shower
    finally:
        await shower.close()
        assert not children(), "close() ends them all"


def run(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())  # type: ignore[arg-type]


def test_words_alone_and_a_whole_film_need_no_child(data: Path, tmp_path: Path) -> None:
    async def body() -> None:
        async with showing(data, tmp_path) as shower:
            assert await shower.parts_of(replace(subject(data), digest=None), {}, "Why?", shown="nothing") == ((Words("Why?"),), (), ())
            film = await shower.parts_of(subject(data, start_s=0.5), {}, "Why?", shown="video")
            digest = str(subject(data).digest)
            assert film == ((Film(media_path(data, digest), digest, 0.5, None), Words("Why?")), (), ())
            assert not children()

    run(body)


def test_frames_stand_between_words_and_the_prompt_is_last(data: Path, tmp_path: Path) -> None:
    async def body() -> None:
        async with showing(data, tmp_path) as shower:
            parts, shown_s, dropped = await shower.parts_of(subject(data), VIEW, "Why?")
            files = [part for part in parts if isinstance(part, Picture)]
            assert [part.time_s for part in files] == list(shown_s) and len(shown_s) == 4
            assert all(part.path.is_file() and part.path.parent == tmp_path / "pictures" for part in files)
            assert isinstance(parts[-1], Words) and parts[-1].text.endswith("Why?")
            assert not dropped and any("Look!" in part.text for part in parts if isinstance(part, Words)), "lines are shown by default"
            chatty = subject(data, said={"lines": [[0.1, 0.2, "Oh."], [0.4, 0.5, "Look!"]], "pause_s": None, "window_s": None})
            assert (await shower.parts_of(chatty, {**VIEW, "max_lines": 1}, "Why?")).dropped == (("line", '0.1-0.2 s: "Oh."', "max_lines is 1"),)

    run(body)


def test_a_clip_asked_for_by_many_at_once_is_decoded_by_one_child_and_once(data: Path, tmp_path: Path) -> None:
    async def body() -> None:
        async with showing(data, tmp_path) as shower:
            all_shown = await asyncio.gather(*(shower.parts_of(subject(data), VIEW, f"Why {number}?") for number in range(4)))
            assert len(children()) == 1 and len(list((tmp_path / "pictures").iterdir())) == 4
            assert len({shown.parts[:-1] for shown in all_shown}) == 1
            assert all(part.text.endswith(f"Why {n}?") for n, shown in enumerate(all_shown) if isinstance(part := shown.parts[-1], Words))
            await asyncio.gather(*(shower.parts_of(subject(data, number), VIEW, "Why?") for number in (0, 1)))
            assert len(children()) == 2, "the control: other clips are shown beside each other"

    run(body)


def test_what_cannot_be_shown_is_set_aside_with_a_sentence(data: Path, tmp_path: Path) -> None:
    async def body() -> None:
        async with showing(data, tmp_path) as shower:
            for wrong in (subject(data, digest=None), subject(data, digest="0" * 64), subject(data, 2), subject(data, start_s=50.0)):
                with pytest.raises(LastingError, match=r"\.$") as caught:
                    await shower.parts_of(wrong, VIEW, "Why?")
                assert caught.value.code == "video"
            assert (await shower.parts_of(subject(data), VIEW, "Why?")).shown_s, "the control"

    run(body)


def test_a_child_that_dies_fails_its_item_for_now_and_the_next_one_gets_a_new_child(data: Path, tmp_path: Path) -> None:
    async def body() -> None:
        async with showing(data, tmp_path, children=1) as shower:
            await shower.parts_of(subject(data), VIEW, "Why?")
            (child,) = children()
            child.suspend()
            asking = asyncio.create_task(shower.parts_of(subject(data, 1), VIEW, "Why?"))
            while not shower._idle.empty():
                await asyncio.sleep(0)
            child.kill()
            with pytest.raises(PassingError, match=r"ended with SIGKILL and no answer") as caught:
                await asking
            assert caught.value.code == "showing"
            assert (await shower.parts_of(subject(data, 1), VIEW, "Why?")).shown_s

    run(body)


def test_a_child_that_hangs_is_ended_and_its_clip_set_aside(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_LATER_S", 0.0)

    async def body() -> None:
        async with showing(data, tmp_path, children=1) as shower:
            await shower.parts_of(subject(data), VIEW, "Why?")
            (child,) = children()
            child.suspend()  # as a read from a dead file server would
            shower._takes_s = 0.2
            with pytest.raises(LastingError, match=r"took longer than 0\.2 s and was ended") as caught:
                await shower.parts_of(subject(data, 1), VIEW, "Why?")
            assert caught.value.code == "video" and not child.is_running()

    run(body)


def test_the_answer_to_somebody_who_was_cancelled_goes_to_nobody_else(data: Path, tmp_path: Path) -> None:
    async def body() -> None:
        child = LineChild((MODULE, str(tmp_path)), "It")
        request = {"media": "/nowhere", "digest": "", "start_s": 0, "end_s": None, "said": {}, "prompt": "", "view": full_view({})}
        assert "/nowhere" in (await child.ask(request, 30.0))["problem"]
        children()[0].suspend()
        asking = asyncio.create_task(child.ask({**request, "media": "/first"}, 30.0))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        children()[0].resume()
        assert "/second" in (await child.ask({**request, "media": "/second"}, 30.0))["problem"]
        await child.end()

    run(body)


def test_how_a_child_died_is_told_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(ChildDied, match=r"It ended with code 1 and no answer\. .*No module named store\.nowhere"):
            await LineChild(("store.nowhere",), "It").ask({}, 30.0)
        os.mkfifo(tmp_path / "hangs")
        asked = {"media": str(tmp_path / "hangs"), "digest": "", "start_s": 0, "end_s": None, "said": {}, "prompt": "?", "view": full_view({})}
        with pytest.raises(ChildTooSlow, match="ended itself"):
            await LineChild((MODULE, str(tmp_path), "--seconds", "0.3"), "It").ask(asked, 30.0)
        assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL, "its alarm is its own"

    run(body)


def test_a_view_is_whole_and_keeps_what_was_chosen() -> None:
    assert full_view({"frames": 3}) == {**pictures.DEFAULT_VIEW, "frames": 3}
