"""A run's state and figures come from its files, whoever reads them and whatever was killed; and a run goes on from wherever it was left."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curation.synthesis.arms import Arm
from curation.synthesis.choosing import Chosen
from curation.synthesis.executors.local import LocalExecutor
from curation.synthesis.journal import Journal, append, results_of, shard_names
from curation.synthesis.plan import Limits
from curation.synthesis.plan_files import read_plan, write_plan
from curation.synthesis.planning import plan_run
from curation.synthesis.prompts import load
from curation.synthesis.running import _alone, ask_to_stop, run_to_end, start_detached
from curation.synthesis.status import MARK, Status, dead_letters, list_directories, read_status
from curation.synthesis.wishes import Wish
from curation.synthesis.writing import Sampling
from store.database import open_store
from store.errors import ConflictError
from store.process import ProcessMark, read_mark, write_mark
from tests.curation.synthesis.orders import Here, WriterSpec, asked, lines, order, prices
from tests.curation.synthesis.test_worker import wait_for
from tests.model_acts import answer, failing, refuse, slow
from tests.model_server import ModelServer


def planned(project: Path, address: str = "", **changed: Any) -> Path:
    """Plan narratives of all clips of a project; return the run's directory."""
    writer = WriterSpec("openai", "m", address, answer_s=20.0) if address else WriterSpec("template", "1")
    arm = Arm("narrative", sources=True)
    wish = Wish(
        kind="narrative", arm=arm, writer=writer, sampling=Sampling(new_tokens=200), prompt=load("narrative"), **{"limits": Limits(attempts=2), **changed}
    )
    with open_store(project) as db:
        directory = plan_run(db, project, wish).directory
    assert directory is not None
    return directory


def gone_on(project: Path, directory: Path) -> Status:
    """Start or resume a run, with its worker in this process."""
    return run_to_end(project, directory, executor=Here())


def has_started(project: Path, directory: Path) -> bool:
    try:
        start_detached(project, directory)
    except ConflictError:
        return False
    return True


def texts(project: Path) -> int:
    with open_store(project) as db:
        return int(db["synthesis"].count)


def test_a_run_waits_runs_and_is_finished_with_its_texts_in_the_store(project: Path) -> None:
    with ModelServer() as server:
        directory = planned(project, server.address, prices=prices())
        assert read_status(directory).state == "waiting"
        told: list[Status] = []
        status = run_to_end(project, directory, told.append, Here())
        assert status.state == "finished" and status.written == status.of == 4 == texts(project) and not status.resumable
        assert told and {one.state for one in told} == {"running"}
        assert (status.tokens_in, status.tokens_out) == (server.tokens_in, server.tokens_out) and status.silent == 0
        assert status.money == pytest.approx((status.tokens_in + 10 * status.tokens_out) / 1e6)
        assert gone_on(project, directory).state == "finished" and server.numbered == 4 and texts(project) == 4
        assert list_directories(project) == [directory]


def test_a_stop_keeps_what_was_asked_and_a_resume_asks_for_the_rest(project: Path) -> None:
    with ModelServer(delay_s=0.4) as server:
        directory = planned(project, server.address, limits=Limits(in_flight=1))
        threading.Thread(target=lambda: (wait_for(lambda: server.numbered >= 1), ask_to_stop(directory))).start()
        status = gone_on(project, directory)
        assert status.state == "stopped" and status.resumable and 0 < status.written == texts(project) < 4 and not status.cut_off
        assert gone_on(project, directory).state == "finished"
        assert server.numbered == 4 == texts(project)


def test_what_another_run_was_paid_for_and_never_kept_is_not_paid_for_again(project: Path) -> None:
    with ModelServer() as server:
        directory = planned(project, server.address)
        other = planned(project, server.address, chosen=Chosen(datasets=("yard",)))
        for shard in shard_names(other):
            assert asked(other, shard) == "done"  # and killed before its texts were in the store
        assert server.numbered == 3 and texts(project) == 0
        status = gone_on(project, directory)
        assert (status.state, status.written, status.known, server.numbered, texts(project)) == ("finished", 1, 3, 4, 4)


def test_a_refusal_of_all_fails_the_run_with_the_providers_sentence_and_a_resume_goes_on(project: Path) -> None:
    with ModelServer(lambda question: refuse(401, "Incorrect API key.")) as server:
        directory = planned(project, server.address)
        status = gone_on(project, directory)
        assert status.state == "failed" and "Incorrect API key" in status.sentence and not status.dead and status.resumable
        server.play()
        assert gone_on(project, directory).state == "finished"


def test_what_failed_of_what_can_pass_is_asked_again_on_resume_and_nothing_else(project: Path) -> None:
    with ModelServer({"clip-0": failing(500), "clip-1": refuse(400, "This will never do.")}) as server:
        directory = planned(project, server.address)
        status = gone_on(project, directory)
        assert status.state == "finished" and status.dead == {"server": 1, "refused": 1} and status.written == 2 and status.resumable
        assert {dead.code: dead.passing for dead in dead_letters(directory)} == {"server": True, "refused": False}
        before = server.numbered
        server.play()
        status = gone_on(project, directory)
        assert status.dead == {"refused": 1} and status.written == 3 and not status.resumable and server.numbered == 1 and before == 5


