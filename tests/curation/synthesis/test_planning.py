"""From an order to a directory: whole or not at all, named by what is asked, and nothing in it that was paid for before."""

import json
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis import planning
from curation.synthesis.arms import PRESETS, Arm
from curation.synthesis.choosing import Chosen
from curation.synthesis.journal import Dead, append, results_of, see, shard_names
from curation.synthesis.merging import merge
from curation.synthesis.plan import Item, Limits, Prices, SynthesisPlan, WriterSpec
from curation.synthesis.plan_files import ROOM, item_json, item_of, plan_json, plan_of, read_items, read_plan
from curation.synthesis.planning import Planned, key_of, mark_known, plan_run, set_budget, survey
from curation.synthesis.prompts import load, prompt_of
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.wishes import Wish
from curation.synthesis.writing import Sampling
from store.database import open_store
from store.errors import ConflictError, InputError
from store.process import ProcessMark, write_mark
from tests.curation.synthesis.conftest import put_clip
from tests.curation.synthesis.orders import asked

TEMPLATE = WriterSpec("template", "1")
SERVER = WriterSpec("openai", "m", "http://127.0.0.1:1/v1")


def wish(kind: str = "narrative", arm: str | None = None, writer: WriterSpec = TEMPLATE, **changed: Any) -> Wish:
    presets = PRESETS[kind]
    return replace(Wish(kind, presets[arm or next(iter(presets))], writer, Sampling(), load(kind)), **changed)


def planned(data: Path, order: Wish) -> Planned:
    with open_store(data) as db:
        return plan_run(db, data, order)


def written(data: Path, order: Wish) -> Planned:
    """Plan an order of the template, carry it out in this process, and put the texts into the store."""
    done = planned(data, order)
    assert done.directory is not None
    for shard in shard_names(done.directory):
        asked(done.directory, shard)
    with open_store(data) as db:
        merge(db, done.directory)
    return done


def items_in(directory: Path) -> list[Item]:
    return [item for shard in shard_names(directory) for item in read_items(directory / "shards" / f"{shard}.jsonl")]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_an_order_becomes_a_directory_that_says_all_that_a_worker_needs(project: Path) -> None:
    done = planned(project, wish("rationale", writer=SERVER, seeds=2, batch="June"))
    assert done.directory == project / ROOM / done.plan.id and not done.goes_on
    assert read_plan(done.directory) == done.plan
    items = items_in(done.directory)
    assert (len(items), done.new, done.plan.items, done.known) == (24, 24, 24, 0)
    assert {item.seed for item in items} == {0, 1} and len({item.key for item in items}) == 24
    assert all(item.key == key_of(done.plan, item.subject, item.seed) for item in items), "what a shard holds gives the key again"
    assert done.plan.view["frames"] == 16 and done.plan.name == "rationales, given, openai m"
    assert json.loads((done.directory / "ask.json").read_text())["seeds"] == 2


def test_a_clip_is_never_in_two_shards_and_a_shard_is_named_by_what_it_holds(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "SHARD_ITEMS", 4)
    order = wish("rationale", limits=Limits(workers=2))
    first = planned(project, order)
    assert first.directory is not None
    clips = [{item.subject.clip_id for item in read_items(path)} for path in sorted((first.directory / "shards").iterdir())]
    assert [len(some) for some in clips] == [2, 2], "shards of six: the next clip begins after the fourth item"
    assert all(not one & other for one, other in pairwise(clips))
    (first.directory / "plan.json").unlink()
    first.directory.rename(first.directory.with_name("elsewhere"))
    again = planned(project, order)
    assert again.directory is not None
    assert files(again.directory / "shards") == files(project / ROOM / "elsewhere" / "shards")


@pytest.mark.parametrize(("limits", "shards"), [(Limits(in_flight=1), 2), (Limits(in_flight=2), 1), (Limits(in_flight=2, workers=2), 2)])
def test_a_shard_keeps_its_worker_busy_and_several_workers_share_a_small_order(
    project: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits, shards: int
) -> None:
    monkeypatch.setattr(planning, "SHARD_ITEMS", 4)
    monkeypatch.setattr(planning, "TURNS", 6)
    done = planned(project, wish("rationale", limits=limits))
    assert done.directory is not None
    assert len(shard_names(done.directory)) == shards


