"""Texts that are no answers, beside texts that only look like it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.faults import is_echo, text_fault

ERRORS = [
    "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 23.69 GiB total capacity; 22.31 GiB already allocated)",
    "Error generating CoT: CUDA out of memory. Tried to allocate 512.00 MiB.",
    "[ERROR] CUDA out of memory",
    "torch.cuda.OutOfMemoryError: CUDA out of memory.",
    "The boy runs.\nTraceback (most recent call last):\n  ...",
    '  File "generate.py", line 3, in <module>',
    "ValueError('no frames')",
    "RuntimeError: shape mismatch",
    "openai.RateLimitError: Error code: 429",
    "Error: 500",
    "ERROR: upstream",
    "An error occurred while processing your request: timeout",
    "Error code: 429 - {'error': 'slow down'}",
    "Internal Server Error",
    "500 Internal Server Error",
    "HTTP/1.1 503 Service Unavailable",
    "502 Bad Gateway\nnginx/1.18.0",
    "404 Not Found",
    "Too Many Requests",
    "<!DOCTYPE html><html><body>504</body></html>",
    "<html><head><title>502 Bad Gateway</title></head></html>",
    '{"error": {"message": "Rate limit", "code": 429}}',
    '{"detail": "Not Found"}',
    '{"rationale": "The boy runs."}',
    "[]",
    "Rate limit reached for gpt-4o in organization org-1 on tokens per min.",
    "upstream connect error or disconnect/reset before headers. reset reason: connection failure",
    "no healthy upstream",
    "The model is overloaded. Please try again later.",
    "Failed to generate response.",
]
REFUSALS = [
    "I'm sorry, but I can't assist with that.",
    "I’m sorry, I can’t help with this request.",
    "I am so sorry, but as a text model I don't see it.",
    "I apologize, but I am unable to view the clip.",
    "I cannot view videos.",
    "I can't directly watch the video.",
    "I'm not able to help with that.",
    "I am unable to provide a rationale for this.",
    "Unfortunately, I can't see the frames.",
    "I don't have access to the video.",
    "I do not see any images.",
    "No video was provided. Please upload it.",
    "Please provide the video.",
    "As an AI language model, I do not watch videos. " + "Judging by the words alone the boy runs, since boys do. " * 20,
]
MARKS = [
    "<|im_start|>assistant\nThe boy runs.",
    "The boy runs.<|im_end|>",
    "The boy runs.</s>",
    "[INST] why [/INST] The boy runs.",
    "The dog <image> runs.",
    "<start_of_turn>model\nThe boy runs.",
    "The boy runs.<｜end▁of▁sentence｜>",
    "<think>The boy",
]
EMPTY = ["", " \n", "...", "—", "[...]"]
# What a viewer may well write of a clip.
SOUND = [
    "The man looks at the laptop, and an error message is shown: it says CUDA out of memory.",
    "An error message appears on the screen at the start, and the woman frowns.",
    "An error of the boy: he lets go of the rope.",
    "The screen shows 'Internal Server Error' and the man sighs.",
    "Service Unavailable is written on the sign beside the road.",
    "Not Found is the name of the shop.",
    "404 people stand in the square.",
    "500 metres before the goal the woman in blue falls.",
    "Error messages scroll over the monitor while he types.",
    "Failed attempts: the boy tries to stand on the board three times.",
    "Connection of the two pipes is shown first.",
    "A traceback is shown on the screen.",
    "5 < 7 is written on the board and the teacher points to it.",
    "{The boy} runs.",
    "[1] The boy runs.",
    "I cannot see the ball after the boy lets go of it, so where it lands is not shown.",
    "I can't believe it, says the man in red, and he throws his hat.",
    "We see a man. We cannot see his face.",
    "The evidence is weak: the clip does not show why she smiles.",
    "Sorry for the boy, the dog takes his ball away and runs.",
    "The woman says sorry and I can't hear what he says.",
    "No video camera is visible, but the woman holds a phone in front of her face.",
    "No frames hang on the wall, and the woman carries one in.",
    "They cannot help laughing as the dog jumps.",
    "The man is unable to provide shelter to the dog, since it runs away.",
    "Please do not enter, says the sign beside the door; the boy walks in.",
    "As an airplane lands, the boy waves.",
    "As an artist paints, the crowd watches.",
    "I'm sorry, I cannot stay, says the man, and he leaves. " + "The others stay and go on with their game. " * 20,
]
INSTRUCTIONS = "Write 2 to 6 sentences of plain prose, in the language of the question. Each sentence tells one thing that is seen or heard."
QUESTION = "why did the boy pick up one present from the group of them and move to the sofa\nOptions:\nA. share with the girl\nB. unwrap it"


@pytest.mark.parametrize(
    ("code", "text"),
    [(code, text) for code, texts in (("error_text", ERRORS), ("refusal", REFUSALS), ("template_marks", MARKS), ("empty", EMPTY)) for text in texts],
)
def test_what_is_no_answer_is_told_by_what_it_is(code: str, text: str) -> None:
    fault = text_fault(text)
    assert fault is not None and fault.code == code and fault.sentence.endswith((".", "'", '"'))


@pytest.mark.parametrize("text", SOUND)
def test_a_text_that_tells_of_errors_apologies_and_pictures_is_an_answer(text: str) -> None:
    assert text_fault(text) is None


@given(st.sampled_from([*ERRORS, *REFUSALS, *MARKS]), st.sampled_from(["The boy runs to the dog. ", "Later the boy in the red shirt says: "]))
def test_the_same_words_in_the_middle_of_a_text_are_no_error_and_no_refusal(text: str, before: str) -> None:
    fault = text_fault(before + text.replace("\n", " "))
    assert fault is None or fault.code == "template_marks" or "Tried to allocate" in text or "CUDA" in text


@pytest.mark.parametrize("repeated", ["a", " ", "\n", "error ", "as an ai ", "I'm sorry ", "400 ", "x: ", 'File "a', "<", "[.A", "A.a", "aError", "{", "["])
def test_the_time_grows_with_the_length_and_no_faster(repeated: str) -> None:
    began = time.process_time()
    text_fault(repeated * (20_000 // len(repeated)))
    assert time.process_time() - began < 0.5  # some 5 ms; a search that looked back over all of it would take seconds


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        QUESTION.split("\n")[0],
        "Question: " + QUESTION,
        INSTRUCTIONS,
        f"{QUESTION}\n{INSTRUCTIONS}",
        f"{INSTRUCTIONS}\nThe boy unwraps the present on the sofa.",
    ],
)
def test_what_was_asked_said_back_is_an_echo(text: str) -> None:
    assert is_echo(text, INSTRUCTIONS, [QUESTION])
    assert not is_echo(text, "", [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unwrap it",
        "The boy picks up one present from the group of them and moves to the sofa to unwrap it.",
        "The boy did pick up one present from the group of them and move to the sofa because he wants to unwrap it.",
        "As to “why did the boy pick up one present from the group of them and move to the sofa”, the answer is: unwrap it.",
        "Each sentence tells one thing, and the boy who has the present tears at its paper while he sits on the sofa.",
    ],
)
def test_a_statement_that_restates_question_and_answer_is_no_echo(text: str) -> None:
    assert not is_echo(text, INSTRUCTIONS, [QUESTION])
