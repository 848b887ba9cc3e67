"""What to change when a run does not fit: before the start from the estimate, after a failure from the words of the error. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import LOCKED, RunConfig
from training.estimate import Estimate
from training.events import FILE_NAME, read_events
from training.shapes import KNOWN, shape_of
from training.status import log_tail, read_result

MOST = 3
# A formula that says "just fits" is not believed: so much of the limit stays free.
RESERVE = 0.05
LEAST_SIDE_PX, LEAST_FRAMES = 168, 4
_GIB = 2**30
_LOG_LINES = 400

Measure = Callable[[RunConfig], Estimate]
_Step = tuple[str, str, RunConfig]  # name, what changes, the changed config


@dataclass(frozen=True)
class Remedy:
    """One change of a run's config, and what it saves by the estimate."""

    name: str
    what: str  # a sentence: what changes, and what it costs
    config: RunConfig
    saves_bytes: int
    fits: bool  # by the estimate, with RESERVE to spare


@dataclass(frozen=True)
class Diagnosis:
    """An out-of-memory error: where it struck and what its own words tell, in bytes; None: not told."""

    phase: str  # "loading", "vision tower", "forward", "logits", "backward", "optimizer", "scoring" or, where the log does not tell, the run's own phase
    tried: int | None
    free: int | None
    total: int | None
    others: int  # held by other processes of the same device
    fragments: int  # held by PyTorch and not used
    text: str  # a sentence for the reader


def remedies(config: RunConfig, measure: Measure, limit_bytes: int, need_bytes: int | None = None) -> tuple[Remedy, ...]:
    """Return the three cheapest changes after which the run fits, in the order of what they cost in quality.

    Of each dial the mildest setting that fits, or, where none does, the strongest; those that fit come first. `need_bytes`: what must be saved
    at least, when a failed run has shown that the estimate is too low. Where no dial is enough, several are turned, the cheapest first.
    """
    return _found(config, measure, limit_bytes, need_bytes)[:MOST]


def _found(config: RunConfig, measure: Measure, limit_bytes: int, need_bytes: int | None) -> tuple[Remedy, ...]:
    now = measure(config).bytes
    most = round(limit_bytes * (1 - RESERVE)) if need_bytes is None else now - need_bytes
    found = [remedy for dial in _DIALS if (remedy := _mildest(dial(config), measure, now, most)) is not None]
    if not any(remedy.fits for remedy in found):
        found = [*filter(None, [_several(config, measure, now, most)]), *found]
    return tuple(sorted(found, key=lambda remedy: not remedy.fits))


def after_failure(config: RunConfig, diagnosis: Diagnosis, measure: Measure) -> tuple[Remedy, ...]:
    """Return the remedies of a run that ran out of memory, the best first: what it lacked, and RESERVE of the device beside, must be saved."""
    lacked = (diagnosis.tried or 0) - (diagnosis.free or 0)
    total = diagnosis.total or measure(config).bytes
    found = _found(config, measure, total, max(0, lacked) + round(total * RESERVE))
    if diagnosis.phase == "loading":
        # The weights alone did not fit: only fewer bytes a weight, or fewer weights, help.
        found = tuple(remedy for remedy in found if (remedy.config.model, remedy.config.quantisation) != (config.model, config.quantisation))
    return found[:MOST]


def failed_run(directory: Path) -> Diagnosis | None:
    """Return why the run in `directory` ran out of memory, or None when it did not; reads its result and the end of its log."""
    result = read_result(directory) or {}
    log = log_tail(directory, _LOG_LINES)
    if result.get("outcome") != "failed" or not _told(f"{result.get('reason', '')}\n{log}"):
        return None
    phases = [event["phase"] for event in read_events(directory / FILE_NAME).events if event["kind"] == "phase"]
    return diagnose(f"{log}\n{result.get('reason', '')}", phases[-1] if phases else "")


def diagnose(text: str, phase: str = "") -> Diagnosis | None:
    """Return what an out-of-memory error tells, from its words, the traceback before them, and the run's phase; None for another error.

    The words are those of torch.OutOfMemoryError ("Tried to allocate ... of which ... is free ... Process N has ... in use").
    """
    if not _told(text):
        return None
    tried, free, total = (_size(rf"{words} ([\d.]+) ([KMGT]i)?B(?:ytes)?", text) for words in ("[Tt]ried to allocate", "of which", "total capacity of"))
    others = sum(round(float(value) * _unit(unit)) for value, unit in re.findall(r"Process \d+ has ([\d.]+) ([KMGT]iB)", text))
    fragments = _size(r"allocated by PyTorch, and ([\d.]+) ([KMGT]i)?B", text) or 0
    where = _where(text, phase)
    words = [f"Out of memory: {where}"]
    if tried is not None and free is not None:
        words.append(f"{_gib(tried)} were asked for and {_gib(free)} were free")
    if others:
        words.append(f"other processes held {_gib(others)} of the device: end them first")
    if tried is not None and fragments > tried:
        words.append(f"{_gib(fragments)} lay in pieces too small (PYTORCH_ALLOC_CONF=expandable_segments:True joins them)")
    return Diagnosis(where, tried, free, total, others, fragments, "; ".join(words) + ".")