def test_the_same_order_is_the_same_run_and_goes_on_with_new_bounds(project: Path) -> None:
    first = planned(project, wish("rationale", writer=SERVER))
    other: dict[str, Any] = {"limits": Limits(in_flight=3, money=2.0), "prices": Prices(1, 2), "batch": "June", "wanted": 3}
    again = planned(project, wish("rationale", writer=replace(SERVER, answer_s=5.0), **other))
    assert (again.goes_on, again.directory, again.plan.id, again.plan.items) == (True, first.directory, first.plan.id, 12)
    assert again.directory is not None
    there = read_plan(again.directory)
    assert (there.limits.money, there.batch, there.wanted, there.writer.answer_s, there.created_at) == (2.0, "June", 3, 5.0, first.plan.created_at)
    assert files(project / ROOM) == files(project / ROOM) - {".part"}
    assert planned(project, wish("rationale", writer=SERVER, seeds=2)).plan.id != first.plan.id


def test_a_run_that_is_half_in_the_store_is_still_the_same_run(project: Path) -> None:
    some = written(project, wish(chosen=Chosen(datasets=("street",))))
    everything = planned(project, wish())
    assert (everything.known, everything.new, everything.goes_on) == (1, 3, False), "what another run has written is not asked again"
    assert some.plan.id != everything.plan.id
    with open_store(project) as db:
        found = survey(db, project, wish())
    assert (found.new, found.known) == (3, 1)
    again = written(project, wish())
    assert (again.goes_on, again.plan.id) == (True, everything.plan.id)
    last = planned(project, wish())
    assert (last.goes_on, last.new, last.known) == (True, 0, 4)
    nothing = planned(project, wish(chosen=Chosen(datasets=("yard",))))
    assert (nothing.directory, nothing.new, nothing.known) == (None, 0, 3)


def test_what_a_run_left_in_its_files_is_known_to_the_next_order(project: Path) -> None:
    first = planned(project, wish(chosen=Chosen(datasets=("street",))))
    assert first.directory is not None
    asked(first.directory, shard_names(first.directory)[0])  # and nobody has put it into the store
    assert planned(project, wish()).known == 1


def test_a_run_that_goes_on_is_told_what_was_paid_for_while_it_stood_still(project: Path) -> None:
    waiting = planned(project, wish())
    written(project, wish(chosen=Chosen(datasets=("street",))))
    assert waiting.directory is not None
    with open_store(project) as db:
        assert mark_known(db, waiting.directory) == 1
        assert mark_known(db, waiting.directory) == 0, "told once"
        asked(waiting.directory, shard_names(waiting.directory)[0])
        seen = see(results_of(waiting.directory, shard_names(waiting.directory)[0]))
        assert sorted(seen.held.values()) == ["known", "written", "written", "written"]
        merge(db, waiting.directory)
        assert mark_known(db, waiting.directory) == 0


def test_what_was_set_aside_and_written_by_another_run_is_known(project: Path) -> None:
    waiting = planned(project, wish())
    written(project, wish(chosen=Chosen(datasets=("street",))))
    assert waiting.directory is not None
    path, keys = results_of(waiting.directory, shard_names(waiting.directory)[0]), [item.key for item in items_in(waiting.directory)]
    append(path, [{"what": "dead", **vars(Dead(key, "a clip", "server", "No.", True, 1, 0, 0, None, 0.0))} for key in keys])
    with open_store(project) as db:
        assert mark_known(db, waiting.directory) == 1
    assert (len(see(path).held), len(see(path).dead)) == (1, 3)


def test_a_survey_tells_what_the_order_would_do_and_writes_nothing(project: Path) -> None:
    order = wish("rationale", "wrong", SERVER, chosen=Chosen(most=5), prices=Prices(1.0, 2.0))
    with open_store(project) as db:
        before = files(project), db.conn.total_changes
        found = survey(db, project, order)
        assert (files(project), db.conn.total_changes) == before
    done = planned(project, order)
    assert (found.new, found.known, dict(found.left_out)) == (done.new, done.known, dict(done.left_out)) == (5, 0, {"not drawn": 7})
    assert done.directory is not None
    assert list(found.first) == items_in(done.directory)
    assert found.estimate.items == 5
    assert replace(found.plan, id=done.plan.id, created_at=done.plan.created_at) == done.plan


