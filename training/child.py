"""A question to a process of its own, which loads what the app must not: DIRECTORY/request.json goes in, DIRECTORY/answer.json comes out."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from store.errors import InputError, UserError
from store.process import write_whole

REPOSITORY = Path(__file__).resolve().parent.parent


def ask_child(module: str, request: Mapping[str, Any], takes_s: float, what: str) -> dict[str, Any]:
    """Return the answer of `python -m MODULE DIRECTORY` to the request; `what` names it at the start of a sentence.

    Raises InputError with the child's own sentence, or when it takes longer than `takes_s` seconds, which ends it, or dies.
    """
    with tempfile.TemporaryDirectory(prefix="eyewitness-child-") as folder:
        write_whole(Path(folder) / "request.json", json.dumps(request))
        command = [sys.executable, "-m", module, folder]
        try:
            ended = subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, timeout=takes_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{what} took longer than {takes_s:g} s and was ended. Ask for less, or try again when nothing else runs.") from error
        answer = Path(folder) / "answer.json"
        if not answer.exists():
            raise InputError(_how_it_died(what, ended))
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "problem" in found:
        raise InputError(found["problem"])
    return found


def answer_as_child(answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Answer the request in the directory that the command line names; a refusal is a sentence in answer.json."""
    directory = Path(sys.argv[1])
    try:
        found = dict(answer(json.loads((directory / "request.json").read_text(encoding="utf-8"))))
    except UserError as error:
        found = {"problem": str(error)}
    write_whole(directory / "answer.json", json.dumps(found, ensure_ascii=False))


def _how_it_died(what: str, ended: "subprocess.CompletedProcess[bytes]") -> str:
    last = ended.stderr.decode("utf-8", errors="replace").strip().split("\n")[-1]
    if ended.returncode == -9 or "OutOfMemory" in last or "MemoryError" in last:
        return f"{what} ran out of memory. Wait until no run goes on, or ask for fewer frames or adapters. {last}".strip()
    return f"{what} ended with code {ended.returncode} and no answer. {last}".strip()
