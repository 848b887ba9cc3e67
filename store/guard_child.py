"""The child process of store.guard, and the wire between the two. Of its own it loads the standard library only.

A message is a number of parts (4 bytes), the size of each (8 bytes), and the parts: a pickle, then the arrays in it. They
are sent from where they lie and received into where they stay, so that an array is copied by the kernel only.
"""

import contextlib
import fcntl
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any

from store.errors import UserError

Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Reply:
    """What a call came to: a result, an exception with its traceback in words, or neither where memory ran out."""

    result: Any = None
    error: BaseException | None = None
    told: str = ""
    out_of_memory: bool = False


def main() -> None:
    """Answer the calls that come over the socket named by the only argument, until it is closed."""
    _die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here, and its picture of memory is large
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            send(channel, _answer(receive(channel)))


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent is gone, however it went and whatever runs here.

    Standard input is a pipe that only the parent holds open and nobody writes to, so the one event on it is its end, of
    which O_ASYNC tells by SIGIO; unhandled, that kills. PR_SET_PDEATHSIG would kill as well when the *thread*
    ends that started this process, and a thread of our own could not look while a decoder holds the interpreter.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _answer(request: list[bytearray]) -> list[Bytes]:
    try:
        function, args, memory_bytes = unpack(request)
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes if most < 0 else min(memory_bytes, most), most))
        return pack(Reply(function(*args)))
    except MemoryError:
        pass  # answered below, when what the failed call held is free again
    except (Exception, SystemExit) as problem:  # noqa: BLE001  whatever it is, the caller gets it
        return pack(Reply(error=_portable(problem), told=traceback.format_exc()))
    return pack(Reply(out_of_memory=True))


def _portable(problem: BaseException) -> BaseException:
    """Return the exception, or a RuntimeError in its words where the parent would have to load a library to know it."""
    if isinstance(problem, UserError) or (isinstance(problem, Exception) and type(problem).__module__ == "builtins"):
        return problem
    return RuntimeError(f"{type(problem).__qualname__}: {problem}")


# ---- the wire ------------------------------------------------------------------------------------------------------


def pack(value: Any) -> list[Bytes]:
    """Return the parts of a message; arrays (contiguous ones) are parts of their own and are not copied."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return [head, *(buffer.raw() for buffer in buffers)]


def unpack(parts: list[bytearray]) -> Any:
    """Return the value of a message; its arrays lie in the parts and can be written to."""
    return pickle.loads(parts[0], buffers=parts[1:])


def send(channel: socket.socket, parts: list[Bytes], deadline_s: float | None = None) -> None:
    """Send a message. Raises TimeoutError when time.monotonic() passes the deadline, ConnectionError when nobody listens."""
    sizes = [len(part) for part in parts]
    for part in [struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes), *parts]:
        channel.settimeout(_left_s(deadline_s))
        channel.sendall(part)


def receive(channel: socket.socket, deadline_s: float | None = None, most_bytes: int | None = None) -> list[bytearray]:
    """Return the parts of the next message.

    Raises TimeoutError when time.monotonic() passes the deadline, EOFError when the other side is gone or announces more
    than `most_bytes`.
    """
    (count,) = struct.unpack("<I", _exactly(channel, 4, deadline_s))
    if most_bytes is not None and count * 8 > most_bytes:
        raise EOFError
    sizes = struct.unpack(f"<{count}Q", _exactly(channel, count * 8, deadline_s))
    if not sizes or (most_bytes is not None and sum(sizes) > most_bytes):
        raise EOFError
    return [_exactly(channel, size, deadline_s) for size in sizes]


def _exactly(channel: socket.socket, size: int, deadline_s: float | None) -> bytearray:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        channel.settimeout(_left_s(deadline_s))
        came = channel.recv_into(rest)
        if not came:
            raise EOFError
        rest = rest[came:]
    return content


def _left_s(deadline_s: float | None) -> float | None:
    if deadline_s is None:
        return None
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
