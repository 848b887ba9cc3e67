"""One question to a base model and its adapters: what is asked, that each speaks for itself, and what goes wrong is said in words."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from store.clips import add_clip, add_media, add_qa_pair
from store.database import open_store
from store.errors import InputError, NotFoundError
from store.records import Clip, Media, QAPair, Run, Subtitle
from store.rows import as_row, utc_now
from tests.training.conftest import HEIGHT, WIDTH, Studio, build_studio, dpo_config, sft_config
from tests.training.tuned import draw_adapter, finish, tuned_run
from training import child
from training.child import ask_child
from training.jobs import load_config
from training.trial import BASE, Trial, ask_trial, base_of, shown_config, trial_of


@dataclass(frozen=True)
class Lab:
    """A studio whose clips the store knows, an SFT run, and a DPO run that looks as if it had come from it."""

    studio: Studio
    sft: Run
    dpo: Run

    @property
    def data(self) -> Path:
        return self.studio.data

    def trial(self, question: str = "Why does the bar move?", kind: str = "answer", clip: str = "clip-red", runs: tuple[str, ...] | None = None) -> Trial:
        with open_store(self.data) as db:
            return trial_of(db, clip, question, kind, runs if runs is not None else (self.sft.id, self.dpo.id))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    studio = build_studio(tmp_path_factory.mktemp("trial") / "data")
    sft = tuned_run(studio, "first")
    dpo = studio.make(dpo_config(studio.data, sft), token="dpo", name="second")
    draw = studio.directory(dpo)
    (draw / "model").symlink_to(draw / "parent" / "model")
    draw_adapter(draw, load_config(draw), seed=99)
    (draw / "model").unlink()
    finish(draw)
    with open_store(studio.data) as db:
        for name, digest in studio.digests.items():
            add_media(db, Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, WIDTH, HEIGHT, 0, 2.0, 24, True, None, "ok", None, utc_now()), None)
            add_clip(db, Clip(f"clip-{name}", "test", name, f"{name}.mp4", digest, 0.0, None, name, "test"))
        add_qa_pair(db, QAPair("qa", "clip-red", "1", "which way", "right", ("left", "right"), 1, None, 1.0, 0.5, 1.5))
        db.table("subtitle").insert(as_row(Subtitle("clip-red", 0, 0.6, 1.2, "Look!")))
    yield Lab(studio, sft, dpo)


def test_a_known_question_is_shown_as_a_row_about_it_and_free_words_are_about_the_whole_clip(lab: Lab) -> None:
    known, free = lab.trial("qa", "rationale"), lab.trial("and why?")
    assert "which way\nOptions:\nA. left\nB. right" in known.prompt and "First give the evidence" in known.prompt
    assert (known.clip.start_s, known.clip.end_s, known.context.pause_s, known.context.window_s) == (0.5, 1.5, 0.5, (0.0, 1.0))
    assert [line.text for line in known.context.lines] == ["Look!"]
    assert free.prompt.endswith("Question: and why?") and free.clip.end_s is None
    assert "Question" not in lab.trial("", "narrative").prompt


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("There is no question", {"question": " "}),
        ("0 adapters are chosen", {"runs": ()}),
        ("There is no clip", {"clip": "nowhere"}),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_loaded(lab: Lab, words: str, changes: dict[str, object]) -> None:
    with pytest.raises((InputError, NotFoundError), match=words):
        lab.trial(**changes)  # type: ignore[arg-type]


def test_adapters_that_were_shown_something_else_are_not_compared(lab: Lab) -> None:
    other = lab.studio.make(sft_config(frames=2), token="other")
    with pytest.raises(InputError, match="frames is"):
        shown_config(lab.data, lab.trial(runs=(lab.sft.id, other.id)))
    another = tuned_run(lab.studio, "another base", seed=8)
    with pytest.raises(InputError, match="different tiny models"):
        shown_config(lab.data, lab.trial(runs=(lab.sft.id, another.id)))
    # The control: SFT and the DPO run that came from it share base and view.
    config = shown_config(lab.data, replace(lab.trial(kind="rationale"), new_tokens=9))
    assert (config.stage, config.writes, config.new_tokens, config.frames) == ("write", "rationale", 9, sft_config().frames)
    assert base_of(lab.data, lab.dpo.id, load_config(lab.studio.directory(lab.dpo))).endswith("parent/model")


def test_base_sft_and_dpo_answer_beside_each_other_each_in_its_own_words(lab: Lab) -> None:
    tried = ask_trial(lab.data, replace(lab.trial("qa", "rationale"), new_tokens=12))
    assert [one.writer for one in tried.answers] == [BASE, "first", "second"]
    assert len({one.text for one in tried.answers}) == 3, "adapters with drawn weights say something else"
    assert all(one.tokens <= 12 and one.cut == (one.tokens == 12) for one in tried.answers) and tried.loading_s > 0


def test_a_child_that_takes_too_long_dies_or_refuses_is_told_in_words(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "REPOSITORY", tmp_path)
    (tmp_path / "slow.py").write_text("import threading; threading.Event().wait()")
    with pytest.raises(InputError, match=r"The trial took longer than 0\.5 s"):
        ask_child("slow", {}, 0.5, "The trial")
    (tmp_path / "full.py").write_text("raise MemoryError('no room')")
    with pytest.raises(InputError, match="ran out of memory"):
        ask_child("full", {}, 30, "The trial")
    (tmp_path / "odd.py").write_text("import sys; sys.exit('oh')")
    with pytest.raises(InputError, match=r"ended with code 1 and no answer\. oh"):
        ask_child("odd", {}, 30, "The trial")
    root = str(Path(__file__).resolve().parents[2])
    (tmp_path / "says.py").write_text(
        f"import sys; sys.path.insert(0, {root!r})\nfrom training.child import answer_as_child\nanswer_as_child(lambda asked: asked)"
    )
    assert ask_child("says", {"words": "back"}, 30, "The trial") == {"words": "back"}, "the control"
