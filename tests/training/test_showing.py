"""What a provider's model is shown: the frame at the time that stands before it, what is said at that moment, and nothing outside the window."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from store.guard import Limits
from tests.clips import make_clip, make_sound, number_in, shorten
from training.showing import Shows

ROOT = Path(__file__).resolve().parents[2]
FPS = 25
VIEW = {"layout": "interleaved", "frames": 4, "longest_px": 160, "max_lines": 64}
SAID = [[0.2, 0.6, "Look!"], [1.3, 1.6, "There it goes."]]


@dataclass
class Child:
    """A process that shows clips, and one of 2 s whose frames carry their numbers."""

    process: "subprocess.Popen[str]"
    folder: Path
    clip: Path

    def ask(self, **changes: Any) -> dict[str, Any]:
        view = {**VIEW, **changes.pop("view", {})}
        said = {"lines": SAID, "pause_s": None, "window_s": None, **changes.pop("said", {})}
        request = {"id": 7, "media": str(self.clip), "digest": "d" * 64, "start_s": 0.0, "end_s": None, "prompt": "Why?", "view": view, "said": said}
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({**request, **changes}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert answer["id"] == 7
        return answer


def start(folder: Path, *options: str, data_kib: int | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "training.showing", str(folder), *options]
    limited = ["bash", "-c", f'ulimit -d {data_kib}; exec "$@"', "bash", *command] if data_kib else command
    return subprocess.Popen(limited, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    folder = tmp_path_factory.mktemp("showing")
    make_clip(folder / "clip.mp4", seconds=2, fps=FPS)
    with start(folder / "pictures") as process:
        yield Child(process, folder, folder / "clip.mp4")
        process.kill()


def pictures(answer: dict[str, Any]) -> list[tuple[str, float, int]]:
    """Return for each picture the words before it, its time and the number that it shows."""
    parts = answer["parts"]
    return [(before["words"], part["time_s"], number_in(np.asarray(Image.open(part["picture"])))) for before, part in pairwise(parts) if "picture" in part]


def words_of(answer: dict[str, Any]) -> str:
    return "".join(part.get("words", "<picture>") for part in answer["parts"])


def on_display(time_s: float) -> int:
    return int(time_s * FPS + 1e-6)


@pytest.mark.parametrize("layout", ["interleaved", "block", "video"])
def test_each_picture_is_the_frame_at_the_time_that_stands_before_it(child: Child, layout: str) -> None:
    answer = child.ask(view={"layout": layout})
    shown = pictures(answer)
    assert [time_s for _, time_s, _ in shown] == answer["shown_s"] == [0.25, 0.75, 1.25, 1.75]
    assert [number for _, _, number in shown] == [on_display(time_s) for time_s in answer["shown_s"]]
    assert all(words.endswith(f"[{time_s:.1f} s]") for words, time_s, _ in shown)
    assert words_of(answer).endswith("Why?") and "Look!" in words_of(answer)


def test_what_is_said_stands_beside_the_picture_of_that_moment(child: Child) -> None:
    beside = words_of(child.ask()).split("<picture>")[1:]
    assert ["Look!" in words for words in beside] == [True, False, False, False]
    assert ["There it goes." in words for words in beside] == [False, False, True, False]


def test_times_count_from_the_start_of_the_clip_and_nothing_lies_outside_its_window(child: Child) -> None:
    answer = child.ask(start_s=0.5, said={"lines": [[-0.4, 0.1, "Before."], [0.3, 0.5, "In."], [1.2, 1.4, "After."]], "window_s": [0.0, 1.0]})
    for _, time_s, number in pictures(answer):
        assert 0.0 <= time_s < 1.0 and number == on_display(0.5 + time_s)
    assert "In." in words_of(answer) and "After." not in words_of(answer)
    wider = child.ask(start_s=0.5, said={"lines": [[1.2, 1.4, "After."]], "window_s": None})
    assert "After." in words_of(wider) and max(wider["shown_s"]) > 1.0, "the control"


def test_a_pause_is_shown_besides_and_the_pictures_that_lie_there_are_not_written_again(child: Child) -> None:
    before = {Path(part["picture"]): Path(part["picture"]).stat().st_ino for part in child.ask()["parts"] if "picture" in part}
    answer = child.ask(view={"keyframe": "in_order", "hint": True}, said={"pause_s": 1.0})
    assert (1.0, FPS) in [(time_s, number) for _, time_s, number in pictures(answer)]
    after = {Path(part["picture"]): Path(part["picture"]).stat().st_ino for part in answer["parts"] if "picture" in part}
    assert before.items() < after.items() and "paused at 1.0 s" in words_of(answer)


def test_a_blended_window_stands_behind_both_its_ends(child: Child) -> None:
    answer = child.ask(view={"pooling": "WA", "frames": 2})
    assert answer["shown_s"] == [0.5, 1.5] and re.findall(r"\[.*?\]", words_of(answer)) == ["[0.0-1.0 s]", "[1.0-2.0 s]"]


def test_what_is_left_out_is_told(child: Child) -> None:
    answer = child.ask(view={"max_lines": 1})
    assert answer["dropped"] == [["line", '0.2-0.6 s: "Look!"', "max_lines is 1"]]
    assert not child.ask()["dropped"], "the control"


def test_what_cannot_be_shown_is_a_sentence_and_the_next_clip_is_shown(child: Child) -> None:
    cut, sound, words = (child.folder / name for name in ("cut.mp4", "sound.mp4", "words.mp4"))
    make_clip(cut)
    shorten(cut, 0.5)
    make_sound(sound)
    words.write_text("no video at all")
    wrong: list[dict[str, Any]] = [{"media": str(path)} for path in (cut, sound, words, child.folder / "nowhere.mp4", child.folder)]
    wrong += [{"start_s": 9.0}, {"prompt": " "}, {"said": {"lines": [[2, 1, "x"]]}}, {"said": {"window_s": [5.0, 6.0]}}]
    wrong += [{"view": view} for view in ({"frames": "x"}, {"frames": 10_000}, {"longest_px": 0}, {"colours": 3}, {"budget_tokens": 900})]
    for changes in wrong:
        problem = child.ask(**changes).get("problem", "")
        assert problem.endswith(".") and "Traceback" not in problem, changes
    assert pictures(child.ask()), "the control"


def test_pictures_used_longest_ago_go_and_those_of_the_answer_stay(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    shows = Shows(tmp_path / "pictures", limit_bytes=1)
    request = {"media": str(tmp_path / "clip.mp4"), "digest": "d", "start_s": 0.0, "end_s": None, "prompt": "Why?", "said": {"lines": []}}
    for frames in (2, 3):
        parts = shows.answer({**request, "view": {**VIEW, "frames": frames}})["parts"]
        assert {part["picture"] for part in parts if "picture" in part} == {str(path) for path in (tmp_path / "pictures").iterdir()}


def test_neither_torch_nor_transformers_is_loaded(child: Child) -> None:
    script = "import sys; from training.showing import Shows; from pathlib import Path; Shows(Path(sys.argv[1]) / 'p').answer(eval(sys.argv[2]))\n"
    script += "sys.stdout.write(' '.join({name.split('.')[0] for name in sys.modules}))"
    request = {"media": str(child.clip), "digest": "d", "start_s": 0.0, "end_s": None, "prompt": "Why?", "said": {"lines": []}, "view": VIEW}
    command = [sys.executable, "-c", script, str(child.folder), repr(request)]
    loaded = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    assert {"av", "PIL", "numpy"} <= loaded, "the control: a clip was shown"
    assert not loaded & {"torch", "torchvision", "transformers", "peft", "trl", "datasets", "gradio", "curation"}


def test_a_hang_ends_the_process_also_when_nobody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs.mp4")
    asked = {"id": 7, "media": str(tmp_path / "hangs.mp4"), "digest": "d", "start_s": 0.0, "end_s": None, "prompt": "Why?", "said": {}, "view": VIEW}
    with start(tmp_path, "--seconds", "0.5") as process:
        answers, _ = process.communicate(json.dumps(asked) + "\n", timeout=30)
        assert (process.returncode, answers) == (-signal.SIGALRM, "")


def test_a_clip_that_takes_too_much_memory_is_a_sentence_and_the_next_one_is_shown(tmp_path: Path, child: Child) -> None:
    make_clip(tmp_path / "large.mp4", size=(1280, 720), options={"preset": "ultrafast"})
    with start(tmp_path, data_kib=180_000) as process:
        small = Child(process, tmp_path, child.clip)
        large = small.ask(media=str(tmp_path / "large.mp4"), digest="e" * 64, view={"frames": 50, "longest_px": 1280})
        assert "more memory" in large.get("problem", "")
        assert pictures(small.ask())
        process.kill()
    assert psutil.Process(child.process.pid).rlimit(psutil.RLIMIT_DATA)[0] == Limits().memory_bytes, "without anybody's help"
    assert "parts" in child.ask(media=str(tmp_path / "large.mp4"), digest="e" * 64, view={"frames": 50, "longest_px": 1280}), "the control"


def test_what_a_library_prints_is_no_answer() -> None:
    script = "import os; from training.lines import answer_lines; answer_lines(lambda asked: {'said': os.write(1, b'noise')})"
    asked = {"input": '{"id": 1}\n{"id": 2}\n', "cwd": ROOT, "capture_output": True, "text": True}
    ended: Any = subprocess.run([sys.executable, "-c", script], check=True, **asked)  # type: ignore[call-overload]
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [{"id": 1, "said": 5}, {"id": 2, "said": 5}]
    assert ended.stderr == "noisenoise"
