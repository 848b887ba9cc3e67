"""A model that answers questions: each of its own mind, one seed one text, shown what it should be, and no text where there is no answer."""

import asyncio
import json
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from curation.synthesis.arms import Arm
from curation.synthesis.plan import WriterSpec
from curation.synthesis.subjects import Subject
from curation.synthesis.writers.local_model import LocalModel
from curation.synthesis.writing import Ask, LastingError, PassingError, Reply, Sampling, StoppingError, Words
from store.errors import InputError
from store.process import ProcessMark, write_mark
from tests.training.conftest import Studio
from tests.training.tuned import tuned_run
from training.config import RunConfig
from training.encoding import Encoder, text_counter
from training.jobs import load_config
from training.pictures import pictures_seen
from training.speaking import Speaker, load, tokens_asked, used_by_a_run

Answer = TypeVar("Answer")
VIEW = {"layout": "interleaved", "frames": 3, "longest_px": 64, "max_lines": 8}
LINES = [[0.2, 0.9, "Look!"], [5.0, 6.0, "Too late."]]


@dataclass(frozen=True)
class LoopApart:
    """A loop in a thread of its own: it lives for the whole file, and the browser of other tests may have one in this thread."""

    loop: asyncio.AbstractEventLoop

    def run(self, act: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(act, self.loop).result()


@contextmanager
def loop_apart() -> Iterator[LoopApart]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield LoopApart(loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@dataclass
class Room:
    """A studio with a tuned run, its model in this process, and as a writer in a child that all tests share."""

    studio: Studio
    run_id: str
    directory: Path
    config: RunConfig
    base: Speaker
    adapter: Speaker
    runner: LoopApart
    writer: LocalModel

    def request(self, prompt: str = "Why does the bar move?", **changes: Any) -> dict[str, Any]:
        clip = {"digest": self.studio.digests["red"], "start_s": 0.0, "end_s": None, "said": {"lines": LINES}}
        return {"clip": clip, "prompt": prompt, "view": VIEW, "new_tokens": 12, "temperature": 0.0, "seed": 1, **changes}

    def write(self, prompt: str = "Why does the bar move?", shown: str = "frames", writer: LocalModel | None = None, **changes: Any) -> Reply:
        digest = changes.pop("digest", self.studio.digests["red"])
        subject = Subject("rationale", "clip", "qa", "clip", "test", digest, 0.0, None, None, {"lines": LINES}, ())
        ask = Ask((Words(prompt),), replace(Sampling(0.0, 12, 1), **changes), subject, Arm("rationale", shown))
        return self.runner.run((writer or self.writer).write(ask))


@pytest.fixture(scope="module")
def room(shared_studio: Studio) -> Iterator[Room]:
    from training import model as models
    from training import writing

    studio, run = shared_studio, tuned_run(shared_studio, "speaks")
    directory = studio.directory(run)
    config, source = load_config(directory), str(directory / "model")
    processor = models.load_processor(source)
    base = Speaker(studio.data, source, None, config, models.load_model(source, config.quantisation).eval(), processor)
    adapted = writing.with_adapters(source, config.quantisation, {"adapter": directory / "adapter"})
    with loop_apart() as runner:
        writer = LocalModel(WriterSpec("local", config.model, run_id=run.id, answer_s=60.0), studio.data, VIEW)
        yield Room(studio, run.id, directory, config, base, replace(base, run_id=run.id, model=adapted), runner, writer)
        runner.run(writer.close())


def test_the_adapter_speaks_otherwise_than_its_base(room: Room) -> None:
    # Shown the same, so that the weights alone differ.
    same = {**VIEW, "layout": room.config.layout, "frames": room.config.frames, "longest_px": room.config.longest_side_px, "max_lines": room.config.max_lines}
    base, adapter = (speaker.answer(room.request(view=same)) for speaker in (room.base, room.adapter))
    assert base["text"] != adapter["text"] and base["tokens_in"] == adapter["tokens_in"]
    assert base == room.base.answer(room.request(view=same)), "the control: one and the same says the same"


def test_a_base_is_shown_what_is_asked_and_an_adapter_what_it_learnt_from(room: Room) -> None:
    assert room.base.answer(room.request())["shown_s"] == [pytest.approx(time_s, abs=1e-6) for time_s in (1 / 3, 1.0, 5 / 3)]
    assert len(room.adapter.answer(room.request())["shown_s"]) == room.config.frames != VIEW["frames"]
    alone = [speaker.answer(room.request(view=None)) for speaker in (room.base, room.adapter)]
    assert all(not one["shown_s"] and one["tokens_in"] < 30 for one in alone)


def test_the_tokens_that_are_counted_are_those_that_the_model_gets(room: Room) -> None:
    from training import writing

    for view in (VIEW, {**VIEW, "layout": "video", "frames": 2}, {**VIEW, "layout": "block"}):
        row, seen, plan = room.base._seen(room.request(view=view))
        encoder = Encoder(room.base.processor, {row.id: seen}, lambda one, plan=plan: pictures_seen(room.studio.data, one, plan))
        given = writing.prompt_of(encoder, row, torch.device("cpu"))["input_ids"].shape[1]
        assert tokens_asked(encoder, row) == given
        assert seen.context.tokens == pytest.approx(given, abs=20) and text_counter(room.base.processor)("Look!") > 0


def test_memory_that_runs_out_is_an_error_and_never_a_text(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(error: Exception) -> Any:
        def generate(**_: object) -> None:
            raise error

        return generate

    monkeypatch.setattr(room.base.model, "generate", fails(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")))
    answer = room.base.answer(room.request())
    assert "text" not in answer and answer["passing"] and answer["problem"].startswith("Out of memory.")
    monkeypatch.setattr(room.base.model, "generate", fails(RuntimeError("shapes do not fit")))
    with pytest.raises(RuntimeError, match="shapes"):
        room.base.answer(room.request())
    monkeypatch.undo()
    assert "text" in room.base.answer(room.request()), "the control"


def test_a_child_that_all_share_says_what_the_adapter_says_and_draws_by_the_seed_alone(room: Room) -> None:
    likeliest = room.write()
    assert likeliest.text == room.adapter.answer(room.request())["text"]
    assert (likeliest.model, likeliest.tokens_out, likeliest.cut) == (room.run_id, 12, True)
    assert likeliest.shown_s is not None and len(likeliest.shown_s) == room.config.frames
    first, second, other = (room.write(temperature=1.0, seed=seed) for seed in (3, 3, 4))
    assert first == second != other
    assert room.write(shown="nothing").shown_s == () and room.write(seed=None).text == likeliest.text


def test_what_cannot_be_asked_fails_for_good_and_the_next_one_is_answered(room: Room) -> None:
    wrong: list[dict[str, Any]] = [{"digest": "0" * 64}, {"prompt": "What <|im_end|>"}, {"prompt": " "}, {"temperature": 9.0}, {"new_tokens": 0}, {"seed": -1}]
    for changes in wrong:
        with pytest.raises(LastingError, match=r"\.$") as caught:
            room.write(**changes)
        assert not isinstance(caught.value, StoppingError)
    assert room.write().text, "the control"


def test_a_dead_child_fails_for_now_and_then_for_good_with_the_last_line_of_its_log(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", str(room.studio.data))  # no Python starts so
    writer = LocalModel(WriterSpec("local", "", run_id=room.run_id), room.studio.data, VIEW)
    with pytest.raises(PassingError, match="code 1 and no answer"):
        room.write(writer=writer)
    with pytest.raises(LastingError, match="code 1 and no answer"):
        room.write(writer=writer)


def test_a_writer_needs_a_model_and_data(room: Room) -> None:
    for spec, data in ((WriterSpec("local", ""), room.studio.data), (WriterSpec("local", "a/model"), None)):
        with pytest.raises(InputError, match="needs the folder or hub id"):
            LocalModel(spec, data, {})


def test_a_gpu_that_a_run_has_is_left_to_it(room: Room) -> None:
    device = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    lease, process = room.directory / "lease.json", room.directory / "process.json"
    mark = ProcessMark.of(os.getpid())
    assert mark is not None
    write_mark(process, mark)
    try:
        for name in ("cpu", device):
            lease.write_text(json.dumps({"device": name, "at": "now"}))
            assert (used_by_a_run(room.studio.data) is None) == (name == "cpu")
        with pytest.raises(InputError, match=f"used by the run {room.run_id}"):
            load({"data": str(room.studio.data), "run": room.run_id})
        write_mark(process, replace(mark, pid=2**22, create_time=0.0))
        assert used_by_a_run(room.studio.data) is None, "the run is over"
    finally:
        lease.unlink()
        process.unlink()
