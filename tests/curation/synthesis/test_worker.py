"""What a worker asks, keeps and leaves, against a real server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from curation.synthesis.journal import Journal, append, results_of, see
from curation.synthesis.plan import Limits
from store.errors import ConflictError
from tests.curation.synthesis.orders import ROOT, asked, lines, order, prices
from tests.model_acts import Act, Question, answer, blocked, cut, empty, failing, malformed, refuse, slow, too_many
from tests.model_server import ModelServer


def test_each_item_is_asked_once_with_as_many_in_flight_as_allowed_and_its_cost_kept(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.02) as server:
        directory = order(tmp_path, 40, server.address, limits=Limits(in_flight=8), prices=prices())
        assert asked(directory) == "done"
        assert server.numbered == 40 and server.most_in_flight == 8 and set(server.delivered.values()) == {1}
        written = lines(directory, what="written")
        assert {line["key"] for line in written} == {f"key-{number:05}" for number in range(40)}
        assert sum(line["tokens_in"] for line in written) == server.tokens_in and sum(line["tokens_out"] for line in written) == server.tokens_out
        assert all(line["money"] == pytest.approx((line["tokens_in"] + 10 * line["tokens_out"]) / 1e6) for line in written)
        assert all(line["text"] and "[Q" not in line["text"] and line["sources"] and line["model"] == "m-2026-01-01" for line in written)


def test_a_shard_that_is_done_asks_for_nothing(tmp_path: Path) -> None:
    with ModelServer() as server:
        directory = order(tmp_path, 5, server.address)
        asked(directory)
        before = results_of(directory, "000").read_bytes()
        assert asked(directory) == "done" and server.numbered == 5
        assert [json.loads(line)["what"] for line in results_of(directory, "000").read_bytes()[len(before) :].splitlines()] == ["started", "ended"]


def test_what_can_pass_is_tried_again_and_what_cannot_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    script = {
        "clip 00001": failing(500),
        "clip 00002": blocked("answer"),
        "clip 00003": refuse(400, "There is no such thing."),
        "clip 00004": empty(),
        "clip 00005": malformed(),
        "clip 00006": cut(),
    }
    with ModelServer(script) as server:
        directory = order(tmp_path, 8, server.address, limits=Limits(in_flight=4, attempts=3))
        assert asked(directory) == "done"
        dead = {line["key"]: line for line in lines(directory, what="dead")}
        assert {key: (line["code"], line["attempts"]) for key, line in dead.items()} == {
            "key-00001": ("server", 3),
            "key-00002": ("blocked", 1),
            "key-00003": ("refused", 1),
            "key-00004": ("empty", 3),
            "key-00005": ("malformed", 3),
            "key-00006": ("network", 3),
        }
        assert all(line["reason"].endswith(".") for line in dead.values())
        assert {line["key"] for line in lines(directory, what="written")} == {"key-00000", "key-00007"}
        assert server.numbered == 2 + 3 + 1 + 1 + 3 + 3 + 3
        # An answer that was none is paid all the same; of three that came without a count of tokens, nobody knows it.
        seen = see(results_of(directory, "000"))
        assert seen.told.read == sum(len(question.words) // 4 + 1 for question in server.questions if said(question)) and seen.silent == 6


def said(question: Question) -> bool:
    """Return whether the client was told the tokens of this question."""
    return not any(words in question.words for words in ("clip 00001", "clip 00003", "clip 00005", "clip 00006"))


def test_a_passing_error_costs_a_try_and_the_next_answer_counts_both(tmp_path: Path) -> None:
    with ModelServer([failing(503), too_many("0"), answer()]) as server:
        directory = order(tmp_path, 1, server.address)
        assert asked(directory) == "done"
        (written,) = lines(directory, what="written")
        assert written["attempts"] == 3 and [line["code"] for line in lines(directory, what="failed")] == ["server", "rate"]


def test_a_time_that_the_server_names_holds_all_questions_back(tmp_path: Path) -> None:
    moments: list[float] = []

    def script(question: object) -> object:
        moments.append(time.monotonic())
        return too_many("1") if len(moments) == 1 else answer()

    with ModelServer(script) as server:  # type: ignore[arg-type]
        directory = order(tmp_path, 6, server.address, limits=Limits(in_flight=2))
        assert asked(directory) == "done"
    late = [moment for moment in moments if moment > moments[0] + 0.3]
    # One more may have been under way.
    assert len(late) >= 5 and min(late) - moments[0] > 0.95


def test_a_refusal_of_all_stops_the_worker_and_sets_nothing_aside(tmp_path: Path) -> None:
    with ModelServer(lambda question: refuse(401, "Incorrect API key.")) as server:
        directory = order(tmp_path, 20, server.address, limits=Limits(in_flight=2))
        assert asked(directory) == "failed"
        assert server.numbered <= 2 and not lines(directory, what="dead")
        assert "Incorrect API key" in lines(directory, what="ended")[-1]["sentence"]
        server.play()
        assert asked(directory) == "done" and len(lines(directory, what="written")) == 20


@pytest.mark.parametrize(("act", "most"), [(failing(500), 8), (blocked("answer"), 4 * 8)])
def test_a_provider_that_is_down_or_refuses_all_stops_the_worker_instead_of_emptying_the_shard_into_the_dead(tmp_path: Path, act: Act, most: int) -> None:
    with ModelServer(lambda question: act) as server:
        directory = order(tmp_path, 80, server.address, limits=Limits(in_flight=4, attempts=2))
        assert asked(directory) == "failed"
        assert most <= len(lines(directory, what="dead")) <= most + 4 and "in a row" in lines(directory, what="ended")[-1]["sentence"]


def test_a_stop_awaits_what_is_paid_and_asks_nothing_more(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.3) as server:
        directory = order(tmp_path, 50, server.address, limits=Limits(in_flight=5))
        threading.Timer(0.4, (directory / "stop").touch).start()
        assert asked(directory) == "stopped"
        assert 5 <= server.numbered < 50 and len(lines(directory, what="written")) == server.numbered
        assert not see(results_of(directory, "000")).open


def test_a_long_wait_for_the_provider_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with ModelServer(lambda question: too_many("600")) as server:
        directory = order(tmp_path, 5, server.address)
        threading.Timer(0.3, (directory / "stop").touch).start()
        begun_s = time.monotonic()
        assert asked(directory) == "stopped" and time.monotonic() - begun_s < 10
        assert server.numbered <= 8


def test_a_budget_is_never_exceeded_and_its_rest_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.01) as server:
        directory = order(tmp_path, 30, server.address, limits=Limits(in_flight=8))
        assert asked(directory, tokens=9_000) == "budget"
        spent = see(results_of(directory, "000")).spent
        assert 9_000 - 2_000 < spent.total <= 9_000 and spent.total == server.tokens_in + server.tokens_out
        assert 0 < len(lines(directory, what="written")) < 30
        assert asked(directory) == "done" and server.numbered == 30


def test_a_pace_a_minute_is_kept(tmp_path: Path) -> None:
    moments: list[float] = []

    def script(question: object) -> object:
        moments.append(time.monotonic())
        return answer()

    with ModelServer(script) as server:  # type: ignore[arg-type]
        asked(order(tmp_path, 6, server.address, limits=Limits(in_flight=6)), a_minute=600)
    assert moments[-1] - moments[0] > 0.45


def test_half_a_line_that_a_kill_left_is_cut_off_and_the_item_asked(tmp_path: Path) -> None:
    with ModelServer() as server:
        directory = order(tmp_path, 3, server.address)
        asked(directory)
        path = results_of(directory, "000")
        whole = path.read_bytes()
        last = whole.rstrip(b"\n").rfind(b'{"at"', 0, whole.rfind(b'"written"'))
        path.write_bytes(whole[: last + 40])
        assert asked(directory) == "done"
        assert server.numbered == 4 and len(see(path).held) == 3


def test_two_workers_never_write_to_one_shard(tmp_path: Path) -> None:
    path = tmp_path / "results" / "000.jsonl"
    journal = Journal(path)
    with pytest.raises(ConflictError):
        Journal(path)
    with pytest.raises(ConflictError):
        append(path, [{"what": "again", "key": "x"}])
    journal.close()
    assert append(path, [{"what": "again", "key": "x"}]) == 1


def test_a_reason_with_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "results" / "000.jsonl"
    append(path, [{"what": "failed", "key": "x", "code": "server", "reason": "no \ud83d", "paid": [0, 0]}])
    assert lines(tmp_path)[0]["reason"] == "no ?" and see(path).failed == {"server": 1}


def test_lines_come_to_the_disk_in_groups(tmp_path: Path) -> None:
    async def write() -> tuple[int, int]:
        journal = Journal(tmp_path / "results" / "000.jsonl")
        syncing = asyncio.create_task(journal.keep_synced())
        for number in range(100):
            journal.put("begun", f"{number}", reserved=[0, 0])
        before = journal.synced_lines
        while journal.synced_lines < 100:
            await asyncio.sleep(0)
        syncing.cancel()
        return before, journal.synced_lines

    assert asyncio.run(write()) == (0, 100)


def test_a_worker_whose_parent_is_gone_ends_by_itself(tmp_path: Path) -> None:
    with ModelServer(lambda question: slow(0.1)) as server:
        directory = order(tmp_path, 2_000, server.address, limits=Limits(in_flight=1))
        start = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-m', 'curation.synthesis.worker', sys.argv[1], '000']).pid, flush=True)"
        parent = subprocess.Popen([sys.executable, "-c", start + "; sys.stdin.read()", str(directory)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        try:
            wait_for(lambda: lines_so_far(directory, "written") > 0)
            parent.kill()
            wait_for(lambda: lines_so_far(directory, "ended") == 1)
        finally:
            parent.wait()
            if lines_so_far(directory, "ended") == 0:
                os.kill(worker, signal.SIGKILL)
    assert not see(results_of(directory, "000")).open


def test_a_worker_whose_parent_was_gone_before_it_looked_asks_for_next_to_nothing(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with ModelServer(delay_s=0.05) as server:
        directory = order(tmp_path, 200, server.address, limits=Limits(in_flight=2))
        command = [sys.executable, "-m", "curation.synthesis.worker", str(directory), "000"]
        subprocess.run([*command, f"--parent={gone.pid}"], cwd=ROOT, check=True)
        assert server.numbered < 20 and lines(directory, what="ended")[-1]["how"] == "stopped"


def lines_so_far(directory: Path, what: str) -> int:
    return len(lines(directory, what=what)) if (directory / "results").exists() else 0


def wait_for(holds: object, patience_s: float = 20.0) -> None:
    until_s = time.monotonic() + patience_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until_s
        time.sleep(0.02)
