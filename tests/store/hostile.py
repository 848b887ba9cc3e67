"""Functions that misbehave as decoders do, for a child to run, and a file that is made to make them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from store.errors import ConflictError
from tests.clips import make_clip

KEPT: list[NDArray[np.uint8]] = []


def loop() -> None:
    """Run for ever in C, holding the interpreter, so that no Python code of this process runs any more."""
    re.match("(a+)+$", "a" * 64 + "b")


def tell_and_loop(pipe: Path) -> None:
    """Write the id of this process to a named pipe, then never come back."""
    pipe.write_text(str(os.getpid()))
    loop()


def start_sleeper() -> int:
    """Start a process that would stay behind, and return its id."""
    return subprocess.Popen(["sleep", "60"]).pid


def swallow(most_bytes: int = 4 << 30) -> int:
    """Take memory until there is `most_bytes` of it, and return how much; untouched, so that it costs the machine nothing."""
    return sum(len(piece) for piece in [np.empty(32 << 20, np.uint8) for _ in range(most_bytes // (32 << 20))])


def leak(count: int) -> int:
    """Take so many bytes and never give them back; return how many were taken by all calls."""
    KEPT.append(np.empty(count, np.uint8))
    return sum(map(len, KEPT))


def crash(number: int = signal.SIGSEGV) -> None:
    """Die by a signal, as by a wild pointer."""
    os.kill(os.getpid(), number)


def leave() -> None:
    """End without a word, as C code does that calls exit()."""
    os._exit(3)


def end_python() -> None:
    """Raise SystemExit."""
    sys.exit(4)


def refuse() -> None:
    """Raise a UserError."""
    raise ConflictError("It is there already: take another name.")


def divide() -> float:
    """Raise an exception of Python's own."""
    return 1 / (1 - 1)


def raise_of_library() -> None:
    """Raise an exception that only PyAV knows."""
    raise av.error.InvalidDataError(1, "bad data")


def echo(value: Any) -> Any:
    """Return the argument."""
    return value


def map_file(path: Path) -> int:
    """Return how many bytes of a file could be mapped."""
    return len(np.memmap(path, dtype=np.uint8, mode="r"))


def make_huge(path: Path, side: int) -> None:
    """Write a GIF of 30 kB whose header says that its screen is `side` x `side` pixels."""
    make_clip(path, seconds=0.4, codec="gif", pixel_format="rgb8", options={})
    content = bytearray(path.read_bytes())
    content[6:10] = side.to_bytes(2, "little") * 2  # logical screen width and height (GIF89a, 18)
    path.write_bytes(bytes(content))


def crash_on(*_: Path) -> None:
    """Stand in for a decoder that a file crashes."""
    crash()


def loop_on(*_: Path) -> None:
    """Stand in for a decoder that a file keeps busy for ever."""
    loop()
