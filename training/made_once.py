"""Results on disk, each made once however many ask for it; those that were not read for longest go when they take too much room."""

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from store.errors import ConflictError, UserError
from store.media_files import replacing

LIMIT_BYTES = 256 << 20
AT_ONCE = 2
_OVERTAKEN = "You asked for something else meanwhile, so this was not made. Ask again if you want it."


@dataclass(frozen=True)
class KeptFiles:
    """What was made, a file a key in `folder`; when that holds more than `limit_bytes`, what was not read for longest goes."""

    folder: Path
    limit_bytes: int = LIMIT_BYTES

    def read(self, key: str) -> bytes | None:
        """Return what is kept under a key, or None; it counts as used now."""
        path = self.folder / key
        try:
            kept = path.read_bytes()
            os.utime(path)
        except OSError:
            return None  # not made yet, or given up by another thread this moment
        return kept

    def keep(self, key: str, made: bytes) -> bytes:
        """Keep `made` under a key and return it. Raises StorageError when the disk is full or the folder cannot be written."""
        with replacing(self.folder / key) as part:
            part.write_bytes(made)
        self._make_room()
        return made

    def _make_room(self) -> None:
        kept = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                kept.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        size = sum(one for _, one, _ in kept)
        for _, bytes_, path in sorted(kept)[:-1]:  # the newest stays, however large
            if size <= self.limit_bytes:
                break
            path.unlink(missing_ok=True)
            size -= bytes_


@dataclass(frozen=True, eq=False)
class _Wish:
    key: str


class MadeOnce:
    """Hands out results: kept ones, those that another thread makes at the moment, or made in the asking thread.

    Who asks has one wish at a time. A thread whose wish was overtaken waits no longer, so that nobody can hold many of them.
    """

    def __init__(self, cache: KeptFiles, at_once: int = AT_ONCE) -> None:
        self._cache = cache
        self._changed = threading.Condition()  # guards what follows
        self._free = at_once  # how many more may be made at once
        self._wishes: dict[str, _Wish] = {}
        self._under_way: dict[str, Future[bytes]] = {}

    @property
    def wanted(self) -> dict[str, str]:
        """Return the key that each one who asks waits for at the moment."""
        with self._changed:
            return {asker: wish.key for asker, wish in self._wishes.items()}

    def get(self, asker: str, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the result of this key, made by `make()` when nobody has it yet.

        Raises what `make` raises, and ConflictError when `asker` asked for another one before this one was begun.
        """
        kept = self._cache.read(key)
        with self._changed:
            self._changed.notify_all()  # to whoever waits for what this asker wanted before
            if kept is not None:
                self._wishes.pop(asker, None)
                return kept
            wish = self._wishes[asker] = _Wish(key)
            mine = key not in self._under_way
            result = self._under_way.setdefault(key, Future())
        try:
            if mine:
                self._fulfil(key, make, result)
            else:
                self._await(result, asker, wish)
            return result.result()
        finally:
            with self._changed:
                if self._wishes.get(asker) is wish:
                    del self._wishes[asker]

    def _await(self, result: Future[bytes], asker: str, wish: _Wish) -> None:
        """Wait for what another thread makes. Raises ConflictError when another wish overtakes this one."""
        with self._changed:
            self._changed.wait_for(lambda: result.done() or self._wishes.get(asker) is not wish)
        if not result.done():
            raise ConflictError(_OVERTAKEN)

    def _fulfil(self, key: str, make: Callable[[], bytes], result: Future[bytes]) -> None:
        """Make the result when its turn comes. Raises ConflictError when nobody wants it any more by then."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or not self._is_wanted(key))
            if not self._is_wanted(key):
                del self._under_way[key]
                raise ConflictError(_OVERTAKEN)
            self._free -= 1
        try:
            result.set_result(self._cache.read(key) or self._cache.keep(key, make()))
        except UserError as refusal:
            result.set_exception(refusal)
        finally:
            result.cancel()  # only where a bug left it open: nobody waits for ever
            with self._changed:
                self._free += 1
                del self._under_way[key]
                self._changed.notify_all()

    def _is_wanted(self, key: str) -> bool:
        return any(wish.key == key for wish in self._wishes.values())
