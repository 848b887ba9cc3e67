"""What a writer is shown of a clip, as parts of a question: frames by child processes that build the context of training, or the film itself."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from curation.synthesis.children import ChildDied, ChildTooSlow, LineChild
from curation.synthesis.subjects import Subject
from curation.synthesis.writing import Film, LastingError, Part, PassingError, Picture, Words
from store.media_files import media_path

# Enough pictures to tell what follows on what, small enough for hundreds of clips: fields of the context builder's plan, and the longest side.
DEFAULT_VIEW: Mapping[str, Any] = MappingProxyType({"layout": "interleaved", "frames": 16, "longest_px": 448, "max_lines": 64})
# A file of 2 GB is read through once in seconds: what takes this long is damaged, or lies on a dead file server.
TAKES_S = 300.0
_LATER_S = 10.0  # the child ends itself first, so that it does so without us too


class Shown(NamedTuple):
    """What is shown of a clip."""

    parts: tuple[Part, ...]  # the prompt at their end
    shown_s: tuple[float, ...]  # when each picture was, in seconds from the start of what is shown; none of a film, which shows all moments
    dropped: tuple[tuple[str, str, str], ...]  # what was asked for and is not shown: kind, which one, reason


def full_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return the view with the default for whatever it leaves out."""
    return {**DEFAULT_VIEW, **view}


class Shower:
    """A few processes that show clips, each started when it is needed. Pictures lie in pictures/ of the directory of the run."""

    def __init__(self, data: Path, directory: Path, children: int = 2, takes_s: float = TAKES_S) -> None:
        """`takes_s`: seconds that one clip may take."""
        self._data, self._takes_s = data, takes_s
        arguments = ("training.showing", str((directory / "pictures").resolve()), "--seconds", str(takes_s))
        self._children = [LineChild(arguments, "The program that reads the video") for _ in range(children)]
        self._idle: asyncio.LifoQueue[LineChild] = asyncio.LifoQueue()
        for child in self._children:
            self._idle.put_nowait(child)
        self._turns: WeakValueDictionary[tuple[Any, ...], asyncio.Lock] = WeakValueDictionary()

    async def parts_of(self, subject: Subject, view: Mapping[str, Any], prompt: str, shown: str = "frames") -> Shown:
        """Return what is shown of the subject's clip, and the prompt behind it; `shown` as in Arm: "nothing", "frames" or "video".

        Raises LastingError when nothing can be shown, PassingError when the process that shows it ends.
        Cost: 0.2 s a clip to decode it; whoever asks for it again, soon after or at once, gets the same files within milliseconds.
        """
        if shown == "nothing":
            return Shown((Words(prompt),), (), ())
        media = self._media_of(subject)
        if shown == "video":
            return Shown((Film(media, str(subject.digest), subject.start_s, subject.end_s), Words(prompt)), (), ())
        clip = {"media": str(media.resolve()), "digest": subject.digest, "start_s": subject.start_s, "end_s": subject.end_s}
        request = {**clip, "said": dict(subject.said), "prompt": prompt, "view": full_view(view)}
        # Equal clips come in a row: the first decodes, and the others find its pictures.
        async with self._turns.setdefault(tuple(clip.values()), asyncio.Lock()):
            answer = await self._ask(request)
        if "problem" in answer:
            raise LastingError(answer["problem"], "video")
        parts = tuple(Words(part["words"]) if "words" in part else Picture(Path(part["picture"]), part["time_s"]) for part in answer["parts"])
        return Shown(parts, tuple(answer["shown_s"]), tuple((kind, what, reason) for kind, what, reason in answer["dropped"]))

    async def close(self) -> None:
        """End the processes."""
        for child in self._children:
            await child.end()

    async def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        child = await self._idle.get()
        try:
            return await child.ask(request, self._takes_s + _LATER_S)
        except ChildDied as error:
            raise PassingError(str(error), "showing") from error
        except ChildTooSlow as error:
            raise LastingError(f"{error} Convert the video, or leave its clips out.", "video") from error
        finally:
            self._idle.put_nowait(child)

    def _media_of(self, subject: Subject) -> Path:
        media = None if subject.digest is None else media_path(self._data, subject.digest)
        if media is None or not media.is_file():
            raise LastingError(f"The video of {subject.name} is not here, so nothing of it can be shown. Add it, or show nothing.", "video")
        return media
