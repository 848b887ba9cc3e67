"""Which writers there are, what each of them sees and needs, and how one is made: the only place that knows them all."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from curation.synthesis.plan import WriterSpec
from curation.synthesis.writers.failures import checked_address
from curation.synthesis.writers.keys import key_of
from curation.synthesis.writing import Writer
from store.errors import InputError

# What a writer is when nobody says more; the first is meant when nobody chooses at all.
DEFAULTS: Mapping[str, WriterSpec] = MappingProxyType(
    {
        "template": WriterSpec("template", "1"),
        "gemini": WriterSpec("gemini", "gemini-2.5-flash"),
        "openai": WriterSpec("openai", "gpt-4o"),
        "local": WriterSpec("local", "Qwen/Qwen2.5-VL-3B-Instruct"),
    }
)
WRITERS = tuple(DEFAULTS)
# The words of Writer.sees, so that they are known without a key and without loading a provider's package.
SEES: Mapping[str, str] = MappingProxyType({"template": "nothing", "gemini": "film", "openai": "pictures", "local": "clip"})


def default_spec(kind: str) -> WriterSpec:
    """Return the writer of this kind that is meant when nobody says more. Raises InputError when there is no such kind."""
    if kind not in DEFAULTS:
        raise InputError(f"{kind!r} is no writer. There are: {', '.join(WRITERS)}.")
    return DEFAULTS[kind]


def sees(spec: WriterSpec) -> str:
    """Return what a writer can be shown: "nothing", "pictures", "film" or "clip"."""
    return SEES[default_spec(spec.kind).kind]


def needs(spec: WriterSpec) -> str | None:
    """Return a sentence on what lacks before this writer can be made in this process, or None."""
    try:
        default_spec(spec.kind)
        key_of(spec)
        if spec.address:
            checked_address(spec.address)
    except InputError as error:
        return str(error)
    if not (spec.model.strip() or spec.run_id):
        return "No model is named. Say which one is to write."
    return None


def make_writer(spec: WriterSpec, data: Path | None, view: Mapping[str, Any] | None = None) -> Writer:
    """Return the writer; only its own module is imported. `data` and `view` are for one that reads the clips by itself.

    Raises InputError with the sentence of `needs`.
    """
    if lacking := needs(spec):
        raise InputError(lacking)
    if spec.kind == "gemini":
        from curation.synthesis.writers.gemini import Gemini

        return Gemini(spec, key_of(spec))
    if spec.kind == "openai":
        from curation.synthesis.writers.openai_compatible import OpenAICompatible

        return OpenAICompatible(spec, key_of(spec))
    if spec.kind == "local":
        from curation.synthesis.writers.local_model import LocalModel

        return LocalModel(spec, data, view or {})
    from curation.synthesis.writers.template import Template

    return Template()
