"""What the reference says of each text, reckoned once and kept beside the run: later epochs, and a resumed run, need no second pass for it. No torch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.config import RunConfig
from training.views import View

FILE_NAME = "reference.jsonl"
_WEIGHTS = "adapter_model.safetensors"


class References:
    """Summed log-probabilities by content: JSON lines {key, logp} in a file that only grows."""

    def __init__(self, path: Path, made_by: str) -> None:
        """Reads what is in the file; `made_by` names the reference and all settings that change what it says."""
        self._path = path
        self._made_by = made_by
        self._known = _read(path)

    def key(self, text: str, view: View) -> str:
        """Return the name of a conversation, as the chat template writes it with its reply, about pictures; it holds the digest of their film."""
        told = f"{self._made_by} {view.stretch!r} {view.context.moments!r} {text}"
        return hashlib.sha256(told.encode("utf-8")).hexdigest()

    def get(self, key: str) -> float | None:
        """Return the log-probability, or None when it is yet to be reckoned."""
        return self._known.get(key)

    def put(self, found: Mapping[str, float]) -> None:
        """Keep log-probabilities, in the file too."""
        self._known |= found
        with self._path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"key": key, "logp": logp}) + "\n" for key, logp in found.items())


def made_by(adapter: Path, config: RunConfig) -> str:
    """Return the name of a reference: its adapter's weights, its base, what it is shown, and of which tokens the sum is made. Reads the weights."""
    weights = hashlib.sha256((adapter / _WEIGHTS).read_bytes()).hexdigest()
    return f"{weights} {config.model} {config.quantisation} {config.scored} {config.packing} {config.context_plan()!r}"


def _read(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        # A killed run left half a line, which would spoil the next one.
        path.write_bytes(whole)
    lines: list[dict[str, Any]] = [json.loads(line) for line in whole.split(b"\n") if line]
    return {line["key"]: line["logp"] for line in lines}
