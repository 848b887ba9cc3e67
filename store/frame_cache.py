"""Frames kept on disk once they are decoded, and mapped into memory whenever they are asked for again.

An entry is a .npy file of the pixels with the times of the frames behind them, named by all that decides what it holds.
It appears whole or not at all, so several processes may share a folder without a lock: two that miss the same entry at
once both decode it, and the later one replaces the earlier. An entry that is removed or replaced while somebody has it
mapped stays readable to him, as POSIX keeps an unlinked file until its last user lets go; until then it takes its room.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from store.errors import InputError
from store.media import Frames, read_frames
from store.media_files import replacing
from store.used_files import make_room, note_use

# Raise it when store.media comes to give other pixels or times for the same call. PyAV's own version is not part of a
# key: a run directory is carried to machines with another one, and often without the videos.
READER_VERSION = 1
_TIME = np.dtype("<f8")

Size = int | tuple[int, int] | None
Read = Callable[[Path, NDArray[np.float64], Size], Frames]


class FrameCache:
    """A folder of decoded frames: the one asked for longest ago goes first when there are too many bytes."""

    def __init__(self, folder: Path, limit_bytes: int | None, read: Read = read_frames) -> None:
        """limit_bytes: how much may lie in the folder, None for any amount; read: what decodes, called as `read_frames` is.

        Raises InputError when the limit is negative.
        """
        if limit_bytes is not None and limit_bytes < 0:
            raise InputError(f"The limit of the frame cache is {limit_bytes} bytes; it must be 0 or more, or None for no limit.")
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._read = read

    def frames(self, digest: str, path: Path, times_s: ArrayLike, size: Size = None) -> Frames:
        """Return the frames on display at the given times, pixels mapped from disk and not writable.

        digest: of the file at `path`, which is opened only when the frames are not there yet; times_s, size: as for
        `read_frames`. Cost of frames that are there: 0.1 ms, whatever their size, and one open file for as long as the result
        lives; of others: their decoding, 3 bytes a pixel on disk and, with a limit, one look at each entry of the folder.
        A damaged entry (cut off, another header) is read anew; a bit that the disk turned in a pixel is not noticed.

        Raises what `read_frames` raises, and StorageError when the disk is full or the folder cannot be written.
        """
        times = np.asarray(times_s, dtype=_TIME)
        entry = self._folder / f"{_key(digest, times, size)}.npy"
        found = _mapped(entry, times.size)
        if found is None:
            fresh = self._read(path, times, size)
            _write(entry, fresh)
            found = _mapped(entry, times.size) or fresh  # another process may have removed it at once
            found.pixels.flags.writeable = False
            self._touch(entry)
            self._make_room()
        else:
            self._touch(entry)
        return found

    def _touch(self, entry: Path) -> None:
        if self._limit_bytes is not None:
            note_use(entry)

    def _make_room(self) -> None:
        if self._limit_bytes is not None:
            make_room(self._folder, self._limit_bytes)


def _key(digest: str, times: NDArray[np.float64], size: Size) -> str:
    seen = hashlib.sha256(f"{READER_VERSION} {digest} {size} {times.shape} ".encode())
    seen.update(times.tobytes())
    return seen.hexdigest()


def _write(entry: Path, frames: Frames) -> None:
    pixels = np.ascontiguousarray(frames.pixels)
    with replacing(entry) as part, part.open("xb") as out:
        npy.write_array_header_1_0(out, npy.header_data_from_array_1_0(pixels))
        # Not np.save: on a full disk its error does not say so.
        out.write(pixels.data)
        out.write(frames.times_s.astype(_TIME).tobytes())


def _mapped(entry: Path, count: int) -> Frames | None:
    """Return what an entry holds, or None when it is not there or is not what was written."""
    try:
        pixels = npy.open_memmap(entry, mode="r")
        times_s = np.fromfile(entry, dtype=_TIME, offset=pixels.offset + pixels.nbytes)
    except (OSError, ValueError, TypeError, SyntaxError, TokenError):
        return None
    if pixels.dtype != np.uint8 or pixels.shape[:1] != (count,) or pixels.ndim != 4 or times_s.shape != (count,):
        return None
    return Frames(np.asarray(pixels), times_s)
