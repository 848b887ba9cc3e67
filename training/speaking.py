"""A base model, or an adapter on it, that answers questions about clips: `python -m training.speaking`, a process of its own that answers JSON lines.

    {"id", "data", "model": folder or hub id, "run": id of the run whose adapter speaks or null, "quantisation": "nf4", "none" or null}
    -> {"id", "writer", "loading_s"} or {"id", "problem"}: the model is loaded; then, as often as one likes,
    {"id", "clip": {"digest", "start_s", "end_s", "said"}, "prompt", "view" or null, "new_tokens", "temperature", "seed"}
    -> {"id", "text", "tokens_in", "tokens_out", "cut", "shown_s", "dropped"} or {"id", "problem", "passing"}

An adapter is shown clips as it learnt from them, a base model as the view says; with null neither is shown anything. One seed, one text.
Cost: loading takes 5 to 30 s for the libraries, a minute or two for 7B in 4 bits; a text as long as in a writing run.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from store.errors import InputError
from store.media import media_path
from training.carrying import load_config
from training.config import SHOWN, RunConfig
from training.context import ContextPlan
from training.encoding import Encoder, text_counter
from training.families import family_of
from training.form import preset_named
from training.frames import Stretch, stretch_of
from training.lines import answer_lines
from training.pictures import Pixels, pictures_seen
from training.rows import ClipSpan, Row, RowContext, context_of, shown_problem
from training.run import out_of_memory, prepare_environment
from training.showing import plan_of, probed, row_of
from training.status import is_alive, read_lease
from training.trial import CACHE_BYTES, base_of
from training.views import View, view_of

_ADAPTER = "adapter"
_NOTHING = ContextPlan(layout="interleaved", frames=0)


@dataclass(frozen=True)
class Speaker:
    """A model that is loaded."""

    data: Path
    source: str  # of the base: folder or hub id
    run_id: str | None  # whose adapter speaks; None: the base
    config: RunConfig  # of the preset Write; of an adapter with what it was shown when it learnt
    model: Any
    processor: Any

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model says, or that memory ran out. Raises InputError when nothing can be shown or the values are out of range."""
        try:
            return self._answer(request)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            first = str(error).strip().split("\n")[0]
            return {"problem": f"Out of memory. Show fewer or smaller frames, or wait until nothing else uses the GPU. {first}", "passing": True}

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        # Imported here, as all that loads torch: what it is to read from the environment is set by then.
        from training import writing

        row, view, plan = self._seen(request)
        wanted = {name: request[name] for name in ("seed", "temperature", "new_tokens")}
        config = preset_named("Write").config(**wanted)
        encoder = Encoder(self.processor, {row.id: view}, lambda seen: _pixels(self.data, seen, plan))
        said = writing.say(self.model, encoder, self.processor, row, config)
        return {
            "text": said.text,
            "tokens_in": tokens_asked(encoder, row),
            "tokens_out": said.tokens,
            "cut": said.cut,
            "shown_s": [round(moment.time_s, 6) for moment in view.context.moments],
            "dropped": [[one.kind, one.what, one.reason] for one in view.context.dropped],
        }

    def _seen(self, request: Mapping[str, Any]) -> tuple[Row, View, ContextPlan]:
        about, prompt = request["clip"], request["prompt"]
        clip = ClipSpan("", about["digest"] or "", about["start_s"], about["end_s"])
        if request["view"] is None:
            plan, context, stretch = _NOTHING, RowContext(), Stretch("", 0.0, 1.0, 28, 28)
        else:
            plan, longest_px = (self.config.context_plan(), self.config.longest_side_px) if self.run_id else plan_of(request["view"])
            context = context_of(about["said"], "What is said in the clip")
            stretch = stretch_of(clip, probed(media_path(self.data, clip.digest)), longest_px)
        if problem := shown_problem([prompt], context, clip):
            raise InputError(f"This cannot be asked: {problem}")
        row = row_of(clip, prompt, context)
        return row, view_of(row, stretch, plan, text_counter(self.processor), family_of(self.source)), plan


def load(request: Mapping[str, Any]) -> Speaker:
    """Return the model of a first request. Raises InputError or NotFoundError when it is not on this machine, or a run has the GPU."""
    data, run_id = Path(request["data"]), request["run"]
    config = _config(data, request)
    if problem := used_by_a_run(data):
        raise InputError(problem)
    # Nobody waits for a download here: what is not on this machine is told.
    os.environ["HF_HUB_OFFLINE"] = "1"
    prepare_environment(config)
    from training import model as models
    from training import writing

    source = base_of(data, run_id, config) if run_id else config.model
    processor = models.load_processor(source)
    if run_id:
        model: Any = writing.with_adapters(source, config.quantisation, {_ADAPTER: data / "runs" / run_id / "adapter"})
    else:
        model = models.load_model(source, config.quantisation).eval()
    return Speaker(data, source, run_id, config, model, processor)


def used_by_a_run(data: Path) -> str | None:
    """Return a sentence that names the run which has the GPU that a model would be loaded to, or None; a look at each run's folder.

    The other way round a run waits by itself: it sees in nvidia-smi that the GPU is held.
    """
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    for path in sorted((data / "runs").glob("[!.]*/lease.json")):
        if read_lease(path.parent) == device and is_alive(path.parent):
            return f"GPU {device} is used by the run {path.parent.name}. Wait until it has ended, or stop it and save."
    return None


def tokens_asked(encoder: Encoder, row: Row) -> int:
    """Return the tokens up to where the assistant begins, those of the pictures included."""
    tail, learnt = encoder.tail(row, row.reply)
    return encoder.count(row, row.reply).total - len(tail) + learnt.index(True)


def _pixels(data: Path, view: View, plan: ContextPlan) -> Pixels:
    return pictures_seen(data, view, plan, CACHE_BYTES) if view.context.moments else np.empty((0, 1, 1, 3), np.uint8)


def _config(data: Path, request: Mapping[str, Any]) -> RunConfig:
    preset = preset_named("Write")
    if not request["run"]:
        quantisation = {"quantisation": request["quantisation"]} if request["quantisation"] else {}
        return preset.config(model=request["model"], **quantisation)
    learnt = load_config(data / "runs" / request["run"])
    return preset.config(**{name: getattr(learnt, name) for name in ("model", "quantisation", "longest_side_px", "max_tokens", *SHOWN)})


def main() -> None:
    """Load what the first request names, answer the others, and end with standard input."""
    speakers: list[Speaker] = []

    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        if not speakers:
            begun_s = time.monotonic()
            speakers.append(load(request))
            return {"writer": speakers[0].run_id or speakers[0].source, "loading_s": round(time.monotonic() - begun_s, 1)}
        return speakers[0].answer(request)

    answer_lines(answer)


if __name__ == "__main__":
    main()
