"""Who is at the screen: one signed session for Gradio's pages and for our own routes."""

import functools
import inspect
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr
from fastapi import HTTPException, Request

from store.accounts import check_name, count_accounts, find_account, verify
from store.database import open_store
from store.errors import RefusedError, UserError

LEAD, ANNOTATOR = "lead", "annotator"


@dataclass(frozen=True)
class Person:
    """Somebody who signed in. An annotator has the desk, a lead every page."""

    name: str
    role: str


@dataclass(frozen=True)
class Access:
    """Sign-in and rights over one data directory.

    Without accounts a name is enough and everybody is a lead: that is for loopback only, which app.py sees to.
    """

    data: Path

    def has_accounts(self) -> bool:
        """Return whether anybody has an account; without one a name is enough."""
        with open_store(self.data) as db:
            return bool(count_accounts(db))

    def sign_in(self, request: Request, name: str, password: str) -> Person:
        """Open a session and return the person. Raises RefusedError for a wrong name or password, InputError for a bad name."""
        with open_store(self.data) as db:
            if count_accounts(db):
                account = verify(db, name, password)
                if account is None:
                    raise RefusedError("That name and password do not belong together. Try again, or ask the lead for an account.")
                person = Person(account.name, account.role)
            else:
                person = Person(check_name(name), LEAD)
        request.session["name"] = person.name
        return person

    def find(self, name: str | None) -> Person | None:
        """Return the person of this name with today's role, or None when the account is gone."""
        if not name:
            return None
        with open_store(self.data) as db:
            account = find_account(db, name)
            if account is not None:
                return Person(account.name, account.role)
            return None if count_accounts(db) else Person(name, LEAD)

    def user(self, request: Request) -> str | None:
        """Return the signed-in name or None: what Gradio asks before it answers."""
        person = self.find(request.session.get("name"))
        return person.name if person else None

    def person(self, request: Request) -> Person:
        """Return who asks. Raises HTTPException 401 when nobody is signed in."""
        person = self.find(request.session.get("name"))
        if person is None:
            raise HTTPException(401, "Sign in first.")
        return person

    def handler(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return a page's function for leads only, its UserErrors shown as messages; Gradio hands it the request."""
        names = list(inspect.signature(fn).parameters)
        hints = get_type_hints(fn)
        place = next((i for i, name in enumerate(names) if hints.get(name) is gr.Request), None)

        def admit(arguments: tuple[Any, ...]) -> list[Any]:
            request: gr.Request = arguments[0 if place is None else place]
            person = self.find(request.username if request else None)
            if person is None or person.role != LEAD:
                raise RefusedError("This page is for leads. Ask one to change your role, or sign in with another name.")
            return list(arguments[1:] if place is None else arguments)

        if inspect.isgeneratorfunction(fn):

            @functools.wraps(fn)
            def wrapped(*arguments: Any) -> Any:
                with _shown():
                    yield from fn(*admit(arguments))

        else:

            @functools.wraps(fn)
            def wrapped(*arguments: Any) -> Any:
                with _shown():
                    return fn(*admit(arguments))

        if place is None:
            _ask_for_request(wrapped, fn, hints)
        return wrapped


def session_secret(data: Path) -> str:
    """Return the key that signs sessions, made once and kept in the data directory for the owner's eyes."""
    path = data / "session.key"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_text(encoding="ascii")


@contextmanager
def _shown() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from error


def _ask_for_request(wrapped: Any, fn: Callable[..., Any], hints: dict[str, Any]) -> None:
    """Put a request before the function's own parameters: Gradio fills it in by its type."""
    asked = inspect.Parameter("gradio_request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    signature = inspect.signature(fn)
    wrapped.__signature__ = signature.replace(parameters=[asked, *signature.parameters.values()])
    wrapped.__annotations__ = {"gradio_request": gr.Request, **hints}
