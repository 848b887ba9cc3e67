"""Files kept by their digest: where one lies, and how it gets there whole or not at all. Knows nothing of video."""

import contextlib
import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from store.errors import ConflictError, InputError, NotFoundError, StorageError

_CHUNK_BYTES = 1 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}


def digest_of(path: Path | str) -> str:
    """Return the SHA-256 of a file as 64 lowercase hex digits; read in pieces, about 0.5 s per GB from memory.

    Raises NotFoundError when nothing lies there, InputError when it is no file or may not be read.
    """
    with open_source(path) as source:
        return _digest(source)


def media_path(data: Path, digest: str) -> Path:
    """Return where the file of this digest lies under the data directory: media/<first two digits>/<digest>.

    Raises InputError when `digest` is anything but 64 lowercase hex digits, so that no request can leave the folder.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InputError(f"{digest[:80]!r} is not a media digest: 64 digits of 0-9 and a-f are needed.")
    return data / "media" / digest[:2] / digest


def keep(data: Path, path: Path | str) -> str:
    """Copy a file into the media folder under its digest and return the digest; the original is only read.

    The copy appears whole or not at all. A file that is already there is left alone, so keeping twice adds nothing.
    Cost: two reads of the file and one write; one read when it is already kept.

    Raises NotFoundError or InputError when the file cannot be read, ConflictError when it changes while it is copied,
    StorageError when the disk is full or the folder cannot be written.
    """
    digest = digest_of(path)
    target = media_path(data, digest)
    with _disk_errors(target):
        kept = target.is_file() and target.stat().st_size == Path(path).stat().st_size
    if not kept:
        with open_source(path) as source, replacing(target) as part:
            with part.open("xb") as copy:
                copied = _digest(source, copy.write)
            if copied != digest:
                raise ConflictError(f"{path} changed while it was copied: import it again when nothing writes to it.")
    return digest


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to; on leaving, that file becomes `target`, on disk and at once.

    When the body raises, nothing stays. A killed process can leave a hidden `.part` file, which is never read.
    Raises StorageError when the disk is full or the folder cannot be written.
    """
    part = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    try:
        with _disk_errors(target):
            _make_folder(target.parent)
            yield part
            _sync(part)
            part.replace(target)
            _sync(target.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def open_source(path: Path | str) -> Iterator[BinaryIO]:
    """Yield the file opened for reading.

    Raises NotFoundError when nothing lies there, InputError when it is no file or may not be read.
    """
    try:
        source = Path(path).open("rb")  # noqa: SIM115  only opening is guarded: what the body raises is its own affair
    except FileNotFoundError as problem:
        raise NotFoundError(f"There is no file at {path}: check the name and the folder.") from problem
    except OSError as problem:
        raise InputError(f"{path} cannot be read ({problem.strerror}): give a file that you may read.") from problem
    with source:
        yield source


@contextlib.contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system says about writing `target` into a StorageError that says what to do."""
    try:
        yield
    except OSError as problem:
        said = problem.strerror or str(problem)
        if problem.errno in _NO_ROOM:
            advice = "there is no room on the disk: free some, or choose another data directory"
        elif problem.errno in _NO_RIGHT:
            advice = "the folder cannot be written: give the right to write, or choose another data directory"
        else:
            advice = "check the disk, or choose another data directory"
        raise StorageError(f"{target} was not written ({said}); {advice}.") from problem


def _digest(source: BinaryIO, copy: Callable[[bytes], object] = len) -> str:
    """Read an open file to its end, hand each piece to `copy`, and return the digest of what was read."""
    seen = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        seen.update(chunk)
        copy(chunk)
    return seen.hexdigest()


def _make_folder(folder: Path) -> None:
    """Create a folder if it is missing, so that it survives a power cut."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Have the disk confirm a file's contents or a folder's entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