def _mildest(steps: Iterator[_Step], measure: Measure, now: int, most: int) -> Remedy | None:
    last = None
    for name, what, config in steps:
        needs = measure(config).bytes
        if needs >= now:
            continue
        last = Remedy(name, what, config, now - needs, needs <= most)
        if last.fits:
            return last
    return last


def _several(config: RunConfig, measure: Measure, now: int, most: int) -> Remedy | None:
    changed, told = config, list[str]()
    for dial in _DIALS:
        steps = list(dial(changed))
        for _, what, step in steps:
            if (needs := measure(step).bytes) <= most:
                return Remedy("Several changes", " ".join([*told, what]), step, now - needs, fits=True)
        if steps:
            told.append(steps[-1][1])
            changed = steps[-1][2]
    return None


def _batch(config: RunConfig) -> Iterator[_Step]:
    if config.batch_size > 1:
        changed = replace(config, batch_size=1, accumulation=config.accumulation * config.batch_size)
        yield "Batch 1", f"Batch 1 and accumulation {changed.accumulation}: as many rows a step, one after another. Costs nothing but a little time.", changed


def _packs(config: RunConfig) -> Iterator[_Step]:
    most = config.pack_rows
    while config.packing == "clip" and most > 1:
        most //= 2
        yield "Smaller packs", f"At most {most} rows a sequence: the same losses, the video more often. Costs time only.", replace(config, pack_rows=most)


def _nf4(config: RunConfig) -> Iterator[_Step]:
    if config.quantisation == "none" and "quantisation" not in _locked(config):
        what = "nf4: the frozen weights in 4 bits. Costs speed, and by QLoRA's measurements (arXiv 2305.14314) next to no quality."
        yield "nf4", what, replace(config, quantisation="nf4")


def _side(config: RunConfig) -> Iterator[_Step]:
    side, token = config.longest_side_px, config.family.token_px
    while "longest_side_px" not in _locked(config) and (side := round(side * 0.8 / token) * token) >= LEAST_SIDE_PX:
        yield (
            "Smaller pictures",
            f"A longest side of {side} pixels: fewer tokens a picture. Small things are lost first.",
            replace(config, longest_side_px=side),
        )


def _frames(config: RunConfig) -> Iterator[_Step]:
    frames = config.frames
    while "frames" not in _locked(config) and (frames := frames * 3 // 8 * 2) >= LEAST_FRAMES:
        yield "Fewer frames", f"{frames} frames: what happens between them is not seen.", replace(config, frames=frames)


def _model(config: RunConfig) -> Iterator[_Step]:
    if config.model not in KNOWN or "model" in _locked(config):
        return
    own = shape_of(config.model)
    smaller = [name for name, shape in KNOWN.items() if shape.family == own.family and shape.parameters < own.parameters]
    for name in sorted(smaller, key=lambda name: -KNOWN[name].parameters):
        yield "A smaller model", f"{name}: another, weaker base.", replace(config, model=name)


# In the order of what they cost in quality, as we judge it: nothing, nothing, next to nothing, then the pictures, then the model.
_DIALS: Sequence[Callable[[RunConfig], Iterator[_Step]]] = (_batch, _packs, _nf4, _side, _frames, _model)


def _locked(config: RunConfig) -> tuple[str, ...]:
    # Policy and reference must see the same: these are the SFT run's to change.
    return LOCKED if config.stage == "dpo" else ()


def _told(text: str) -> bool:
    return bool(re.search(r"OutOfMemoryError|out of memory|Out of memory|can't allocate memory|MemoryError|CUBLAS_STATUS_ALLOC_FAILED", text))


def _where(text: str, phase: str) -> str:
    """Return where it struck: the innermost place that the traceback names, else what the phase says."""
    if "loading the model" in phase:
        return "loading"
    if "scoring" in phase:
        return "scoring"
    # The last error of the log only; its frames stand before its words.
    trace = text[text.rfind("Traceback (most recent call last)") :] if "Traceback" in text else ""
    signs = {
        "optimizer": r"optimizer\.step|_single_tensor_adam|_multi_tensor_adam|torch/optim/",
        "backward": r"\.backward\(|torch/autograd/__init__|_engine_run_backward",
        "logits": r"lm_head|cross_entropy|log_softmax|logsumexp|token_logps|loss/loss_utils",
        "vision tower": r"get_video_features|get_image_features|\.visual\(|VisionTransformer|VisionModel",
    }
    found = next((name for name, sign in signs.items() if re.search(sign, trace)), None)
    return found or ("forward" if trace else phase or "forward")


def _size(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return None if found is None else round(float(found[1]) * _unit(f"{found[2] or ''}B"))


def _unit(name: str) -> int:
    return {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": _GIB, "TiB": 2**40}[name]


def _gib(size: int) -> str:
    return f"{size / _GIB:.2f} GiB"
