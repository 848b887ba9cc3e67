"""Keys of providers: read from the environment, given to the one request that needs them, and shown nowhere."""

import json
import os
import re
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote, quote_plus

from curation.synthesis.plan import WriterSpec
from store.errors import InputError

# By kind: the variables that may hold the provider's key, in the order in which they count.
VARIABLES: Mapping[str, tuple[str, ...]] = {"gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"), "openai": ("OPENAI_API_KEY",)}
HIDDEN = "[key]"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Secret:
    """A key that does not show itself: printed, logged or put into a message it is "[key]", and it can be neither copied nor pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself, for the header of a request and nothing else."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> NoReturn:
        raise TypeError("A key is not written anywhere.")


def variables_of(spec: WriterSpec) -> tuple[str, ...]:
    """Return the variables of the environment that may hold this writer's key; none: it needs no key."""
    return (spec.key_variable,) if spec.key_variable else () if spec.address else VARIABLES.get(spec.kind, ())


def key_of(spec: WriterSpec, environment: Mapping[str, str] = os.environ) -> Secret:
    """Return the key that this writer needs, an empty one when it needs none: a server at an address of one's own, or no provider at all.

    Raises InputError when a key is needed and its variable is not set, holds what can be no key, or is no name of a variable.
    """
    if spec.key_variable and not _NAME.fullmatch(spec.key_variable):
        # Not told: it may be the key itself, which would then stand in the plan, in a log and on the page.
        raise InputError("The variable that holds the key is given by its name, such as OPENAI_API_KEY: letters, digits and _. Never give the key itself.")
    names = variables_of(spec)
    if not names:
        return Secret("")
    name = next((name for name in names if environment.get(name, "").strip()), None)
    if name is None:
        raise InputError(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not set. Put the key of {spec.model} into {names[0]} and start again.")
    key = environment[name].strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"What {name} holds can be no key: it has spaces, line breaks or letters beyond ASCII in it. Set it anew.")
    return Secret(key)


def redact(text: str, secret: Secret) -> str:
    """Return the text without the key, also where it stands as part of a URL or of JSON."""
    key = secret.reveal()
    forms = {key, quote(key, safe=""), quote(key), quote_plus(key), json.dumps(key)[1:-1]} if key else set()
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    return text
