"""One item looked at, or asked about once, before anything is paid for a whole run. Nothing is stored.

`python -m curation.synthesis.trying` is the child that does it, one JSON object in and one out: no provider's library is loaded by the app.
"""

import asyncio
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from curation.synthesis.budget import money_of
from curation.synthesis.pictures import Shower
from curation.synthesis.plan import Item, SynthesisPlan
from curation.synthesis.plan_files import item_json, item_of, plan_json, plan_of
from curation.synthesis.reading import Reading, reading_of
from curation.synthesis.writers.making import make_writer, sees
from curation.synthesis.writing import Film, Part, Picture, Reply, Words, WriterError
from store.errors import InputError, UserError

ROOT = Path(__file__).resolve().parents[2]
SHOWING_S = 120.0  # to decode what is shown, on top of what an answer may take


@dataclass(frozen=True)
class Shown:
    """One part of what is sent. `source` is a data: address of a picture; `text` words, or what a film is."""

    kind: str  # "words", "picture" or "film"
    text: str = ""
    source: str = ""
    time_s: float | None = None  # of a picture, in seconds from the start of what is shown


@dataclass(frozen=True)
class Tried:
    """What a writer was sent and, when it was asked, what came of it: `reading`, or `problem` says why there is none."""

    parts: tuple[Shown, ...]
    dropped: tuple[str, ...]  # what was to be shown and is not, each a sentence
    reply: str | None = None  # the answer as it came; None: not asked, or no answer
    reading: Reading | None = None
    problem: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    money: float | None = None
    seconds: float | None = None
    model: str | None = None


def look(data: Path, plan: SynthesisPlan, item: Item) -> Tried:
    """Return what the writer of the plan would be sent about the item; about a second, and what decoding its pictures takes.

    Raises InputError with a sentence when it cannot be shown.
    """
    return _in_child(data, plan, item, ask=False)


def ask_once(data: Path, plan: SynthesisPlan, item: Item) -> Tried:
    """Send it, once, and return that with the answer, as it came and as it was read, or why there is none. The provider counts it.

    Raises InputError with a sentence when nothing could be sent.
    """
    return _in_child(data, plan, item, ask=True)


def _in_child(data: Path, plan: SynthesisPlan, item: Item, ask: bool) -> Tried:
    request = json.dumps({"data": str(data.resolve()), "plan": plan_json(plan), "item": item_json(item), "ask": ask})
    takes_s = SHOWING_S + (plan.writer.answer_s if ask else 0.0)
    command = [sys.executable, "-m", "curation.synthesis.trying"]
    try:
        done = subprocess.run(command, cwd=ROOT, input=request, capture_output=True, text=True, timeout=takes_s)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"Nothing came within {takes_s:.0f} s. Look whether the clip can be read and the writer can be reached, then try again.") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2][:300]
        raise InputError(f"The process that was to show this ended without an answer: {last or 'it said nothing'}. Try another item.")
    told = json.loads(done.stdout)
    if "refused" in told:
        raise InputError(told["refused"])
    return _tried_of(told)


async def _try(data: Path, plan: SynthesisPlan, item: Item, ask: bool) -> Tried:
    from curation.synthesis.asking import show  # in the child alone, like all that asks: the app starts without it

    # A shower keeps its pictures in a directory; here they are gone with it.
    with tempfile.TemporaryDirectory() as folder:
        shower = Shower(data, Path(folder))
        try:
            parts, shown_s, dropped = await show(item, plan, sees(plan.writer), shower)
            seen = Tried(tuple(_shown(part) for part in parts), tuple(f"{kind} {which}: {reason}" for kind, which, reason in dropped))
            return await _asked(data, plan, item, parts, shown_s, seen) if ask else seen
        finally:
            await shower.close()


async def _asked(data: Path, plan: SynthesisPlan, item: Item, parts: Sequence[Part], shown_s: Sequence[float], seen: Tried) -> Tried:
    from curation.synthesis.answers import compose

    writer, begun = make_writer(plan.writer, data, plan.view), time.monotonic()
    try:
        reply = await writer.write(compose(item, plan, tuple(parts)))
    except WriterError as error:
        return _told(seen, plan, problem=str(error), tokens_in=error.tokens_in, tokens_out=error.tokens_out, seconds=time.monotonic() - begun)
    finally:
        await writer.close()
    return _told(seen, plan, **_read(item, plan, reply, shown_s), seconds=time.monotonic() - begun)


def _read(item: Item, plan: SynthesisPlan, reply: Reply, shown_s: Sequence[float]) -> dict[str, Any]:
    from curation.synthesis.answers import read
    from curation.synthesis.faults import Fault

    found = read(item, plan, reply, tuple(shown_s) if reply.shown_s is None else reply.shown_s)
    outcome = {"problem": found.sentence} if isinstance(found, Fault) else {"reading": found}
    return {"reply": reply.text, **outcome, "tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out, "model": reply.model}


def _told(seen: Tried, plan: SynthesisPlan, **outcome: Any) -> Tried:
    money = money_of(plan.prices, outcome.get("tokens_in"), outcome.get("tokens_out"))
    return Tried(seen.parts, seen.dropped, money=money, **outcome)


def _shown(part: Part) -> Shown:
    if isinstance(part, Words):
        return Shown("words", part.text)
    if isinstance(part, Picture):
        return Shown("picture", source=f"data:image/jpeg;base64,{base64.b64encode(part.path.read_bytes()).decode('ascii')}", time_s=part.time_s)
    return Shown("film", _film_words(part))


def _film_words(film: Film) -> str:
    return f"the video from {film.start_s:g} s to {'its end' if film.end_s is None else f'{film.end_s:g} s'}"


def _tried_of(told: Mapping[str, Any]) -> Tried:
    reading = reading_of(told["reading"]) if told["reading"] is not None else None
    return Tried(**{**told, "parts": tuple(Shown(**part) for part in told["parts"]), "dropped": tuple(told["dropped"]), "reading": reading})


def main() -> None:
    """Answer the one request on standard input; a problem that a person can mend is an answer too."""
    request = json.load(sys.stdin)
    try:
        told = asdict(asyncio.run(_try(Path(request["data"]), plan_of(request["plan"]), item_of(request["item"]), request["ask"])))
    except UserError as error:
        told = {"refused": str(error)}
    sys.stdout.write(json.dumps(told, ensure_ascii=False))


if __name__ == "__main__":
    main()
