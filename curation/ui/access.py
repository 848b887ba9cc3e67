"""Who is at the screen: one signed session for Gradio's pages and for our own routes."""

import functools
import hashlib
import html
import inspect
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr
from fastapi import HTTPException, Request

from store.accounts import check_name, count_accounts, find_account, verify
from store.database import open_store
from store.errors import RefusedError, UserError
from store.records import Account

LEAD, ANNOTATOR = "lead", "annotator"
FOR_LEADS = "This page is for leads. Ask one to change your role, or sign in with another name."


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
            account = verify(db, name, password)
            if account is None and count_accounts(db):
                raise RefusedError("That name and password do not belong together. Try again, or ask the lead for an account.")
        person = Person(account.name, account.role) if account else Person(check_name(name), LEAD)
        request.session.update(name=person.name, proof=_proof(account))
        return person

    def find(self, name: str | None) -> Person | None:
        """Return the person of this name with today's role, or None when there is no such account among others."""
        account = self._account(name)
        if account is not None:
            return Person(account.name, account.role)
        return None if not name or self.has_accounts() else Person(name, LEAD)

    def signed_in(self, session: Mapping[str, Any]) -> Person | None:
        """Return the person of a session, or None when it was opened without today's password."""
        name = session.get("name")
        return self.find(name) if session.get("proof") == _proof(self._account(name)) else None

    def user(self, request: Request) -> str | None:
        """Return the signed-in name or None: what Gradio asks before it answers."""
        person = self.signed_in(request.session)
        return person.name if person else None

    def person(self, request: Request) -> Person:
        """Return who asks. Raises HTTPException 401 when nobody is signed in."""
        person = self.signed_in(request.session)
        if person is None:
            raise HTTPException(401, "Sign in first.")
        return person

    def _account(self, name: str | None) -> Account | None:
        with open_store(self.data) as db:
            return find_account(db, name) if name else None

    def lead(self, request: Request) -> Person:
        """Return the lead who asks. Raises HTTPException 401 when nobody is signed in, RefusedError for an annotator."""
        person = self.person(request)
        if person.role != LEAD:
            raise RefusedError(FOR_LEADS)
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
                raise RefusedError(FOR_LEADS)
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


def _proof(account: Account | None) -> str | None:
    """Return what a session holds to show that it was opened with the account's present password."""
    return hashlib.sha256(account.password_hash.encode("ascii")).hexdigest()[:32] if account else None


@contextmanager
def _shown() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        # Gradio shows it as HTML, and it may name what somebody typed.
        raise gr.Error(html.escape(str(error), quote=False), duration=None, print_exception=False) from error


def _ask_for_request(wrapped: Any, fn: Callable[..., Any], hints: dict[str, Any]) -> None:
    """Put a request before the function's own parameters: Gradio fills it in by its type."""
    asked = inspect.Parameter("gradio_request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    signature = inspect.signature(fn)
    wrapped.__signature__ = signature.replace(parameters=[asked, *signature.parameters.values()])
    wrapped.__annotations__ = {"gradio_request": gr.Request, **hints}
