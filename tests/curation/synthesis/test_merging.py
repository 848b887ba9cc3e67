"""Answers on disk become texts: once, with what they cost, whatever is merged when, and where the plan says."""

import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlite_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.batching import open_or_close
from curation.final_answers import ANSWERED_RIGHT
from curation.synthesis.arms import Arm, arm_of
from curation.synthesis.merging import AT_ONCE, Merged, check_batch, merge, merge_all, queue_run, writer_of
from curation.synthesis.plan import Item, Prices, PromptText, SynthesisPlan, WriterSpec
from curation.synthesis.plan_files import item_line, write_plan
from curation.synthesis.subjects import Subject
from curation.synthesis.writing import Sampling
from store.adapters import put_adapter
from store.batches import list_batches
from store.candidates import generator_of, list_candidates
from store.clips import list_clips, qa_pairs_of
from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError
from store.queue import list_queue
from store.records import Adapter, CuratedSet, Run
from store.rows import as_row
from store.signals import signals_of
from store.synthesis import SynthesisFilter, list_prompts, list_syntheses, synthesis_of, waiting_of

PROMPT = PromptText("rationale.md", "a" * 64, "Why is it $answer?")
WITHHELD = arm_of("rationale", "withheld")


@dataclass
class Wrote:
    """A run whose answers lie in its directory."""

    data: Path
    db: sqlite_utils.Database
    plan: SynthesisPlan

    @property
    def directory(self) -> Path:
        return self.data / "synthesis" / self.plan.id

    @property
    def results(self) -> Path:
        return self.directory / "results" / "one.jsonl"

    def order(self, **changes: Any) -> None:
        self.plan = replace(self.plan, **changes)
        for name in ("shards", "results"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        write_plan(self.directory, self.plan)
        (self.directory / "shards" / "one.jsonl").write_text("".join(map(item_line, self.items())))

    def items(self, seeds: int = 1) -> list[Item]:
        """Return an item for each question (or clip) and seed, with the key "name/seed"."""
        kind = self.plan.arm.kind
        about = [(clip, qa) for clip in list_clips(self.db) for qa in ([None] if kind == "narrative" else qa_pairs_of(self.db, clip.id))]
        return [
            Item(f"{clip.external_id}-{qa.external_id if qa else ''}/{seed}", Subject(
                kind, clip.id, qa.id if qa else None, "", clip.split, None, 0.0, None, None, {}, ()
            ), seed)
            for seed in range(seeds) for clip, qa in about
        ]  # fmt: skip

    def line(self, key: str, text: str, **changes: Any) -> str:
        told: dict[str, Any] = {"at": 1.7e9, "what": "written", "key": key, "text": text, "sources": [], "citations": [], "answer": None, "problems": []}
        told |= {"tokens_in": 90, "tokens_out": 40, "money": 0.5, "seconds": 2.0, "attempts": 2, "model": "m-2024", "shown_s": [0.5], "dropped": []}
        return json.dumps({**told, "given": "B. sit down", **changes}) + "\n"

    def write(self, *lines: str) -> None:
        with self.results.open("a") as stream:
            stream.writelines(lines)

    def merge(self, since: Mapping[str, int] | None = None, last: bool = True) -> tuple[int, int, int, int]:
        told = merge(self.db, self.directory, since, last)
        return told.new, told.known, told.queued, told.refused

    def texts(self) -> list[str]:
        return [text.text for text in list_candidates(self.db)]


@pytest.fixture
def wrote(project: Path) -> Iterator[Wrote]:
    with open_store(project) as db:
        spec = WriterSpec("openai", "some/secret-model", key_variable="THE_KEY")
        found = Wrote(project, db, SynthesisPlan("run-1", "mine", WITHHELD, spec, Sampling(), PROMPT, prices=Prices(1.0, 2.0, "EUR")))
        found.order()
        yield found


def test_an_answer_becomes_a_text_with_its_writer_its_cost_and_what_was_found(wrote: Wrote) -> None:
    problems = [
        {"name": "bad_citations", "count": 1, "of": 4, "words": "One lies outside."},
        {"name": "uncited_sentences", "count": 0, "of": 3, "words": ""},
        {"name": "uncovered_pairs", "count": 0, "of": 0, "words": ""},
    ]
    begun = json.dumps({"at": 1.7e9, "what": "begun", "key": "clip-0-1/0", "attempt": 1}) + "\n"
    citation = {"start": 0, "end": 8, "start_s": 1.0, "end_s": 2.0, "problem": None}
    wrote.write(begun, wrote.line("clip-0-1/0", "He sits.", problems=problems, citations=[citation], answer="B. sit down on the bench"))
    assert wrote.merge() == (1, 0, 0, 0)
    (told,) = list_syntheses(wrote.db, SynthesisFilter(), 0, 9)
    kept, writer = told.synthesis, told.generator
    assert (told.candidate.text, told.candidate.kind, told.clip_name, told.batch_name) == ("He sits.", "rationale", "yard clip-0", None)
    assert (writer.kind, writer.name, writer.prompt_version, writer.answer_given) == ("api_model", "some/secret-model", "a" * 12, False)
    view = json.loads(writer.settings or "")
    assert view == {"arm": WITHHELD.as_json(), "temperature": 0.7, "new_tokens": 1024, "view": {}} and "THE_KEY" not in str(writer)
    assert (kept.run_id, kept.tokens_in, kept.tokens_out, kept.money, kept.currency, kept.attempts) == ("run-1", 90, 40, 0.5, "EUR", 2)
    assert (kept.given_answer, kept.model, kept.finished_at) == ("B. sit down", "m-2024", "2023-11-14T22:13:20.000+00:00")
    assert (kept.citations, kept.problems) == ((citation,), tuple(problems)) and json.loads(kept.shown)["shown_s"] == [0.5]
    assert {one.name: one.value for one in signals_of(wrote.db, told.candidate.id)} == {"bad_citations": 0.25, "uncited_sentences": 0.0, ANSWERED_RIGHT: 1.0}
    assert [(one.sha256, one.text) for one in list_prompts(wrote.db)] == [(PROMPT.sha256, PROMPT.text)]


@pytest.mark.parametrize(
    ("arm", "answer", "right"),
    [("withheld", "A", 0.0), ("withheld", "sit down on the bench", 1.0), ("withheld", None, None), ("given", "B", None), ("wrong", "A", None)],
)
def test_whether_a_writer_answered_right_is_kept_where_it_had_to_find_the_answer(wrote: Wrote, arm: str, answer: str | None, right: float | None) -> None:
    wrote.order(arm=arm_of("rationale", arm))
    wrote.write(wrote.line("clip-0-1/0", "He sits.", answer=answer))
    wrote.merge()
    (text,) = list_candidates(wrote.db)
    assert [one.value for one in signals_of(wrote.db, text.id)] == ([] if right is None else [right])


def test_half_a_line_waits_and_only_new_lines_are_read_again(wrote: Wrote) -> None:
    first, second = wrote.line("clip-0-1/0", "One."), wrote.line("clip-0-2/0", "Two.")
    wrote.write(first, second[:40])
    before = merge(wrote.db, wrote.directory)
    assert (before.new, before.read["one"]) == (1, len(first))
    wrote.write(second[40:])
    assert wrote.merge(before.read) == (1, 0, 0, 0), "what came after"
    assert wrote.merge() == (0, 2, 0, 0), "the control: without it all is read, and nothing is kept twice"
    assert wrote.texts() == ["One.", "Two."]


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=3).map(sorted), again=st.booleans())
def test_whenever_it_is_merged_the_same_is_there_in_the_end(cuts: list[int], again: bool, _seed: Path) -> None:
    with TemporaryDirectory() as folder:
        data = Path(shutil.copytree(_seed, Path(folder) / "data"))
        with open_store(data) as db:
            wrote = Wrote(data, db, SynthesisPlan("run", "", WITHHELD, WriterSpec("template", "1"), Sampling(), PROMPT, batch="November"))
            wrote.order()
            lines = [wrote.line(item.key, f"About {item.key[:6]}.", money=None) for item in wrote.items()]
            content, since = "".join(lines), None
            for cut in [*(cut * len(content) // 900 for cut in cuts), len(content)]:
                wrote.results.write_text(content[:cut])
                since = merge(db, wrote.directory, None if again else since, last=False).read
            assert [(text.synthesis.key, text.candidate.text) for text in reversed(list_syntheses(db, SynthesisFilter(), 0, 99))] == [
                (item.key, f"About {item.key[:6]}.") for item in wrote.items()
            ]
            assert sorted(entry.candidate_id for entry in list_queue(db)) == sorted(text.id for text in list_candidates(db))


def test_the_same_words_about_the_same_question_are_one_text_of_two_answers(wrote: Wrote) -> None:
    (wrote.directory / "shards" / "one.jsonl").write_text("".join(map(item_line, wrote.items(seeds=2))))
    wrote.write(wrote.line("clip-0-1/0", "He sits."), wrote.line("clip-0-1/1", "He sits."), wrote.line("clip-0-2/0", "He sits."))
    assert wrote.merge() == (3, 0, 0, 0)
    first, _ = list_candidates(wrote.db)
    assert [one.key for one in synthesis_of(wrote.db, first.id)] == ["clip-0-1/0", "clip-0-1/1"]


def test_what_is_not_here_is_refused_and_the_rest_goes_in(wrote: Wrote) -> None:
    shard = wrote.directory / "shards" / "one.jsonl"
    foreign = [replace(item, subject=replace(item.subject, **{name: "gone"})) for item, name in zip(wrote.items(), ("clip_id", "qa_id"), strict=False)]
    shard.write_text("".join(map(item_line, [*foreign, *wrote.items()[2:]])))
    keys = [item.key for item in wrote.items()]
    wrote.write(*(wrote.line(key, "He sits.") for key in (*keys[:3], "of no item")), wrote.line(keys[3], "  "))
    assert wrote.merge() == (1, 0, 0, 4) and wrote.texts() == ["He sits."]


def test_many_texts_are_kept_in_short_transactions(wrote: Wrote) -> None:
    items = wrote.items(seeds=20)
    (wrote.directory / "shards" / "one.jsonl").write_text("".join(map(item_line, items)))
    wrote.write(*(wrote.line(item.key, f"Text {item.key}.") for item in items))
    begun: list[str] = []
    wrote.db.conn.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
    assert wrote.merge() == (len(items), 0, 0, 0)
    assert len(items) > 2 * AT_ONCE and len(begun) == -(-len(items) // AT_ONCE)


def test_several_at_once_keep_each_answer_once(wrote: Wrote) -> None:
    items = wrote.items(seeds=20)
    wrote.order(batch="November")
    (wrote.directory / "shards" / "one.jsonl").write_text("".join(map(item_line, items)))
    wrote.write(*(wrote.line(item.key, f"Text {item.key}.") for item in items))

    def merge_alone(_: int) -> Merged:
        with open_store(wrote.data) as db:
            return merge(db, wrote.directory)

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(merge_alone, range(3)))
    assert sum(one.new for one in told) == sum(one.queued for one in told) == len(list_candidates(wrote.db)) == len(items)
    assert all(one.new + one.known == len(items) for one in told)


# Where they wait.


def test_texts_wait_in_the_batch_of_the_plan_in_random_order(wrote: Wrote) -> None:
    wrote.order(batch=" November ", wanted=3)
    wrote.write(*(wrote.line(item.key, f"Text {item.key}.") for item in wrote.items()))
    assert wrote.merge() == (12, 0, 12, 0) and wrote.merge() == (0, 12, 0, 0)
    (batch,) = [one for one in list_batches(wrote.db) if one.name == "November"]
    assert (batch.wanted, batch.ordering, batch.open_to_all) == (3, "random", True)
    entries = [entry.candidate_id for entry in list_queue(wrote.db)]
    assert entries != [text.id for text in list_candidates(wrote.db)] and {entry.wanted for entry in list_queue(wrote.db)} == {3}


def test_a_run_is_put_in_random_order_at_its_end_though_its_texts_came_in_pieces(wrote: Wrote) -> None:
    wrote.order(batch="November")
    pieces, since = [wrote.line(item.key, f"Text {item.key}.") for item in wrote.items()], None
    for piece in pieces:
        wrote.write(piece)
        since = merge(wrote.db, wrote.directory, since, last=False).read
    came = [text.id for text in list_candidates(wrote.db)]
    assert [entry.candidate_id for entry in list_queue(wrote.db)] == came, "the control: as they came"
    merge(wrote.db, wrote.directory, since)
    assert [entry.candidate_id for entry in list_queue(wrote.db)] != came


def test_a_batch_that_was_closed_meanwhile_takes_none_and_the_texts_are_kept_and_queued_later(wrote: Wrote) -> None:
    wrote.order(batch="November")
    wrote.write(wrote.line("clip-0-1/0", "He sits."))
    wrote.merge()
    (batch,) = [one for one in list_batches(wrote.db) if one.name == "November"]
    open_or_close(wrote.db, batch.id, "closed")
    wrote.write(wrote.line("clip-0-2/0", "He stands."))
    assert wrote.merge() == (1, 1, 0, 0)
    with pytest.raises(ConflictError, match="closed"):
        queue_run(wrote.db, "run-1", "November", 2, "Ada")
    assert queue_run(wrote.db, "run-1", "December", 2, "Ada") == "1 texts are queued in 'December' for 2 annotations each; nobody is shown who wrote them."
    assert [(one.batch_name, one.texts) for one in waiting_of(wrote.db, "run-1")] == [("December", 1), ("November", 1)]
    wrote.write(wrote.line("clip-0-3/0", "He waits."))
    assert wrote.merge() == (1, 2, 0, 0)
    open_or_close(wrote.db, batch.id, "open")
    assert wrote.merge() == (0, 3, 1, 0), "once it is open they join it"
    with pytest.raises(InputError, match="wait in a batch already"):
        queue_run(wrote.db, "run-1", "December", 2, "Ada")
    with pytest.raises(NotFoundError, match="No text of a synthesis"):
        queue_run(wrote.db, "run-2", "December", 2, "Ada")


def test_an_order_that_comes_again_with_a_batch_queues_what_it_has_written(wrote: Wrote) -> None:
    wrote.write(*(wrote.line(item.key, f"Text {item.key}.") for item in wrote.items()))
    assert wrote.merge() == (12, 0, 0, 0)
    wrote.order(batch="November")
    assert (wrote.merge(), wrote.merge()) == ((0, 12, 12, 0), (0, 12, 0, 0))
    assert len(list_queue(wrote.db)) == 12


@pytest.mark.parametrize("name", ["of Secret-Model", "run-1", "by openai", "withheld ones", " ", "x" * 61])
def test_a_batch_whose_name_tells_the_writer_or_the_arm_is_refused_before_anything_is_asked(wrote: Wrote, name: str) -> None:
    with pytest.raises(InputError):
        check_batch(wrote.db, replace(wrote.plan, batch=name))
    check_batch(wrote.db, replace(wrote.plan, batch="November"))
    check_batch(wrote.db, replace(wrote.plan, batch=None))
    assert len(list_batches(wrote.db)) == 1, "nothing is made"


def test_a_closed_batch_and_a_number_that_cannot_be_are_refused_before_anything_is_asked(wrote: Wrote) -> None:
    open_or_close(wrote.db, "default", "closed")
    with pytest.raises(ConflictError, match="closed"):
        check_batch(wrote.db, replace(wrote.plan, batch="All that is imported"))
    with pytest.raises(InputError, match="between 1 and"):
        check_batch(wrote.db, replace(wrote.plan, batch="November", wanted=0))


# Who wrote them.


def test_an_adapter_writes_under_the_name_that_it_has_here(wrote: Wrote) -> None:
    local = WriterSpec("local", "some/base")
    assert (writer_of(wrote.db, replace(wrote.plan, writer=local)).kind, writer_of(wrote.db, replace(wrote.plan, writer=local)).name) == (
        "base_model",
        "some/base",
    )
    adapted = replace(wrote.plan, writer=replace(local, run_id="run"))
    assert (writer_of(wrote.db, adapted).kind, writer_of(wrote.db, adapted).name) == ("adapter", "run")
    wrote.db.table("curated_set").insert(as_row(CuratedSet("s", "", "sft", "0" * 64, 1, "{}", "exports/s", "t")))
    wrote.db.table("run").insert(as_row(Run("run", "mine", "sft", "s", None, "runs/run", "t")))
    known = generator_of("adapter", "mine")
    put_adapter(wrote.db, Adapter("a", "run", known.id, "0" * 64, "t"), known, [])
    assert writer_of(wrote.db, adapted).name == "mine"


def test_arms_prompts_and_settings_make_writers_of_their_own_and_seeds_do_not(wrote: Wrote) -> None:
    plan = wrote.plan
    others = [
        replace(plan, arm=Arm("rationale", "frames")),
        replace(plan, prompt=replace(PROMPT, sha256="b" * 64)),
        replace(plan, sampling=Sampling(temperature=0.1)),
        replace(plan, view={"frames": 4}),
        replace(plan, writer=WriterSpec("template", "1")),
    ]
    assert len({writer_of(wrote.db, one).id for one in (plan, *others)}) == 6
    assert writer_of(wrote.db, replace(plan, sampling=Sampling(seed=7), id="run-2", batch="November")) == writer_of(wrote.db, plan)


def test_all_runs_are_merged_and_one_that_is_being_written_is_not(wrote: Wrote) -> None:
    wrote.write(wrote.line("clip-0-1/0", "One."))
    wrote.order(id="run-2", arm=arm_of("narrative", "file"))
    wrote.write(wrote.line("clip-0-/0", "Two.", money=None), wrote.line("clip-1-/0", "Three."))
    shutil.copytree(wrote.directory, wrote.directory.with_name(".new.part"))
    (wrote.data / "synthesis" / "digest.lock").touch()
    told = merge_all(wrote.db, wrote.data)
    assert (told.new, told.known) == (3, 0) and sorted(wrote.texts()) == ["One.", "Three.", "Two."]
    assert [(one.synthesis.money, one.synthesis.currency) for one in list_syntheses(wrote.db, SynthesisFilter(run_id="run-2"), 0, 9)] == [
        (0.5, "EUR"), (None, None),
    ]  # fmt: skip
