"""`python -m training pool`: POVQA's folder with true times, whole after any kill, and clear about what it cannot do."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import training.pool_files
from store.errors import InputError
from store.media import read_frames
from store.subtitles import Cue
from tests.clips import make_clip
from training.__main__ import main
from training.pool_journal import JOURNAL
from training.pool_layout import FOLDERS, Chunk, annotated_key_frames, key_frame, metadata
from training.pooling import METHODS

ROOT = Path(__file__).resolve().parents[2]
SECONDS, FPS = 6, 25
POVQA_SUMMARY = (  # as its Hugging Face card lists them
    "movie", "video_path", "fps_mode", "fps_used_or_native", "target_fps_arg", "chunk_size_arg", "chunk_seconds", "skip_frames_between_chunks", "resize_to",
    "avg_method", "total_chunks", "frames_processed", "has_subtitles", "key_frames_found", "key_frames_total_in_annotations", "annotation_file", "output_dir",
)  # fmt: skip
SRT = "1\n00:00:01,500 --> 00:00:02,500\nHello,\nyou.\n\n2\n00:00:05,000 --> 00:00:04,000\nBackwards.\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "a_film.mp4"
    make_clip(path, seconds=SECONDS, fps=FPS)
    return path


def pooled(film: Path, out: Path, *arguments: str) -> Path:
    """Pool a film in this process and return its folder."""
    assert main(["pool", str(film), str(out), *arguments]) == 0
    return out / film.stem


def told(folder: Path, name: str = "run_summary.json") -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file but the summary, which names its folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "run_summary.json"}


# ---- the layout ----------------------------------------------------------------------------------------------------


def test_the_folder_is_as_povqas_programs_read_it(film: Path, tmp_path: Path) -> None:
    (tmp_path / "lines.srt").write_text(SRT, encoding="utf-8")
    (tmp_path / "questions.json").write_text(json.dumps([{"timestamp": "00:00:03", "index": 7, "question": "?"}]), encoding="utf-8")
    folder = pooled(film, tmp_path, "--window", "1", "--subtitles", str(tmp_path / "lines.srt"), "--annotations", str(tmp_path / "questions.json"))
    for method in METHODS:
        assert [path.name for path in sorted((folder / FOLDERS[method]).iterdir())] == [f"frame{number:05d}.jpg" for number in range(1, SECONDS + 1)]
        lines = told(folder, f"metadata_text_centric_{FOLDERS[method]}.json")
        assert [(line["text"], line["text_start_time_sec"], line["text_end_time_sec"]) for line in lines] == [
            ("", 0.0, 1.5),
            ("Hello, you.", 1.5, 2.5),
            ("", 2.5, 6.0),
        ]
        assert lines[1]["corresponding_chunks"] == [
            {"image_file_range": "sample00026-sample00050", "saved_chunk_filename": "frame00002.jpg", "chunk_start_time_sec": 1.0, "chunk_end_time_sec": 2.0},
            {"image_file_range": "sample00051-sample00075", "saved_chunk_filename": "frame00003.jpg", "chunk_start_time_sec": 2.0, "chunk_end_time_sec": 3.0},
        ]
    assert [path.name for path in (folder / "KEY_FRAMES").iterdir()] == ["KEY_00-00-03_0007.jpg"]
    summary = told(folder)
    assert [*summary] == [*POVQA_SUMMARY, "eyewitness"]
    assert (summary["total_chunks"], summary["frames_processed"], summary["fps_used_or_native"]) == (SECONDS, SECONDS * FPS, FPS)
    assert (summary["has_subtitles"], summary["key_frames_found"], summary["key_frames_total_in_annotations"]) == (True, 1, 1)
    assert "Line 7" in summary["eyewitness"]["subtitle_problems"][0]


def test_a_png_of_a_window_with_one_frame_is_that_frame(film: Path, tmp_path: Path) -> None:
    folder = pooled(film, tmp_path, "--window", "0.04", "--method", "WA", "--size", "64x32", "--png", "--key", "0:00:02.5")
    with Image.open(folder / FOLDERS["WA"] / "frame00063.png") as picture, Image.open(folder / "KEY_FRAMES" / "KEY_0-00-02.5_0000.png") as key:
        frame = read_frames(film, [62.5 / FPS], (64, 32)).pixels[0]
        assert np.array_equal(np.asarray(picture), frame) and np.array_equal(np.asarray(key), frame)


def test_povqas_labels_are_whole_seconds_over_counted_frames_and_ours_the_true_times(tmp_path: Path) -> None:
    make_clip(tmp_path / "film.mp4", times_s=[k / 12.5 for k in range(60)])  # 4.8 s; 12.5 is rounded to 12 frames a second
    ends = {}
    for way in ("povqa", "time"):
        folder = pooled(tmp_path / "film.mp4", tmp_path / way, "--method", "WA", *(["--compat", "povqa"] if way == "povqa" else []))
        ends[way] = told(folder, f"metadata_text_centric_{FOLDERS['WA']}.json")[-1]["corresponding_chunks"][-1]
    assert (ends["povqa"]["chunk_start_time_sec"], ends["povqa"]["chunk_end_time_sec"]) == (4.0, 5.0)
    assert (ends["time"]["chunk_start_time_sec"], ends["time"]["chunk_end_time_sec"]) == (4.0, 4.8)
    assert ends["povqa"]["image_file_range"] == "sample00005-sample00016"  # as its code has it: 12 frames from the window's number on
    assert ends["time"]["image_file_range"] == "sample00051-sample00060"
    assert told(tmp_path / "povqa" / "film")["resize_to"] == [224, 224]


def naive_metadata(chunks: list[Chunk], cues: list[Cue]) -> list[tuple[str, float, float, list[int]]]:
    """Return the lines as seeds of POVQA's code describe them, each chunk tried against each line."""

    def hung(start_s: float, end_s: float) -> list[int]:
        return [chunk.number for chunk in chunks if max(start_s, chunk.start_s) < min(end_s, chunk.end_s)]

    lines, last_end_s = [], 0.0
    for cue in cues:
        if cue.start_s > last_end_s + 1e-3 and hung(last_end_s, cue.start_s):
            lines.append(("", last_end_s, cue.start_s, hung(last_end_s, cue.start_s)))
        lines.append((cue.text, cue.start_s, cue.end_s, hung(cue.start_s, cue.end_s)))
        last_end_s = max(last_end_s, cue.end_s)
    if chunks and chunks[-1].end_s > last_end_s + 1e-3 and hung(last_end_s, chunks[-1].end_s):
        lines.append(("", last_end_s, chunks[-1].end_s, hung(last_end_s, chunks[-1].end_s)))
    return lines


