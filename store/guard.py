"""Reading files from outside in a child process: a file that loops, swallows memory or crashes its decoder is an error.

    found = guarded(probe, path)                       # a child for this call
    with GuardedWorker() as worker:                    # a warm child for many calls
        found = worker.call(probe, path, limits=limits_for(size_bytes))

This is for accidents and for files made to break a decoder. It is no prison: a decoder that a file has taken over
entirely may do in the child what this user may do.

Memory is limited by RLIMIT_DATA (Linux 4.7 and later count private writable memory: malloc, numpy, frames of FFmpeg),
and numpy, Python and FFmpeg answer it with a MemoryError. RLIMIT_AS would also count what costs nothing: 64 MB of addresses
that the C library sets aside for each thread, code of libraries, and frames that are mapped from the cache. RLIMIT_RSS does nothing.

Cost: a child's first call waits for a Python that loads numpy and PyAV, 0.4 s; a later one takes 0.05 ms more than the
function itself, and about 1 ms for each megabyte that it returns. An idle child holds some 60 MB.
"""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from store.errors import InputError
from store.guard_child import Reply, pack, receive, send, unpack

Result = TypeVar("Result")

_PROGRAM = "from store.guard_child import main; main()"
# One thread of each numeric library: others would take memory by the number of cores, and the limit is for frames.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_BURIAL_S = 5.0  # how long to wait for a killed process, which may hang in a read from a dead file server
_FLOOR_S, _S_A_MEGABYTE, _S_A_MEGAPIXEL, _DAY_S = 60.0, 2.0, 0.05, 86_400.0


@dataclass(frozen=True)
class Limits:
    """What one call may use."""

    seconds: float = 600.0  # by the clock, from the call to its result; the start of a child is a part of it
    memory_bytes: int = 2 << 30  # private memory of the child; Python and its libraries take 0.1 GiB of it


_USUAL = Limits()


def all_pixels(frames: int | None, width: int | None, height: int | None) -> float:
    """Return what `limits_for` asks for: the pixels of all frames together, none where a number is not known.

    A frame counts as 20,000 pixels or more, as that is what a decoder spends on one of any size.
    """
    return (frames or 0) * max((width or 0) * (height or 0), 20_000)


def limits_for(size_bytes: int, pixels: float = 0.0) -> Limits:
    """Return limits for one pass over a media file: 60 s, 2 s a megabyte and 50 ns for each pixel of the frames to decode, a day at most.

    pixels: see `all_pixels`; 0 when packets are read and not decoded. Decoding takes about 2 ns a pixel on one quiet core, so
    an honest file has 25 times what it needs: a clip of 30 s in 1080p, which takes 4 s, has three minutes. Memory is the same
    for all: HEVC of 7680 x 4320 pixels and 10 bits with 6 references takes 0.9 GiB.
    """
    return Limits(min(_DAY_S, _FLOOR_S + _S_A_MEGABYTE * size_bytes / 1e6 + _S_A_MEGAPIXEL * pixels / 1e6))


def guarded(function: Callable[..., Result], *args: Any, limits: Limits = _USUAL) -> Result:
    """Return what a function returns that runs in a child process of its own.

    function: at module level, so that the child can import it; arguments and result are pickled. Raises what it raised: a
    UserError as it is, an exception of Python's own with the child's traceback as its cause, any other as a RuntimeError in
    its words. Raises InputError when the child ran out of time or memory, or died. Cost: the start of a Python.
    """
    with GuardedWorker() as worker:
        return worker.call(function, *args, limits=limits)


