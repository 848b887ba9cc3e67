"""A folder of files that can be made again: the one used longest ago goes first when there are too many bytes.

When a file was used stands in its time of modification, so several processes may share a folder without a lock.
"""

import contextlib
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

_LEFTOVER_S = 3600.0  # a part that nobody wrote to for so long was left by a killed process


def note_use(entry: Path) -> None:
    """Note that a file was used now. Where that cannot be written down, only the order of removal suffers."""
    now = time.time_ns()  # the clock of the file system ticks too slowly to tell two uses apart
    with contextlib.suppress(OSError):
        os.utime(entry, ns=(now, now))


def make_room(folder: Path, limit_bytes: int, keep: Collection[Path] = ()) -> None:
    """Remove the files used longest ago while there are more than `limit_bytes` in the folder; one look at each entry.

    What is in `keep` stays even then, and so does what is being written (`.part`).
    """
    entries = sorted(_entries(folder))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in entries:
        if total <= limit_bytes:
            return
        if entry not in keep:
            entry.unlink(missing_ok=True)
            total -= size


def _entries(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield last use (ns), size (bytes) and path of what lies in the folder, but for what is being written."""
    with os.scandir(folder) as found:
        for each in found:
            with contextlib.suppress(FileNotFoundError):  # another process removed it
                state = each.stat()
                if not each.name.endswith(".part") or state.st_mtime < time.time() - _LEFTOVER_S:
                    yield state.st_mtime_ns, state.st_size, Path(each.path)