TENTHS = st.integers(0, 120)


@given(st.integers(0, 10), st.lists(st.tuples(TENTHS, st.integers(1, 40)), max_size=8))
def test_each_chunk_hangs_on_every_line_and_silence_that_it_overlaps(count: int, spans: list[tuple[int, int]]) -> None:
    chunks = [Chunk(number, number - 1.0, float(number), 25, 1, 25, 0, False) for number in range(1, count + 1)]
    cues = [Cue(start / 10, (start + lasts) / 10, "words") for start, lasts in sorted(spans)]
    lines = metadata(chunks, cues, ".jpg")
    seen = [
        (
            line["text"],
            line["text_start_time_sec"],
            line["text_end_time_sec"],
            [int(chunk["saved_chunk_filename"][5:10]) for chunk in line["corresponding_chunks"]],
        )
        for line in lines
    ]
    assert seen == naive_metadata(chunks, cues)


def test_key_frames_are_named_by_time_and_number() -> None:
    assert key_frame("00:08:32", 0).name == "KEY_00-08-32_0000" and key_frame("00:08:32", 0).time_s == 512
    assert key_frame("3661.5", 12).name == "KEY_01-01-01.5_0012" and key_frame("3661.5", 12).time_s == 3661.5
    assert [key.name for key in annotated_key_frames([{"timestamp": "01:02", "index": 3}])] == ["KEY_01-02_0003"]
    for bad in ("", "../x", "-1", "nan", "00:99:00", "1e9"):
        with pytest.raises(InputError, match="no time of a key frame"):
            key_frame(bad, 0)
    for items in ({"timestamp": "00:00:01"}, [{"timestamp": "00:00:01"}], [{"timestamp": 1, "index": 0}], [{"timestamp": "00:00:01", "index": True}]):
        with pytest.raises(InputError):
            annotated_key_frames(items)


# ---- killed and asked for again ------------------------------------------------------------------------------------

WAYS = [(), ("--compat", "povqa"), ("--cut-at-shots",), ("--fast",)]


KILLED = """
import os, signal, sys
import training.pool_files as files
from training.__main__ import main

left, write = int(sys.argv[1]), files._write_picture

def write_or_die(path, pixels):
    global left
    left -= 1
    if left < 0:
        path.with_name(f".{path.name}.part").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, pixels)

files._write_picture = write_or_die
main(sys.argv[2:])
"""


def kill_at(picture: int, command: list[str]) -> None:
    """Run the command in a process of its own that is killed while it writes a picture, counted from 0."""
    own = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(picture), *command], capture_output=True, env=own, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way) or "time")
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(film: Path, tmp_path: Path, way: tuple[str, ...]) -> None:
    arguments = ["--window", "0.3", "--size", "96", *way]
    whole = pooled(film, tmp_path / "whole", *arguments)
    folder = tmp_path / "killed" / film.stem
    for pictures, windows in ((34, 8), (13, 11)):
        kill_at(pictures, ["pool", str(film), str(tmp_path / "killed"), *arguments])
        assert len((folder / JOURNAL).read_bytes().splitlines()) == 1 + windows
        assert not (folder / "run_summary.json").exists()
    pooled(film, tmp_path / "killed", *arguments)
    assert contents(folder) == contents(whole)
    assert told(folder)["eyewitness"] == told(whole)["eyewitness"]


