"""A process of another room that is asked over its standard input and answers over its standard output: a JSON object a line, one at a time.

What it loads, and what a broken video does to it, stays outside this process; a command line and files are all that the two share.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[2]
_MOST_BYTES = 64 << 20  # of an answer
_TAIL_BYTES = 4096


class ChildError(Exception):
    """The process gave no answer; a sentence that ends with the last line of its log."""


class ChildDied(ChildError):
    """The process ended before it had answered."""


class ChildTooSlow(ChildError):
    """The process took longer than it may, and was ended."""


class LineChild:
    """`python -m MODULE ...`, started by the first question to it, and anew by the first one after its end. Not for two questions at once."""

    def __init__(self, arguments: Sequence[str], what: str) -> None:
        """arguments: the module and what its command line says; `what` names the process at the start of a sentence."""
        self._arguments, self._what = tuple(arguments), what
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] | None = None
        self._asked = 0

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    async def ask(self, request: Mapping[str, Any], takes_s: float) -> dict[str, Any]:
        """Return the answer to a request. Raises ChildDied, and ChildTooSlow after `takes_s` seconds, which ends the process, or at its own alarm."""
        if not self.is_alive:
            await self._start()
        self._asked += 1
        try:
            async with asyncio.timeout(takes_s):
                return await self._exchange({**request, "id": self._asked})
        except TimeoutError:
            await self.end()
            raise ChildTooSlow(f"{self._what} took longer than {takes_s:g} s and was ended. {self._last_line()}".strip()) from None
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise await self._ending() from None

    async def end(self) -> None:
        """End the process and all that it started; it keeps nothing that would be lost."""
        if self.is_alive and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  the child writes to it as long as it lives
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self._arguments,
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.PIPE,  # its end tells the child that we are gone
            stdout=asyncio.subprocess.PIPE,
            stderr=self._log,
            limit=_MOST_BYTES,
            start_new_session=True,
        )

    async def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        while line := await process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            # Whoever asked before and was cancelled has left his answer behind.
            if answer["id"] == request["id"]:
                return answer
        raise EOFError

    async def _ending(self) -> ChildError:
        assert self._process is not None
        code = await self._process.wait()
        if code == -signal.SIGALRM:
            return ChildTooSlow(f"{self._what} took longer than it may and ended itself.")
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        return ChildDied(f"{self._what} ended with {how} and no answer. {self._last_line()}".strip())

    def _last_line(self) -> str:
        if self._log is None:
            return ""
        size = os.fstat(self._log.fileno()).st_size
        # Not read(): the child writes where this file stands.
        tail = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        return tail.decode("utf-8", errors="replace").strip().rpartition("\n")[2]