def test_a_run_that_stands_still_takes_another_budget(project: Path) -> None:
    done = planned(project, wish("rationale", writer=SERVER, prices=Prices(1, 2), limits=Limits(money=1.0, in_flight=3)))
    assert done.directory is not None
    set_budget(done.directory, 2.5, None)
    set_budget(done.directory, None, 900)
    assert read_plan(done.directory).limits == Limits(money=2.5, tokens=900, in_flight=3)
    with pytest.raises(InputError, match="more than 0"):
        set_budget(done.directory, -1.0, None)
    blind = planned(project, wish("rationale", "withheld", writer=SERVER))
    assert blind.directory is not None
    with pytest.raises(InputError, match="needs prices"):
        set_budget(blind.directory, 1.0, None)


def test_a_run_at_work_keeps_its_plan(project: Path) -> None:
    order = wish("rationale", writer=SERVER)
    first = planned(project, order)
    assert first.directory is not None
    mark = ProcessMark.of(os.getpid())
    assert mark is not None
    write_mark(first.directory / "process.json", mark)
    assert planned(project, replace(order, limits=Limits(in_flight=2))).plan == first.plan == read_plan(first.directory)
    with pytest.raises(ConflictError, match="at work"):
        set_budget(first.directory, None, 5)


def test_the_template_is_recorded_as_shown_nothing(project: Path) -> None:
    with open_store(project) as db:
        put_clip(db, "lost", length_s=None)
    done = planned(project, wish("rationale", "wrong"))
    assert (done.new, done.plan.arm.shown, dict(done.plan.view), done.plan.sampling.temperature) == (15, "nothing", {}, 0.0)
    assert done.plan.name == "rationales, wrong, template 1"
    assert done.directory is not None
    assert all(item.wrong is not None and item.wrong != item.subject.pairs[0].right for item in items_in(done.directory))


REFUSED = [
    (wish(limits=Limits(money=1.0)), "needs prices"),
    (wish(seeds=2), "same text each time"),
    (wish(arm="file", seeds=0), "texts of each subject is 0"),
    (replace(wish(), arm=Arm("narrative", "frames")), "looks at nothing"),
    (replace(wish("rationale", writer=SERVER), arm=Arm("rationale", "video")), "not the video"),
    (replace(wish(), kind="rationale"), "arm is one of narratives"),
    (wish(writer=replace(SERVER, model=" ")), "name of a model"),
    (wish(writer=WriterSpec("oracle", "1")), "no writer"),
    (wish(executor="cloud"), "no executor"),
    (wish(batch="x" * 100), "not usable"),
    (wish(batch="by template"), "tell who wrote"),
    (wish(writer=SERVER, sampling=Sampling(temperature=float("nan"))), "temperature"),
    (wish(writer=SERVER, sampling=Sampling(new_tokens=0)), "tokens"),
    (wish(limits=Limits(a_minute=0.0)), "more than 0"),
    (wish("rationale", writer=SERVER, view={"colour": 3}), "colour"),
    (wish("rationale", writer=SERVER, view={"frames": 0}), "frames is 0"),
    (wish("rationale", writer=SERVER, view={"layout": "round"}), "round"),
    (wish(prompt=prompt_of("mine", "## always\nSay something.")), r"pairs"),
    (wish(chosen=Chosen(datasets=("nowhere",))), "no data set"),
    (wish(chosen=Chosen(words="nothing has this name")), "can be asked about"),
    (wish(writer=WriterSpec("openai", "m", key_variable="NO_SUCH_KEY")), "NO_SUCH_KEY is not set"),
]


