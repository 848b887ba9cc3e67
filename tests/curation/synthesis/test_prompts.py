"""Prompts as files: sections that an arm switches on, places, versions."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.arms import ANSWERS, ORDERS, SHOWN, Arm, arm_of
from curation.synthesis.prompts import FOLDER, OPTIONAL, check, diff, fill, instructions, load, load_file, needed_places, prompt_of
from store.errors import InputError

GIVEN = Arm("rationale")
BOTH = (False, True)
ARMS = [
    *(Arm("narrative", *options) for options in itertools.product(SHOWN, ORDERS, BOTH, BOTH, BOTH, BOTH)),
    *(Arm("rationale", shown, answer=answer, citations=cited) for shown, answer, cited in itertools.product(SHOWN, ANSWERS, BOTH)),
]
WHOLE = "## always\n$question $answer"


def test_the_project_has_a_prompt_for_every_arm_that_there_can_be() -> None:
    for arm in ARMS:
        check(load(arm.kind), arm)
        places = {place: f"«{place}»" for place in needed_places(arm) | OPTIONAL[arm.kind]}
        sent = fill(load(arm.kind), arm, places)
        assert all(places[place] in sent for place in needed_places(arm))
        assert "##" not in sent and "$" not in sent and "\n\n\n" not in sent


def test_each_option_changes_what_is_asked() -> None:
    by_words: dict[str, set[tuple[object, ...]]] = {}
    for arm in ARMS:
        # The order in which pairs are listed needs no words, and "given" and "wrong" must be told alike.
        options = (arm.kind, arm.shown, arm.times, arm.plan, arm.register, arm.sources, arm.citations, arm.answer == "withheld")
        by_words.setdefault(instructions(load(arm.kind), arm), set()).add(options)
    assert all(len(options) == 1 for options in by_words.values())


def test_the_arms_given_and_wrong_are_asked_in_the_same_words() -> None:
    for shown, cited in itertools.product(SHOWN, BOTH):
        given_arm, wrong_arm = (Arm("rationale", shown, answer=answer, citations=cited) for answer in ("given", "wrong"))
        assert fill(load("rationale"), given_arm, {"question": "q", "answer": "a", "clip": "c"}) == fill(
            load("rationale"), wrong_arm, {"question": "q", "answer": "a", "clip": "c"}
        )


@given(question=st.text(), answer=st.text())
def test_what_stands_in_a_place_is_sent_as_it_is(question: str, answer: str) -> None:
    assert fill(prompt_of("mine", "## always\n<$question|${answer}> $$5"), GIVEN, {"question": question, "answer": answer}) == f"<{question}|{answer}> $5"


def test_a_question_cannot_open_a_place_or_a_section() -> None:
    question = "what is $answer ${clip} {x} $\n## when: nonsense\n## always"
    assert fill(prompt_of("mine", WHOLE), GIVEN, {"question": question, "answer": "A"}) == f"{question} A"


def test_sections_count_while_all_their_conditions_hold() -> None:
    text = "a comment with a $\n## always\n$question\n## when: not answer=withheld, citations\n$answer both\n## when: not citations\nplain $answer"
    places = {"question": "Q", "answer": "A"}
    assert fill(prompt_of("mine", text), Arm("rationale", citations=True), places) == "Q\nA both"
    assert fill(prompt_of("mine", text), Arm("rationale"), places) == "Q\nplain A"
    with pytest.raises(InputError, match=r"\$answer, which this arm does not give"):
        check(prompt_of("mine", text), Arm("rationale", answer="withheld"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("## always\n$question", r"lacks \$answer"),
        (f"{WHOLE} $pairs", r"says \$pairs"),
        (f"{WHOLE} $ 5", r"Write \$\$"),
        (f"{WHOLE}\n## Rules\nx", "section 'Rules'"),
        (f"{WHOLE}\n## when:\nx", "section 'when:'"),
        (f"{WHOLE}\n## when: speed\nx", "'speed', which is no option of a rationale"),
        (f"{WHOLE}\n## when: times\nx", "'times', which is no option of a rationale"),
        (f"{WHOLE}\n## when: answer=givn\nx", "answer=given|withheld|wrong"),
        (f"{WHOLE}\n## when: answer\nx", "no option"),
        (f"{WHOLE}\n## when: citations=yes\nx", "no option"),
    ],
)
def test_a_prompt_that_cannot_ask_for_the_arm_is_refused_with_the_way_out(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        fill(prompt_of("mine", text), GIVEN, {"question": "Q", "answer": "A"})


def test_a_file_is_read_or_refused(tmp_path: Path) -> None:
    good, latin = tmp_path / "mine.md", tmp_path / "latin.md"
    good.write_bytes(b"\xef\xbb\xbf## always\r\n$question $answer\r\n")
    latin.write_bytes("## always\nä".encode("latin-1"))
    assert load_file(good) == prompt_of("mine", WHOLE)
    for path, said in ((latin, "UTF-8"), (tmp_path / "none.md", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=said):
            load_file(path)
    with pytest.raises(InputError, match="no section"):
        prompt_of("mine", "$question $answer")
    with pytest.raises(InputError, match="Shorten it"):
        prompt_of("mine", "## always\n" + "x" * 100_000)
    with pytest.raises(InputError, match="no kind of text"):
        load("answer")


def test_a_version_is_that_of_its_words() -> None:
    ours = load("rationale")
    assert ours == prompt_of("rationale", (FOLDER / "rationale.md").read_text(encoding="utf-8"))
    assert ours.sha256 != prompt_of("rationale", ours.text.replace("Each", "Every")).sha256
    assert load_file(FOLDER / "rationale.md").name == "rationale"


def test_two_versions_differ_by_lines() -> None:
    old, new = "## always\none\ntwo\n", "## always\none\nthree\n"
    assert diff(old, old) == []
    assert [line for line in diff(old, new) if line[0] in "+-" and line[:3] not in ("+++", "---")] == ["-two", "+three"]


def test_what_is_sent_to_all_holds_nothing_of_one_question() -> None:
    assert instructions(prompt_of("mine", WHOLE + " tell"), arm_of("rationale")) == "  tell"