class GuardedWorker:
    """Child processes that are kept for the next call; as many as there are calls at once, so that threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all children, also those that work for other threads, whose calls then raise."""
        with self._lock:
            self._closed = True
            for child in self._busy:
                child.kill()  # its own thread buries it
            for child in self._idle:
                child.end()
            self._idle.clear()

    def call(self, function: Callable[..., Result], *args: Any, limits: Limits = _USUAL) -> Result:
        """Return what the function returns in a warm child; raises as `guarded` does. A child that fails is replaced.

        When a child dies or runs out of memory the call is made once more in a fresh one: an earlier call may have spoilt
        the first, or somebody may have killed it.
        """
        with contextlib.suppress(_ChildFailed):
            return self._ask(self._take(), function, args, limits)
        return self._ask(self._take(fresh=True), function, args, limits)

    def _take(self, fresh: bool = False) -> "_Child":
        with self._lock:
            if self._closed:
                raise RuntimeError("The worker is closed.")
            child = _Child() if fresh or not self._idle else self._idle.pop()
            self._busy.add(child)
            return child

    def _ask(self, child: "_Child", function: Callable[..., Result], args: tuple[Any, ...], limits: Limits) -> Result:
        reply = None
        try:
            reply = child.call(function, args, limits)
        except TimeoutError:
            raise InputError(_too_slow(_subject(function, args), limits)) from None
        except (EOFError, OSError, pickle.UnpicklingError):
            raise _ChildFailed(_crashed(_subject(function, args), child.end())) from None
        finally:
            self._put_back(child, is_well=reply is not None and not reply.out_of_memory)
        if reply.out_of_memory:
            raise _ChildFailed(_too_large(_subject(function, args), limits))
        if reply.error is not None:
            raise reply.error from ChildTraceback(reply.told)
        result: Result = reply.result
        return result

    def _put_back(self, child: "_Child", is_well: bool) -> None:
        with self._lock:
            self._busy.discard(child)
            if is_well and not self._closed:
                self._idle.append(child)
                return
        child.end()


class ChildTraceback(Exception):
    """The traceback of an exception as it was in the child, in words."""

    def __str__(self) -> str:
        return f"in the child process:\n{self.args[0]}"


class _ChildFailed(InputError):
    """The child died, or ran out of memory."""


class _Child:
    """A process that answers calls one at a time, in a group of its own, and dies with this one (see guard_child)."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(theirs.fileno())],
                stdin=subprocess.PIPE,  # never written to: it tells the child that we are gone
                stdout=subprocess.DEVNULL,  # ours may be a JSON document
                env=os.environ | _ONE_THREAD | {"PYTHONPATH": os.pathsep.join(sys.path)},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], limits: Limits) -> Reply:
        """Return the child's answer. Raises TimeoutError; EOFError, OSError or UnpicklingError when it makes none."""
        deadline_s = time.monotonic() + limits.seconds
        send(self._channel, pack((function, args, limits.memory_bytes)), deadline_s)
        reply: Reply = unpack(receive(self._channel, deadline_s, limits.memory_bytes))
        return reply

    def kill(self) -> None:
        """Kill the process and all that it started. A process that is dead already keeps the way in which it died."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> int | None:
        """Kill the process and return its exit status, negative for a signal, None when it does not go; a second time is harmless."""
        if self._process.returncode is None:
            self.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_BURIAL_S)
        if self._process.stdin:
            self._process.stdin.close()
        self._channel.close()
        return self._process.returncode


# ---- sentences -----------------------------------------------------------------------------------------------------


def _subject(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return what a call is about: the name of the first file among its arguments, or of the function."""
    return next((arg.name for arg in args if isinstance(arg, Path)), getattr(function, "__name__", "This"))


def _too_slow(what: str, limits: Limits) -> str:
    return (
        f"{what} was given up after {limits.seconds:.0f} s, the longest that it may take: it is damaged, or made to keep a reader busy. "
        "Convert it, or give another file."
    )


def _too_large(what: str, limits: Limits) -> str:
    return (
        f"{what} needs more than {limits.memory_bytes / (1 << 30):.3g} GiB of memory, the most that it may take: its pictures are "
        "very large, or it is damaged. Convert it to a smaller size, or give another file."
    )


def _crashed(what: str, status: int | None) -> str:
    if status == -signal.SIGKILL:
        return f"{what} was not read, as the program that read it was killed twice: the machine may have too little memory. Make room and try again."
    how = signal.Signals(-status).name if status and status < 0 else f"exit status {status}"
    return f"{what} makes the program that reads it crash ({how}): it is damaged, or made to do so. Convert it, or give another file."