def test_a_film_that_ends_a_little_late_goes_on_with_the_same_windows(tmp_path: Path) -> None:
    film = tmp_path / "late.mkv"  # whole milliseconds, as WebM has them
    make_clip(film, times_s=[*(k / 25 for k in range(50)), 2.007], options={"bf": "0"})
    arguments = ["--size", "96", "--method", "WA", "--window", "1"]
    whole = pooled(film, tmp_path / "whole", *arguments)
    assert [path.name for path in sorted((whole / FOLDERS["WA"]).iterdir())] == ["frame00001.jpg", "frame00002.jpg"]
    ends_s = told(whole, f"metadata_text_centric_{FOLDERS['WA']}.json")[-1]["corresponding_chunks"][-1]["chunk_end_time_sec"]
    assert 2.007 < ends_s < 2.05
    kill_at(1, ["pool", str(film), str(tmp_path / "killed"), *arguments])
    assert contents(pooled(film, tmp_path / "killed", *arguments)) == contents(whole)
    # Killed between the last window and the word that all are there.
    journal = whole / JOURNAL
    before = contents(whole)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    assert contents(pooled(film, tmp_path / "whole", *arguments)) == before


def test_windows_that_count_frames_cannot_be_begun_in_the_middle(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--window", "0.5", "--size", "96", "--compat", "povqa"]
    folder = pooled(film, tmp_path, *arguments)
    before = contents(folder)
    (folder / FOLDERS["WA"] / "frame00009.jpg").unlink()
    monkeypatch.setattr(training.pool_files.PoolOrder, "seeks", True)
    pooled(film, tmp_path, *arguments)
    assert contents(folder) != before


def test_pictures_cut_off_by_a_power_cut_are_made_anew_from_the_first_one_on(film: Path, tmp_path: Path) -> None:
    folder = pooled(film, tmp_path, "--window", "1", "--size", "96")
    before = contents(folder)
    torn = folder / FOLDERS["WAR"] / "frame00003.jpg"
    torn.write_bytes(torn.read_bytes()[:-40])
    lost = folder / FOLDERS["WA"] / "frame00005.jpg"
    lost.unlink()
    journal = folder / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-9])
    pooled(film, tmp_path, "--window", "1", "--size", "96")
    assert contents(folder) == before


