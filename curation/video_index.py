"""Which file in a folder a data set means by a name. Reads names only, never contents."""

import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError

# A name without its extension may mean these; with its extension it may mean any file.
SUFFIXES = (".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv")


@dataclass(frozen=True)
class VideoIndex:
    """The files under a folder by every name that may mean them."""

    root: Path
    files: dict[str, tuple[Path, ...]]

    def find(self, name: str) -> tuple[Path, ...]:
        """Return the files that the name may mean, the best first; empty when there is none."""
        return self.files.get(_plain(name), ())


def index_videos(root: Path) -> VideoIndex:
    """Return the files under `root` at any depth: by path or name, with or without extension, and by the folder of an only video.

    Raises InputError when `root` is no folder. Time grows with the number of files; 0.1 s for 10,000.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder. Give the folder that holds the videos; folders inside it are searched too.")
    exact: dict[str, list[Path]] = {}
    loose: dict[str, list[Path]] = {}
    for folder, names in _walk(root):
        videos = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
        for name in names:
            for key in {name, (folder / name).relative_to(root).as_posix()}:
                exact.setdefault(_plain(key), []).append(folder / name)
        for name in videos:
            path = folder / name
            for key in {path.stem, path.relative_to(root).with_suffix("").as_posix()}:
                loose.setdefault(_plain(key), []).append(path)
        if len(videos) == 1 and folder != root:
            loose.setdefault(_plain(folder.name), []).append(folder / videos[0])
    files = {key: tuple(dict.fromkeys(exact.get(key, []) + loose.get(key, []))) for key in exact | loose}
    return VideoIndex(root, files)


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield folders with their file names in order, hidden ones left out; a link that leads back is not followed twice."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        # Regular files only: to open a pipe is to wait for ever.
        yield Path(folder), sorted(name for name in names if not name.startswith(".") and not _is_special(Path(folder, name)))


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # a file that cannot be looked at is told as unreadable, not as missing
    return not stat.S_ISREG(mode)


def _plain(name: str) -> str:
    # One system writes an accent as one character, another as two.
    return unicodedata.normalize("NFC", name)