def test_a_budget_that_is_used_up_says_how_to_go_on(project: Path) -> None:
    with ModelServer() as server:
        directory = planned(project, server.address, limits=Limits(in_flight=1, tokens=1_200))
        status = gone_on(project, directory)
        assert status.state == "stopped: budget" and "larger" in status.sentence and status.tokens <= 1_200 and 0 < status.written < 4
        plan = read_plan(directory)
        write_plan(directory, replace(plan, limits=replace(plan.limits, tokens=None)))
        assert gone_on(project, directory).state == "finished" and server.numbered == 4


def test_one_run_asks_a_generator_at_a_time(project: Path) -> None:
    directory = planned(project)
    with _alone(project, read_plan(directory).writer):
        with pytest.raises(ConflictError):
            gone_on(project, directory)
        with pytest.raises(ConflictError):
            start_detached(project, directory)
    assert gone_on(project, directory).state == "finished"


def test_a_run_that_cannot_begin_says_why(project: Path) -> None:
    with ModelServer({"clip-0": failing(500)}) as server:
        directory = planned(project, server.address)
        gone_on(project, directory)
        write_plan(directory, replace(read_plan(directory), writer=replace(read_plan(directory).writer, answer_s=0.0)))
        journal = Journal(results_of(directory, shard_names(directory)[0]))
        with pytest.raises(ConflictError):
            gone_on(project, directory)
        journal.close()
        status = read_status(directory)
        assert status.state == "failed" and "Another worker" in status.sentence and status.resumable


def test_a_run_whose_process_is_gone_without_a_word_is_crashed_and_tells_what_was_perhaps_paid(tmp_path: Path) -> None:
    directory = order(tmp_path, 5, "http://127.0.0.1:9")
    append(results_of(directory, "000"), [{"what": "started", "pid": 1}, *({"what": "begun", "key": f"key-{n}", "reserved": [5, 5]} for n in range(3))])
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = ProcessMark.of(process.pid)
    assert mark is not None
    write_mark(directory / MARK, mark)
    status = read_status(directory)
    assert (status.state, status.in_flight, status.cut_off) == ("running", 3, 0)
    process.communicate(b"\n")
    status = read_status(directory)
    assert (status.state, status.in_flight, status.cut_off, status.resumable) == ("crashed", 0, 3, True)


def test_a_status_read_line_by_line_is_the_one_read_at_once(tmp_path: Path) -> None:
    with ModelServer([failing(500), answer(), refuse(400, "No."), *[answer()] * 9]) as server:
        directory = order(tmp_path, 8, server.address, limits=Limits(in_flight=2), prices=prices())
        asked(directory)
    path = results_of(directory, "000")
    whole, status = path.read_bytes(), None
    for end in range(0, len(whole) + 1, 97):
        path.write_bytes(whole[:end])
        status = read_status(directory, status, now_s=0.0)
    path.write_bytes(whole)
    assert read_status(directory, status, now_s=0.0) == read_status(directory, now_s=0.0)


def test_the_time_left_is_told_from_the_last_minute_and_from_three_texts_on(tmp_path: Path) -> None:
    directory = order(tmp_path, 100)
    mark = ProcessMark.of(os.getpid())
    assert mark is not None
    write_mark(directory / MARK, mark)
    path = results_of(directory, "000")
    path.parent.mkdir()

    def write(key: int, at: float) -> None:
        line = {"at": at, "what": "written", "key": f"{key}", "paid": [1, 1]}
        with path.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    write(0, 900.0)  # long ago
    write(1, 1_000.0)
    write(2, 1_010.0)
    assert read_status(directory, now_s=1_020.0).rate is None
    write(3, 1_019.0)
    status = read_status(directory, now_s=1_020.0)
    assert status.rate == pytest.approx(3 / 20) and status.eta_s == pytest.approx(96 / (3 / 20))
    assert read_status(directory, now_s=1_200.0).rate is None


def test_the_command_line_goes_on_after_kill_9_and_asks_again_for_what_was_in_flight_only(project: Path) -> None:
    with ModelServer(lambda question: slow(0.3 if question.number else 0.05)) as server:
        directory = planned(project, server.address, limits=Limits(in_flight=2))
        start_detached(project, directory)
        wait_for(lambda: read_status(directory).written >= 1 and read_status(directory).in_flight > 0)
        mark = read_mark(directory / MARK)
        assert mark is not None
        for pid in (mark.pid, lines(directory, what="started")[-1]["pid"]):
            os.kill(pid, 9)
        assert mark.wait(10)
        crashed = read_status(directory)
        assert crashed.state == "crashed" and 1 <= crashed.cut_off <= 2
        server.play()
        wait_for(lambda: has_started(project, directory))  # the system takes a moment to let go of a dead process's lock
        wait_for(lambda: read_status(directory).state == "finished", 40)
        status = read_status(directory)
        assert status.written == 4 == texts(project) and status.cut_off == crashed.cut_off
        assert server.numbered == 4 - crashed.written


def test_two_interrupts_end_a_run_at_once(project: Path) -> None:
    with ModelServer(delay_s=15) as server:
        directory = planned(project, server.address)

        def interrupt(status: Status) -> None:
            if server.numbered:
                raise KeyboardInterrupt

        begun_s = time.monotonic()
        status = run_to_end(project, directory, interrupt, LocalExecutor(1))
        assert status.state == "stopped" and status.cut_off == 4 and time.monotonic() - begun_s < 12
