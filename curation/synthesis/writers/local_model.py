"""A model on this machine: a base model, or the adapter of a run on it, in a child process that holds it and answers one question at a time."""

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curation.synthesis.children import ChildDied, ChildTooSlow, LineChild
from curation.synthesis.pictures import full_view
from curation.synthesis.plan import WriterSpec
from curation.synthesis.writing import Ask, LastingError, PassingError, Reply, StoppingError
from store.errors import InputError

LOADING_S = 900.0  # 30 GB of weights from a slow disk


class LocalModel:
    """Asks `python -m training.speaking`, which builds what is shown of a clip as it is built in training; the model is loaded by the first question."""

    sees = "clip"

    def __init__(self, spec: WriterSpec, data: Path | None, view: Mapping[str, Any]) -> None:
        """data: where media and runs lie; view: how a base model is shown clips. Raises InputError without a model or data."""
        if data is None or not (spec.model or spec.run_id):
            raise InputError("A local model needs the folder or hub id of a model, or a run whose adapter writes. Give one.")
        self._first = {"data": str(data.resolve()), "model": spec.model, "run": spec.run_id, "quantisation": spec.quantisation}
        self._answer_s, self._view = spec.answer_s, full_view(view)
        self._child = LineChild(("training.speaking",), "The local model")
        self._turn = asyncio.Lock()
        self._writer: str | None = None  # None: not loaded
        self._deaths = 0  # one after the other

    async def write(self, ask: Ask) -> Reply:
        """Return what the model says; who waits for others' answers waits without a limit, and `answer_s` counts from the own turn.

        Raises StoppingError when the model cannot be loaded, PassingError when memory ran out or the process died, LastingError when it died
        again, or the clip cannot be shown.
        """
        async with self._turn:
            try:
                writer = await self._loaded()
                found = await self._child.ask(self._request(ask), self._answer_s)
            except ChildTooSlow as error:
                raise PassingError(str(error), "timeout") from error
            except ChildDied as error:
                self._deaths += 1
                raise (PassingError if self._deaths == 1 else LastingError)(str(error), "died") from error
        self._deaths = 0
        if "problem" in found:
            raise (PassingError(found["problem"], "memory") if found.get("passing") else LastingError(found["problem"], "video"))
        dropped = tuple((kind, what, reason) for kind, what, reason in found["dropped"])
        return Reply(found["text"], found["cut"], found["tokens_in"], found["tokens_out"], writer, tuple(found["shown_s"]), dropped)

    async def close(self) -> None:
        """End the process; the memory of the GPU is free then."""
        await self._child.end()

    async def _loaded(self) -> str:
        if self._writer is None or not self._child.is_alive:
            self._writer = None
            found = await self._child.ask(self._first, LOADING_S)
            if "problem" in found:
                raise StoppingError(found["problem"], "model")
            self._writer = str(found["writer"])
        return self._writer

    def _request(self, ask: Ask) -> dict[str, Any]:
        subject, sampling = ask.subject, ask.sampling
        view = {**self._view, "layout": "video"} if ask.arm.shown == "video" else self._view
        return {
            "clip": {"digest": subject.digest, "start_s": subject.start_s, "end_s": subject.end_s, "said": dict(subject.said)},
            "prompt": ask.words,
            "view": None if ask.arm.shown == "nothing" else view,
            "new_tokens": sampling.new_tokens,
            "temperature": sampling.temperature,
            "seed": random.getrandbits(31) if sampling.seed is None else sampling.seed,
        }
