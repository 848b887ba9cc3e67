"""The demo project tells the truth about itself: clips, texts, planted flaws and sources agree."""

import copy
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo"
KINDS = {"justified_fabrication", "temporal_error", "entity_drift", "plain_hallucination", "omission"}
TYPES = {"CW", "CH", "TN", "TC", "TP", "DO", "DL", "DC"}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [json.loads(line) for line in (DEMO / "demo.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def planted() -> list[Row]:
    flaws: list[Row] = json.loads((DEMO / "planted.json").read_text(encoding="utf-8"))
    return flaws


@pytest.fixture(scope="module")
def durations(rows: list[Row]) -> dict[str, float]:
    """Seconds that each clip lasts, by clip id."""
    seconds = {}
    for clip in of_kind(rows, "clip"):
        with av.open(str(DEMO / clip["video"])) as container:
            assert container.duration is not None, f"{clip['video']} states no duration"
            seconds[clip["id"]] = container.duration / av.time_base
    return seconds


def of_kind(rows: list[Row], record: str) -> list[Row]:
    return [row for row in rows if row["record"] == record]


def key_of(row: Row) -> tuple[str, ...]:
    """What makes a record unique: a QA pair's id counts within its clip only."""
    return (row["record"], row["clip"], row["id"]) if row["record"] == "qa" else (row["record"], row["id"])


def span_problems(name: str, spans: list[list[float]], seconds: float) -> list[str]:
    return [f"{name}: {start}-{end} s is not inside 0-{seconds} s" for start, end in spans if not 0 <= start < end <= seconds]


def qa_problems(qa: Row, seconds: float) -> list[str]:
    name, options = f"{qa['clip']}/{qa['id']}", qa["options"]
    found = span_problems(name, qa["evidence"], seconds)
    if not qa["evidence"]:
        found.append(f"{name}: no evidence")
    if len(options) != 5 or len(set(options)) != 5:
        found.append(f"{name}: {len(set(options))} different options, not 5")
    if not 0 <= qa["answer_index"] < len(options) or options[qa["answer_index"]] != qa["answer"]:
        found.append(f"{name}: the answer is not options[answer_index]")
    if qa["type"] not in TYPES:
        found.append(f"{name}: unknown type {qa['type']}")
    return found


def flaw_problems(flaw: Row, candidate: Row | None, seconds: dict[str, float]) -> list[str]:
    name = f"{flaw['candidate']}/{flaw['kind']}"
    if candidate is None:
        return [f"{name}: no such candidate"]
    found = span_problems(name, [[flaw["start_s"], flaw["end_s"]]], seconds[candidate["clip"]])
    if flaw["kind"] not in KINDS or flaw["severity"] not in {1, 2, 3} or not flaw["why"].endswith("."):
        found.append(f"{name}: kind, severity or reason is not as it should be")
    if flaw["kind"] == "omission":
        if flaw["quote"] is not None or candidate["kind"] != "narrative":
            found.append(f"{name}: an omission is a narrative's and has no words")
    elif not flaw["quote"] or candidate["text"].count(flaw["quote"]) != 1:
        found.append(f"{name}: the quote stands {candidate['text'].count(flaw['quote'] or '')} times in the text, not once")
    if flaw["kind"] == "justified_fabrication" and candidate["kind"] != "rationale":
        found.append(f"{name}: only a rationale justifies an answer")
    return found


def demo_problems(rows: list[Row], planted: list[Row], seconds: dict[str, float]) -> list[str]:
    """Every way in which the records contradict each other; empty when the demo is sound."""
    found = [f"{key} stands {count} times" for key, count in Counter(map(key_of, rows)).items() if count > 1]
    questions = {(qa["clip"], qa["id"]) for qa in of_kind(rows, "qa")}
    candidates = {row["id"]: row for row in of_kind(rows, "candidate")}
    for qa in of_kind(rows, "qa"):
        found += qa_problems(qa, seconds[qa["clip"]]) if qa["clip"] in seconds else [f"{qa['clip']}: no such clip"]
    for row in candidates.values():
        if row["clip"] not in seconds or (row["kind"] == "rationale") != ((row["clip"], row.get("qa")) in questions):
            found.append(f"{row['id']}: its subject is missing")
    for flaw in planted:
        found += flaw_problems(flaw, candidates.get(flaw["candidate"]), seconds)
    return found


def test_records_and_planted_flaws_agree(rows: list[Row], planted: list[Row], durations: dict[str, float]) -> None:
    assert demo_problems(rows, planted, durations) == []


def first(rows: list[Row], record: str) -> Row:
    return of_kind(rows, record)[0]


def spoil_quote(rows: list[Row], planted: list[Row]) -> None:
    planted[0]["quote"] += " not"


def spoil_repeat(rows: list[Row], planted: list[Row]) -> None:
    next(row for row in rows if row["id"] == planted[0]["candidate"])["text"] += planted[0]["quote"]


def spoil_moment(rows: list[Row], planted: list[Row]) -> None:
    planted[0]["end_s"] = 1e4


def spoil_evidence(rows: list[Row], planted: list[Row]) -> None:
    first(rows, "qa")["evidence"][0].reverse()


def spoil_answer(rows: list[Row], planted: list[Row]) -> None:
    first(rows, "qa")["answer_index"] = (first(rows, "qa")["answer_index"] + 1) % 5


def spoil_options(rows: list[Row], planted: list[Row]) -> None:
    first(rows, "qa")["options"][-1] = first(rows, "qa")["options"][1]


def spoil_id(rows: list[Row], planted: list[Row]) -> None:
    rows.append(copy.deepcopy(first(rows, "candidate")))


def spoil_subject(rows: list[Row], planted: list[Row]) -> None:
    next(row for row in rows if row.get("kind") == "rationale")["qa"] = "99"


def spoil_candidate(rows: list[Row], planted: list[Row]) -> None:
    planted[0]["candidate"] += "-x"


SPOILERS = [spoil_quote, spoil_repeat, spoil_moment, spoil_evidence, spoil_answer, spoil_options, spoil_id, spoil_subject, spoil_candidate]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_the_check_finds_each_kind_of_damage(
    spoil: Callable[[list[Row], list[Row]], None], rows: list[Row], planted: list[Row], durations: dict[str, float]
) -> None:
    """The control: a check that finds nothing in a spoilt demo would prove nothing in a sound one."""
    spoilt_rows, spoilt_planted = copy.deepcopy(rows), copy.deepcopy(planted)
    spoil(spoilt_rows, spoilt_planted)
    assert demo_problems(spoilt_rows, spoilt_planted, durations)


def test_every_clip_is_short_playable_and_starts_at_zero(rows: list[Row], durations: dict[str, float]) -> None:
    for clip in of_kind(rows, "clip"):
        assert 4 <= durations[clip["id"]] <= 30, clip["id"]
        with av.open(str(DEMO / clip["video"])) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name in {"h264", "vp8", "vp9"}, clip["id"]
            assert stream.codec_context.pix_fmt == "yuv420p", clip["id"]
            assert stream.codec_context.width <= 640, clip["id"]
            assert next(container.decode(stream)).time == pytest.approx(0, abs=0.01), clip["id"]


def test_the_folder_holds_the_named_clips_and_no_more_than_12_mb(rows: list[Row]) -> None:
    files = {path.name for path in DEMO.iterdir()}
    assert files == {clip["video"] for clip in of_kind(rows, "clip")} | {"demo.jsonl", "planted.json", "SOURCES.md", "README.md"}
    assert sum(path.stat().st_size for path in DEMO.iterdir()) <= 12_000_000


def test_each_clip_has_enough_questions_narratives_and_rationales(rows: list[Row]) -> None:
    assert len(of_kind(rows, "clip")) >= 6
    for clip in of_kind(rows, "clip"):
        texts = [row for row in of_kind(rows, "candidate") if row["clip"] == clip["id"]]
        assert sum(qa["clip"] == clip["id"] for qa in of_kind(rows, "qa")) >= 5, clip["id"]
        narrators = {row["generator"]["name"] for row in texts if row["kind"] == "narrative"}
        assert len(narrators) == 2 == sum(row["kind"] == "narrative" for row in texts), clip["id"]
        assert sum(row["kind"] == "rationale" for row in texts) >= 3, clip["id"]


def test_questions_are_of_mixed_types_and_no_option_place_gives_the_answer_away(rows: list[Row]) -> None:
    questions = of_kind(rows, "qa")
    assert {"CW", "CH", "TN", "TC", "DO", "DL", "DC"} <= {qa["type"] for qa in questions}
    places = Counter(qa["answer_index"] for qa in questions)
    assert set(places) == set(range(5))
    assert max(places.values()) < 0.4 * len(questions)


def test_about_half_the_texts_are_flawed_and_each_kind_of_flaw_comes_three_times(rows: list[Row], planted: list[Row]) -> None:
    assert 0.4 <= len({flaw["candidate"] for flaw in planted}) / len(of_kind(rows, "candidate")) <= 0.6
    counts = Counter(flaw["kind"] for flaw in planted)
    assert all(counts[kind] >= 3 for kind in KINDS), counts


def test_no_writer_is_only_clean_or_only_flawed_and_none_bears_the_name_of_a_model(rows: list[Row], planted: list[Row]) -> None:
    flawed = {flaw["candidate"] for flaw in planted}
    seen = {(row["generator"]["name"], row["kind"], row["id"] in flawed) for row in of_kind(rows, "candidate")}
    assert seen == set(itertools.product(("demo-writer-a", "demo-writer-b"), ("narrative", "rationale"), (True, False)))
    assert {row["generator"]["kind"] for row in of_kind(rows, "candidate")} == {"imported"}


def test_some_question_has_a_clean_and_a_flawed_rationale_so_that_pairs_can_be_made(rows: list[Row], planted: list[Row]) -> None:
    flawed = {flaw["candidate"] for flaw in planted}
    verdicts: dict[tuple[str, str], set[bool]] = {}
    for row in of_kind(rows, "candidate"):
        if row["kind"] == "rationale":
            verdicts.setdefault((row["clip"], row["qa"]), set()).add(row["id"] in flawed)
    assert sum(len(both) == 2 for both in verdicts.values()) >= 6


def test_sources_name_each_file_with_its_licence_and_digest(rows: list[Row]) -> None:
    table = re.findall(r"^\| (\S+) \| (\d+) \| ([^|]+) \| [\d.]+ \| [\d,]+ \| `([0-9a-f]{64})` \|$", (DEMO / "SOURCES.md").read_text(encoding="utf-8"), re.M)
    assert {name for name, *_ in table} == {clip["video"] for clip in of_kind(rows, "clip")}
    for name, _, licence, digest in table:
        assert hashlib.sha256((DEMO / name).read_bytes()).hexdigest() == digest, name
        assert re.search(r"CC BY|BSD|Expat|Apache", licence), name
