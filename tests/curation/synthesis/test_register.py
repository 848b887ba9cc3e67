"""Who is named in questions: the expressions that are found, and who cannot be whom."""

import pytest

from curation.synthesis.register import cannot_be_one, mentions, named_in, register, register_lines
from tests.curation.synthesis.told import pair


def words(question: str) -> list[str]:
    return [mention.words for mention in mentions(question)]


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("why did the boy in yellow hand the racket to the lady in white near the end", ["the boy in yellow", "the lady in white"]),
        ("what does the man in a dark green jacket do after the other man kneels", ["the man in a dark green jacket", "the other man"]),
        ("How does the girl's mother react to a puppy?", ["the girl", "the mother", "the puppy"]),
        ("what did the red shirt man on the left throw", ["the red shirt man on the left"]),
        ("why is the small brown dog beside two kittens", ["the small brown dog", "the two kittens"]),
        ("what does the person holding the umbrella point at", ["the person holding the umbrella"]),
        ("how does the lady with a blue cap and the baby girl leave", ["the lady with a blue cap", "the baby girl"]),
        ("where do the guys and the two ladies swim", ["the guys", "the two ladies"]),
        ("why did the woman at the back of the hall clap", ["the woman at the back"]),
    ],
)
def test_people_and_animals_are_found_with_what_tells_them_apart(question: str, named: list[str]) -> None:
    assert words(question) == named


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("where was this filmed", []),
        ("why is the toy dog in the dog house", []),
        ("what is in the baby pram", []),
        ("why did the lady duck under the rope", ["the lady"]),
        ("why is the man wearing a helmet", ["the man"]),  # asks for the helmet, and names nobody by it
        ("is the boy holding a kite", ["the boy"]),
        ("what did the girl do in the middle of the video", ["the girl"]),
        ("what did he do after the boy in the middle", ["the boy"]),  # of the video, as questions end
        ("qu'est-ce que la dame fait", []),
    ],
)
def test_what_is_no_one_and_what_is_no_name_is_left_out(question: str, named: list[str]) -> None:
    assert words(question) == named


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("the boy", "the lady", True),
        ("the girl", "the lady", False),  # a young woman is called both
        ("the boy", "the baby", False),
        ("the man", "the baby", True),
        ("the man in black", "the man in a white shirt", True),
        ("the man in black", "the man with a white cap", False),  # he may wear both
        ("the man in black and white", "the man in white", False),
        ("the man on the left", "the man on the right", True),
        ("the man in black", "the man on the right", False),
        ("the black cat", "the white cat", True),
        ("the dog", "the cat", True),
        ("the dog", "the animal", False),
        ("the person", "the girl in pink", False),
        ("the man holding a ball", "the man holding a bat", False),  # at other times
        ("the men", "the man", True),
    ],
)
def test_two_are_not_one_only_when_they_differ_in_a_trait_of_one_kind(one: str, other: str, apart: bool) -> None:
    first, second = register([pair("1", question=f"who sees {one}", answer=None), pair("2", question=f"who sees {other}", answer=None)])
    assert cannot_be_one(first, second) is cannot_be_one(second, first) is apart


def test_two_that_one_question_names_are_not_one_unless_one_says_less_of_the_same() -> None:
    both = register([pair("1", question="what does the man in black do after the man with a cap falls")])
    assert cannot_be_one(*both)
    assert not cannot_be_one(*register([pair("1", question="what does the girl in red do when the girl falls")]))
    assert cannot_be_one(*register([pair("1", question="what does the girl do when the other girl falls")]))


def test_the_same_words_are_one_entry_with_all_pairs_that_name_it() -> None:
    pairs = [pair("1", question="why did the boy in red run"), pair("2", question="what did a boy in red drop", answer="his hat"), pair("3")]
    assert named_in(pairs) == {"the boy in red": (0, 1), "the man": (2,)}


def test_the_answer_names_too() -> None:
    assert named_in([pair("1", question="who opens the box", answer="the lady in green")]) == {"the lady in green": (0,)}


def test_the_lines_say_who_is_who_in_which_pair_and_who_not() -> None:
    pairs = [
        pair("1", question="why does the boy in yellow laugh"),
        pair("2", question="what does the lady do after the dog barks at the boy in yellow"),
        pair("3", question="how do the people leave"),
    ]
    assert register_lines(pairs) == (
        "- the boy in yellow (Q1, Q2); not the lady",
        "- the lady (Q2); not the boy in yellow",
        "- the dog (Q2)",
        "- the people (Q3)",
    )
