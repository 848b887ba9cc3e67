"""The server is killed while annotators write. All 200 kills are in benchmarks/durability.py; here are enough to notice a change."""

from pathlib import Path

from tests.kills import endure, fill

KILLS = 10


def test_a_server_that_is_killed_loses_nothing_that_it_acknowledged_and_the_outbox_loses_nothing_at_all(tmp_path: Path) -> None:
    fill(tmp_path, clips=20, annotators=6)
    found = endure(tmp_path, KILLS)
    assert found.made == found.acknowledged > KILLS
    assert (found.lost, found.acknowledged_lost, found.foreign, found.problems) == (0, 0, 0, ())


def test_without_an_outbox_acts_are_lost_although_none_that_was_acknowledged(tmp_path: Path) -> None:
    """The control: the kills hit writes that were under way."""
    fill(tmp_path, clips=20, annotators=6)
    found = endure(tmp_path, KILLS, outbox=False)
    assert found.lost > 0
    assert (found.acknowledged_lost, found.foreign, found.problems) == (0, 0, ())
