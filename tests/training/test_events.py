"""The file through which a run speaks."""

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.events import EventLog, last_event, read_events, thin


def test_reading_from_an_offset_gives_each_event_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    assert read_events(path).events == ()
    log.emit("phase", phase="loading")
    log.emit("step", step=1, loss=0.5)
    first = read_events(path)
    log.emit("step", step=2, loss=0.25)
    second = read_events(path, first.offset)
    assert [event["kind"] for event in first.events] == ["phase", "step"]
    assert [event["step"] for event in second.events] == [2]
    assert read_events(path, second.offset).events == ()
    assert second.events[0]["phase"] == "loading", "every event says in which phase it fell"
    log.close()


def test_a_disk_that_takes_half_a_line_leaves_whole_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    log, write = EventLog(path), os.write
    log.emit("phase", phase="loading")
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:9]))
        with pytest.raises(OSError, match="No space left"):
            log.emit("step", step=1)
    log.emit("step", step=2)
    assert [event["kind"] for event in read_events(path).events] == ["phase", "step"]
    log.close()


@pytest.mark.parametrize("left", ["", '{"at": 1, "kind": "step"}\n', '{"at": 1, "kind": "step"}\n{"at": 2, "ki'])
def test_who_goes_on_begins_at_a_new_line(tmp_path: Path, left: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(left)
    log = EventLog(path)
    log.emit("resumed")
    log.close()
    assert [event["kind"] for event in read_events(path).events] == ["step"] * left.count("\n") + ["resumed"]


def test_a_line_that_is_still_being_written_waits_for_the_next_reading(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = json.dumps({"kind": "step", "step": 1}) + "\n"
    path.write_text(whole + '{"kind": "st')
    tail = read_events(path)
    assert (len(tail.events), tail.offset) == (1, len(whole))
    path.write_text(whole + '{"kind": "step", "step": 2}\n')
    assert read_events(path, tail.offset).events[0]["step"] == 2


def test_two_threads_never_mix_their_lines(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")

    def write(name: str) -> None:
        for number in range(300):
            log.emit("note", text=f"{name} {number} " + "é" * 200)
            log.heartbeat()

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = read_events(tmp_path / "events.jsonl").events
    assert len(events) == 1200
    assert {event["text"].split()[0] for event in events if event["kind"] == "note"} == {"a", "b"}


def test_a_heartbeat_is_a_sign_of_life_and_no_progress(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.emit("phase", phase="training")
    log._progress_s -= 300
    log.heartbeat()
    log.heartbeat()
    beats = [event for event in read_events(tmp_path / "events.jsonl").events if event["kind"] == "heartbeat"]
    assert [beat["idle_s"] >= 300 for beat in beats] == [True, True]
    assert beats[0]["phase"] == "training"
    log.emit("step", step=1)
    log.heartbeat()
    assert last_event(tmp_path / "events.jsonl")["idle_s"] < 5  # type: ignore[index]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=40))
def test_the_last_event_is_found_from_the_end(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    log = EventLog(path)
    for text in texts:
        log.emit("note", text=text)
    log.close()
    assert (last_event(path, tail_bytes=4000) or {})["text"] == texts[-1]
    assert last_event(path.with_name("none")) is None


def test_a_number_that_json_cannot_say_is_a_bug_and_not_a_broken_line(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(ValueError, match="Out of range"):
        log.emit("step", loss=float("nan"))
    assert read_events(tmp_path / "events.jsonl").events == ()


@given(st.lists(st.floats(-1e6, 1e6), max_size=3000), st.integers(4, 60))
def test_thinning_keeps_ends_and_extremes_in_order(values: list[float], limit: int) -> None:
    points = list(enumerate(values))
    kept = thin([(float(x), y) for x, y in points], limit)
    assert len(kept) <= max(limit, 0)
    assert kept == sorted(kept, key=lambda point: point[0])
    if values:
        assert (kept[0], kept[-1]) == ((0, values[0]), (len(values) - 1, values[-1]))
        assert {min(values), max(values)} <= {y for _, y in kept}