def test_going_on_decodes_from_the_first_missing_window_and_nothing_when_none_is_missing(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pooled(film, tmp_path, "--size", "96")
    begun: list[float] = []
    real = training.pool_files.shown_frames

    def watched(path: Path, start_s: float, *rest: Any, **more: Any) -> Any:
        begun.append(start_s)
        return real(path, start_s, *rest, **more)

    monkeypatch.setattr(training.pool_files, "shown_frames", watched)
    pooled(film, tmp_path, "--size", "96")
    assert begun == []
    (folder / FOLDERS["BBLF"] / "frame00005.jpg").unlink()
    pooled(film, tmp_path, "--size", "96")
    assert begun == [4.0]


# ---- what it refuses, and what it tells ----------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *command: object) -> str:
    """Return the sentence with which a command is refused."""
    assert main(["pool", *map(str, command)]) == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_what_cannot_be_pooled_is_refused_with_a_sentence(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no file" in refused(capsys, tmp_path / "none.mp4", tmp_path)
    assert "window of 0 s" in refused(capsys, film, tmp_path, "--window", "0")
    assert "window of nan s" in refused(capsys, film, tmp_path, "--window", "nan")
    assert "half-life of 0 s" in refused(capsys, film, tmp_path, "--half-life", "0")
    assert "shorter --window" in refused(capsys, film, tmp_path, "--window", "60")
    assert "no subtitles" in refused(capsys, film, tmp_path, "--subtitles", film)
    assert "no time" in refused(capsys, film, tmp_path, "--key", "soon")
    assert "1 or more" in refused(capsys, film, tmp_path, "--size", "0")
    assert "POVQA" in refused(capsys, film, tmp_path, "--compat", "povqa", "--fast")
    assert "light" in refused(capsys, film, tmp_path, "--linear-light", "--fast")
    assert "has its own" in refused(capsys, film, tmp_path, "--compat", "povqa", "--half-life", "0.5")
    (tmp_path / "lines.txt").write_text(SRT, encoding="utf-8")
    assert ".srt" in refused(capsys, film, tmp_path, "--subtitles", tmp_path / "lines.txt")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    assert "bad.mp4" in refused(capsys, tmp_path / "bad.mp4", tmp_path)
    (tmp_path / "bad.json").write_text("[", encoding="utf-8")
    assert "not JSON" in refused(capsys, film, tmp_path, "--annotations", tmp_path / "bad.json")
    with pytest.raises(SystemExit, match="2"):
        main(["pool", str(film), str(tmp_path), "--size", "big"])
    assert not list(tmp_path.rglob("frame*"))
    assert pooled(film, tmp_path, "--size", "96"), "an order that came to nothing does not stand in the way of a right one"


def test_the_length_that_a_refusal_tells_is_a_window_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_clip(tmp_path / "film.mp4", times_s=[k / 30 for k in range(20)])  # 0.6666... s
    told_s = refused(capsys, tmp_path / "film.mp4", tmp_path, "--window", "1").split(" lasts ")[1].split(" s")[0]
    assert told_s == "0.667"
    assert len(list((pooled(tmp_path / "film.mp4", tmp_path, "--window", told_s, "--method", "WA") / FOLDERS["WA"]).iterdir())) == 1


def test_subtitles_that_can_hardly_be_the_films_are_doubted(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    srt = tmp_path / "lines.srt"
    arguments = ("--size", "32", "--method", "WA", "--window", "3", "--subtitles", str(srt))
    for text, doubt in (
        ("", "No spoken line"),
        ("00:00:01,000 --> 00:00:02,000\nHello.\n\n00:01:00,000 --> 00:01:02,000\nLate.\n", "1 of its 2 lines begin after"),
    ):
        srt.write_text(text, encoding="utf-8")
        folder = pooled(film, tmp_path, *arguments)
        assert doubt in capsys.readouterr().err
        assert doubt in told(folder)["eyewitness"]["subtitle_problems"][0]
    srt.write_text("".join(f"00:00:0{number % 10},000 -> broken\n\n{number}\n" for number in range(40)), encoding="utf-8")
    pooled(film, tmp_path, *arguments)
    assert len([line for line in capsys.readouterr().err.splitlines() if str(srt) in line]) == 11
    srt.write_text("00:00:01,000 --> 00:00:02,000\nHello.\n", encoding="utf-8")
    pooled(film, tmp_path, *arguments)
    assert str(srt) not in capsys.readouterr().err, "the control"


def test_the_folder_holds_the_key_frames_of_the_last_command_and_no_other(film: Path, tmp_path: Path) -> None:
    for times in (("1", "2"), ("3",), ()):
        folder = pooled(film, tmp_path, "--size", "32", "--method", "WA", *(["--key", *times] if times else []))
        assert sorted(path.name for path in folder.glob("KEY_FRAMES/*")) == [f"KEY_00-00-0{time}_{number:04d}.jpg" for number, time in enumerate(times)]
        assert told(folder)["key_frames_found"] == len(times)


def test_a_folder_with_other_pictures_is_left_alone(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pooled(film, tmp_path, "--size", "96")
    before = contents(folder)
    assert "window_s 1.0 and not 2.0" in refused(capsys, film, tmp_path, "--size", "96", "--window", "2")
    with (folder / JOURNAL).open("rb") as stream:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX)
        assert "Another process" in refused(capsys, film, tmp_path, "--size", "96")
    assert contents(folder) == before
    (folder / JOURNAL).unlink()
    assert "did not make" in refused(capsys, film, tmp_path, "--size", "96")


def test_a_folder_that_cannot_be_written_is_a_sentence(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "cannot be written" in refused(capsys, film, tmp_path / "file")


def test_key_frames_behind_the_end_are_counted_and_told(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pooled(film, tmp_path, "--size", "96", "--window", "2", "--key", "1", "00:00:05", "--key", "99")
    assert sorted(path.name for path in (folder / "KEY_FRAMES").iterdir()) == ["KEY_00-00-01_0000.jpg", "KEY_00-00-05_0001.jpg"]
    assert (told(folder)["key_frames_found"], told(folder)["key_frames_total_in_annotations"]) == (2, 3)
    assert "which were left out: 1" in capsys.readouterr().err


def test_a_damaged_film_is_pooled_without_its_damage_which_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hurt.mkv"
    make_clip(path, seconds=6, fps=25, options={"g": "25", "bf": "0"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 600] = bytes(600)
    path.write_bytes(content)
    folder = pooled(path, tmp_path, "--size", "96", "--key", "1", "2", "3", "4", "5")
    ours = told(folder)["eyewitness"]
    assert 0 < told(folder)["key_frames_found"] < 5  # one rests on damage, and the others are there
    assert ours["damaged_frames"] > 0 and ours["windows_with_damage"]
    assert "is damaged" in capsys.readouterr().err
