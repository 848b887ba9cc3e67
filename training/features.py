"""What a frozen vision tower made of pictures, kept as files and mapped into memory whenever it is asked for again.

An entry appears whole or not at all, so several processes may share a folder without a lock. The one used longest ago goes first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from store.errors import InputError
from store.media_files import replacing
from store.used_files import make_room, note_use


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
        note_use(entry)
        return found

    def put(self, key: str, tensors: Mapping[str, Any]) -> None:
        """Keep the tensors under a key and remove what is used least while there are too many bytes; one look at each entry.

        What is larger than the limit by itself is not kept. Raises StorageError when the disk is full or the folder cannot be written.
        """
        if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > self._limit_bytes:
            return
        entry = self._entry(key)
        with replacing(entry) as part:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
        make_room(self._folder, self._limit_bytes, keep=(entry,))

    def _entry(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"
