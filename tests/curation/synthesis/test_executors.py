"""What both executors keep to: every item once, whatever dies. And what the driver does about budgets and workers that cannot go on."""

import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from curation.synthesis.driving import Driven, Driver, drive
from curation.synthesis.executors.local import LocalExecutor
from curation.synthesis.executors.on_ray import RayExecutor
from curation.synthesis.executors.tasks import Ended, Executor, Task, worker_command
from curation.synthesis.journal import append, results_of, see
from curation.synthesis.plan import Limits
from store.errors import InputError
from tests.curation.synthesis.orders import lines, order, prices
from tests.curation.synthesis.test_worker import wait_for
from tests.model_server import ModelServer

SLOTS = 2
Make = Callable[..., Executor]


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for all tests of this file: it takes seconds to start."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=80 << 20)
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(params=["local", "ray"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "local":
        return LocalExecutor
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    request.getfixturevalue("ray_here")
    return RayExecutor


class Counting:
    """An executor that counts how many shards are out."""

    def __init__(self, executor: Executor) -> None:
        self.slots, self._executor, self.out, self.most = executor.slots, executor, 0, 0
        self.tasks: list[Task] = []

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self.out += 1
        self.most = max(self.most, self.out)
        self._executor.submit(task)

    def next_ended(self, patience_s: float) -> Ended | None:
        ended = self._executor.next_ended(patience_s)
        self.out -= ended is not None
        return ended

    def close(self, patience_s: float = 150.0) -> None:
        self._executor.close(patience_s)


def driven(directory: Path, executor: Executor) -> Driven:
    try:
        return drive(directory, executor, lambda: None, look_every_s=0.1)
    finally:
        executor.close()


def test_every_item_is_written_once_and_no_more_shards_are_out_than_slots_and_one(tmp_path: Path, make: Make) -> None:
    with ModelServer(delay_s=0.02) as server:
        directory = order(tmp_path, 48, server.address, shards=3, limits=Limits(in_flight=4))
        executor = Counting(make(SLOTS))
        assert driven(directory, executor) == Driven("done")
        assert server.most_in_flight <= SLOTS * 4
        assert sorted(line["key"] for line in lines(directory, what="written")) == [f"key-{number:05}" for number in range(48)]
        assert server.numbered == 48 and set(server.asked.values()) == {1}
        assert executor.most == SLOTS + 1
        again = Counting(make(SLOTS))
        assert driven(directory, again) == Driven("done") and server.numbered == 48 and not again.tasks


def test_a_worker_killed_midway_loses_nothing_and_what_was_on_disk_is_not_asked_again(tmp_path: Path, make: Make) -> None:
    with ModelServer(delay_s=0.1) as server:
        directory = order(tmp_path, 40, server.address, limits=Limits(in_flight=4))
        held: set[str] = set()

        def kill() -> None:
            wait_for(lambda: server.numbered >= 14)
            os.kill(lines(directory, what="started")[0]["pid"], signal.SIGKILL)
            held.update(line["key"] for line in lines(directory, what="written"))

        killer = threading.Thread(target=kill)
        killer.start()
        assert driven(directory, make(1)) == Driven("done")
        killer.join()
        seen = see(results_of(directory, "000"))
        assert len(seen.held) == 40 and not seen.dead and 1 <= seen.cut_off <= 4
        assert 8 <= len(held) < 40
        # Asked twice is what was in flight, and nothing that was on disk.
        asked_twice = [question.words for question in server.questions if server.asked[question.sha] > 1]
        assert 0 < len(asked_twice) <= 2 * 4 and not any(f"clip {key[-5:]}" in words for key in held for words in asked_twice)


def test_an_item_that_kills_its_worker_twice_is_set_aside_and_its_neighbours_are_written(tmp_path: Path, make: Make) -> None:
    def command(task: Task) -> Sequence[str]:
        return (sys.executable, "-m", "tests.curation.synthesis.poisoned", "clip 00003", *task.arguments)

    with ModelServer(delay_s=0.02) as server:
        directory = order(tmp_path, 12, server.address, limits=Limits(in_flight=4))
        assert driven(directory, make(1, command)) == Driven("done")
        (dead,) = lines(directory, what="dead")
        assert (dead["key"], dead["code"], dead["name"]) == ("key-00003", "poison", "made / clip 00003")
        assert len(lines(directory, what="written")) == 11 and len(lines(directory, what="killed")) == 2
        # The second death took nobody with it: the suspects were asked one at a time.
        assert [len(line["keys"]) for line in lines(directory, what="killed")][1] == 1


def test_a_budget_is_shared_by_workers_renewed_while_some_is_left_and_never_exceeded(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.02) as server:
        limits = Limits(in_flight=4, tokens=9_000, workers=2)
        directory = order(tmp_path, 60, server.address, shards=3, limits=limits, prices=prices())
        executor = Counting(LocalExecutor(2))
        ended = driven(directory, executor)
        assert ended.how == "budget" and "larger" in ended.sentence
        assert 9_000 - 2_500 < server.tokens_in + server.tokens_out <= 9_000
        assert executor.most == 2 and len(executor.tasks) > 2


def test_what_was_in_flight_at_a_kill_is_taken_off_every_allowance(tmp_path: Path) -> None:
    directory = order(tmp_path, 4, shards=2, limits=Limits(tokens=1_000))
    for shard in ("000", "001"):
        append(results_of(directory, shard), [{"what": "started", "pid": 1}, {"what": "begun", "key": f"key-{shard}", "reserved": [200, 200]}])
    executor = Counting(LocalExecutor(2, lambda task: (sys.executable, "-c", "")))
    Driver(directory, executor).submit()
    executor.close()
    assert [task.tokens for task in executor.tasks] == [100, 100]


def test_a_worker_that_dies_before_it_asks_anything_is_no_second_death_of_what_the_first_had_in_flight(tmp_path: Path) -> None:
    directory, executor = order(tmp_path, 4), Counting(LocalExecutor(1, lambda task: (sys.executable, "-c", "")))
    driver = Driver(directory, executor)
    begun = [{"what": "begun", "key": f"key-{number:05}", "reserved": [1, 1]} for number in range(3)]
    append(results_of(directory, "000"), [{"what": "started", "pid": 1}, *begun])
    for _ in range(2):
        driver.submit()
        driver.take(Ended("000", -9))
    executor.close()
    seen = see(results_of(directory, "000"))
    assert (seen.dead, dict(seen.deaths), seen.cut_off, seen.spent.total) == ({}, {line["key"]: 1 for line in begun}, 3, 6)


@pytest.mark.parametrize("code", ["raise SystemExit(2)", "import os; os.abort()"])
def test_a_worker_that_cannot_go_on_fails_the_run_with_the_last_words_of_its_log(tmp_path: Path, code: str) -> None:
    directory = order(tmp_path, 4, "http://127.0.0.1:9")
    program = f"import sys; sys.stderr.write('There is no room.\\n'); sys.stderr.flush(); {code}"
    ended = driven(directory, LocalExecutor(1, lambda task: (sys.executable, "-c", program)))
    assert ended.how == "failed" and "There is no room." in ended.sentence


def test_a_driver_that_gives_up_leaves_no_worker_behind(tmp_path: Path) -> None:
    with ModelServer(delay_s=0.05) as server:
        directory = order(tmp_path, 400, server.address)
        executor = LocalExecutor(1)

        def interrupt() -> None:
            if server.numbered > 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            drive_until(directory, executor, interrupt)
        assert lines(directory, what="ended")[-1]["how"] == "stopped" and not see(results_of(directory, "000")).open


def drive_until(directory: Path, executor: Executor, on_look: Callable[[], None]) -> Any:
    try:
        return drive(directory, executor, on_look, look_every_s=0.05)
    finally:
        executor.close()


def test_without_ray_the_executor_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="pip install ray"):
        RayExecutor(1)


def test_a_task_carries_names_and_numbers_only() -> None:
    task = Task(Path("/data/synthesis/x"), "000", 2, tokens=5)
    assert worker_command(task)[1:] == ("-m", "curation.synthesis.worker", "/data/synthesis/x", "000", "--workers=2", "--tokens=5")
