"""A process that is asked over its standard input and answers over its standard output: a JSON object a line, one at a time."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from store.errors import UserError


def answer_lines(answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Answer each request until standard input ends: {"id": the request's, ...}, a refusal as {"id", "problem": a sentence}.

    What libraries print in the meantime goes to standard error.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin.buffer:
            request = json.loads(line)
            try:
                found = answer(request)
            except UserError as error:
                found = {"problem": str(error)}
            answers.write(json.dumps({"id": request["id"], **found}) + "\n")
            answers.flush()
