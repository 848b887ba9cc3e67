"""What a frozen vision tower made of pictures, kept as files and mapped into memory whenever it is asked for again.

An entry appears whole or not at all, so several processes may share a folder without a lock. The one used longest ago goes first.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from store.errors import InputError
from store.media_files import replacing

_LEFTOVER_S = 3600.0  # a part that nobody wrote to for so long was left by a killed process


class FeatureCache:
    """A folder of tensors by name, within a number of bytes."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Raises InputError when the limit is negative."""
        if limit_bytes < 0:
            raise InputError(f"The limit of the feature cache is {limit_bytes} bytes; it must be 0 or more.")
        self._folder = folder
        self._limit_bytes = limit_bytes

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the tensors under a key, mapped from disk, or None when there are none or the file is damaged; 0.2 ms."""
        entry = self._entry(key)
        try:
            found: dict[str, Any] = load_file(entry)
        except (OSError, SafetensorError):
            return None
        now = time.time_ns()  # the clock of the file system ticks too slowly to tell two uses apart
        with contextlib.suppress(OSError):  # then only the order of removal suffers
            os.utime(entry, ns=(now, now))
        return found

    def put(self, key: str, tensors: Mapping[str, Any]) -> None:
        """Keep the tensors under a key and remove what is used least while there are too many bytes; one look at each entry.

        What is larger than the limit by itself is not kept. Raises StorageError when the disk is full or the folder cannot be written.
        """
        if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > self._limit_bytes:
            return
        with replacing(self._entry(key)) as part:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
        entries = sorted(_entries(self._folder))
        total = sum(size for _, size, _ in entries)
        for _, size, entry in entries[:-1]:
            if total > self._limit_bytes:
                entry.unlink(missing_ok=True)
                total -= size

    def _entry(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"


def _entries(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield last use (ns), size (bytes) and path of what lies in the folder, but for what is being written."""
    with os.scandir(folder) as found:
        for each in found:
            with contextlib.suppress(FileNotFoundError):  # another process removed it
                state = each.stat()
                if not each.name.endswith(".part") or state.st_mtime < time.time() - _LEFTOVER_S:
                    yield state.st_mtime_ns, state.st_size, Path(each.path)