@pytest.mark.parametrize(("order", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_carried_out_is_refused_before_anything_is_written(project: Path, order: Wish, said: str) -> None:
    with pytest.raises((InputError, ConflictError), match=said):
        planned(project, order)
    assert not (project / ROOM).exists() or not list((project / ROOM).iterdir())


PLAN = SynthesisPlan("", "", PRESETS["rationale"]["given"], SERVER, Sampling(), load("rationale"), view={"frames": 16})
PAIR = Told("q", "1", "why", "because", ("because", "for fun"), 0, "CW", ((1.0, 2.0),))
SUBJECT = Subject("rationale", "clip", "q", "a name", "train", "d" * 64, 0.0, 9.0, 9.0, {"lines": [[0, 1, "Hi"]], "pause_s": None, "window_s": None}, (PAIR,))
DECIDE = [
    replace(PLAN, arm=PRESETS["rationale"]["withheld"]),
    replace(PLAN, writer=replace(SERVER, model="n")),
    replace(PLAN, writer=replace(SERVER, address="http://127.0.0.1:2/v1")),
    replace(PLAN, writer=replace(SERVER, run_id="r")),
    replace(PLAN, sampling=Sampling(temperature=0.1)),
    replace(PLAN, sampling=Sampling(new_tokens=5)),
    replace(PLAN, prompt=prompt_of("rationale", "## always\n$question")),
    replace(PLAN, view={"frames": 8}),
]
SAME = [
    replace(PLAN, limits=Limits(1), prices=Prices(1, 1), batch="b", wanted=5, executor="ray", items=9, name="x", id="y"),
    replace(PLAN, writer=replace(SERVER, answer_s=1.0, key_variable="K")),
    replace(PLAN, prompt=replace(PLAN.prompt, name="another name")),
]
SUBJECTS = [
    replace(SUBJECT, clip_id="other"),
    replace(SUBJECT, qa_id="other"),
    replace(SUBJECT, digest="e" * 64),
    replace(SUBJECT, end_s=8.0),
    replace(SUBJECT, length_s=8.0),
    replace(SUBJECT, said={**SUBJECT.said, "lines": []}),
    *(
        replace(SUBJECT, pairs=(replace(PAIR, **changed),))
        for changed in ({"question": "who"}, {"answer": "no"}, {"options": ("because",)}, {"right": 1}, {"spans": ((1.0, 3.0),)})
    ),
]


def test_a_key_changes_with_all_that_decides_the_words_and_with_nothing_else() -> None:
    keys = {key_of(plan, SUBJECT, 0) for plan in (PLAN, *DECIDE)} | {key_of(PLAN, one, 0) for one in SUBJECTS}
    keys |= {key_of(PLAN, SUBJECT, 1), key_of(PLAN, SUBJECT, 0, 1)}
    assert len(keys) == 1 + len(DECIDE) + len(SUBJECTS) + 2
    assert {key_of(plan, SUBJECT, 0) for plan in SAME} == {key_of(PLAN, SUBJECT, 0)}
    assert key_of(PLAN, replace(SUBJECT, name="renamed", split="test"), 0) == key_of(PLAN, SUBJECT, 0)


def test_what_is_not_shown_does_not_decide_the_words() -> None:
    blind = replace(PLAN, arm=replace(PLAN.arm, shown="nothing"), view={})
    assert key_of(blind, replace(SUBJECT, digest=None, said={}), 0) == key_of(blind, SUBJECT, 0)
    assert key_of(PLAN, replace(SUBJECT, digest=None), 0) != key_of(PLAN, SUBJECT, 0), "the control"
    narrative = replace(SUBJECT, kind="narrative", qa_id=None)
    assert key_of(blind, replace(narrative, length_s=None), 0) == key_of(blind, narrative, 0), "no word of a narrative's prompt tells the length"
    assert key_of(blind, replace(SUBJECT, length_s=None), 0) != key_of(blind, SUBJECT, 0)


WORDS = st.text(min_size=1, max_size=12)
SPANS = st.lists(st.tuples(st.floats(0, 50), st.floats(50, 99)), max_size=3).map(tuple)
PAIRS = st.builds(Told, WORDS, WORDS, WORDS, st.none() | WORDS, st.lists(WORDS, max_size=4).map(tuple), st.none() | st.integers(0, 3), st.none() | WORDS, SPANS)


@given(pairs=st.lists(PAIRS, max_size=3).map(tuple), seed=st.integers(0, 9), wrong=st.none() | st.integers(0, 3))
def test_items_and_plans_read_back_as_they_were(pairs: tuple[Told, ...], seed: int, wrong: int | None) -> None:
    item = Item("k", replace(SUBJECT, pairs=pairs), seed, wrong)
    assert item_of(json.loads(json.dumps(item_json(item)))) == item
    for plan in (PLAN, *DECIDE, *SAME):
        assert plan_of(json.loads(json.dumps(plan_json(plan)))) == plan
