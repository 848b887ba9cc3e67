"""Who is at the screen: one signed session for Gradio's pages and for our own routes."""

import functools
import html
import inspect
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr
import sqlite_utils
from fastapi import HTTPException, Request
from starlette.requests import HTTPConnection

from store.accounts import ROLES, check_name, count_accounts, find_account, fresh_hash, new_account, plain_name, renew_hash, verify
from store.database import open_store
from store.errors import RefusedError, UserError
from store.invitations import accept_invitation, open_invitation
from store.records import Account
from store.rows import digest_id
from store.throttle import count_try, strike_off
from store.writer import Writer

ANNOTATOR, ADJUDICATOR, ADMIN = ROLES
SEEN = "eyewitness.person"  # where a request carries who asks
KNOWN_NAMES = 8  # that a browser remembers beyond signing out


@dataclass(frozen=True)
class Person:
    """Somebody who signed in, with one of the ROLES of store/accounts.py."""

    name: str
    role: str

    def may(self, least: str) -> bool:
        """Return whether the person's role is `least` or above it."""
        return ROLES.index(self.role) >= ROLES.index(least)


@dataclass(frozen=True)
class Access:
    """Sign-in and rights over one data directory.

    Without accounts a name is enough and everybody is an admin: that is for loopback only, which app.py sees to.
    """

    data: Path
    writer: Writer

    def has_accounts(self) -> bool:
        """Return whether anybody has an account; without one a name is enough."""
        with open_store(self.data) as db:
            return bool(count_accounts(db))

    def sign_in(self, request: Request, name: str, password: str) -> Person:
        """Open a session and return the person.

        Raises RefusedError for a wrong name or password, TooManyTriesError (429) after several, InputError for a bad name.
        """
        if not self.has_accounts():
            return _open_session(request, check_name(name), None)
        account = self._held_against_password(request, plain_name(name), password)
        return _open_session(request, account.name, account)

    def join(self, request: Request, token: str, name: str, password: str) -> Person:
        """Make the account of an invitation and open its first session; return the person.

        Raises NotFoundError or RefusedError for a token that does not count (any more), InputError for a bad name or password,
        ConflictError for a name that is taken.
        """
        with open_store(self.data) as db:
            role = open_invitation(db, token).role
        # Hashed before the writer's turn: it takes as long as twenty operations of others.
        account = new_account(name, password, role)
        self.writer.run(lambda db: accept_invitation(db, token, account))
        return _open_session(request, account.name, account)

    def find(self, name: str | None) -> Person | None:
        """Return the person of this name with today's role, or None when there is no such account among others."""
        return self._find(name)[0]

    def signed_in(self, session: Mapping[str, Any]) -> Person | None:
        """Return the person of a session, or None when it was opened with another password or role than today's."""
        person, account = self._find(session.get("name"))
        return person if session.get("proof") == _proof(account) else None

    def asking(self, request: HTTPConnection) -> Person | None:
        """Return who asks, or None when nobody is signed in; looked up once a request, whoever wants to know."""
        if SEEN not in request.scope:
            request.scope[SEEN] = self.signed_in(request.session)
        person: Person | None = request.scope[SEEN]
        return person

    def user(self, request: Request) -> str | None:
        """Return the signed-in name or None: what Gradio asks before it answers."""
        person = self.asking(request)
        return person.name if person else None

    def person(self, request: Request) -> Person:
        """Return who asks. Raises HTTPException 401 when nobody is signed in."""
        person = self.asking(request)
        if person is None:
            raise HTTPException(401, "Sign in first.")
        return person

    def _find(self, name: str | None) -> tuple[Person | None, Account | None]:
        if not name:
            return None, None
        with open_store(self.data) as db:
            account = find_account(db, name)
            if account is not None:
                return Person(account.name, account.role), account
            return (None if count_accounts(db) else Person(name, ADMIN)), None

    def _held_against_password(self, request: Request, name: str, password: str) -> Account:
        """Return the account of this name and password, its hash made anew when it is outdated; see store/throttle.py for the count."""
        address, known_here = request.client.host if request.client else "", _mark(name) in request.session.get("known", ())
        self.writer.run(lambda db: count_try(db, name, address, known_here))
        with open_store(self.data) as db:
            account = verify(db, name, password)
        if account is None:
            raise RefusedError("That name and password do not belong together. Try again, or ask an admin for an invitation or a new password.")
        right, new_hash = account, fresh_hash(account, password)

        def keep(db: sqlite_utils.Database) -> Account:
            strike_off(db, right.name)
            return renew_hash(db, right, new_hash) if new_hash else right

        return self.writer.run(keep)

    def adjudicator(self, request: Request) -> Person:
        """Return the adjudicator or admin who asks. Raises HTTPException 401 when nobody is signed in, RefusedError for an annotator."""
        return _at_least(ADJUDICATOR, self.person(request))

    def admin(self, request: Request) -> Person:
        """Return the admin who asks. Raises HTTPException 401 when nobody is signed in, RefusedError for everybody else."""
        return _at_least(ADMIN, self.person(request))

    def handler(self, fn: Callable[..., Any], least: str = ADMIN) -> Callable[..., Any]:
        """Return a page's function for `least` and above, its UserErrors shown as messages; Gradio hands it the request."""
        names = list(inspect.signature(fn).parameters)
        hints = get_type_hints(fn)
        place = next((i for i, name in enumerate(names) if hints.get(name) is gr.Request), None)

        def admit(arguments: tuple[Any, ...]) -> list[Any]:
            request: gr.Request = arguments[0 if place is None else place]
            person = self.find(request.username if request else None)
            _at_least(least, person)
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


def make_access(data: Path) -> Access:
    """Return the sign-in of a data directory: the one way in which the app and the tests make it."""
    return Access(data, Writer(data))


def session_secret(data: Path) -> str:
    """Return the key that signs sessions, made once and kept in the data directory for the owner's eyes."""
    path = data / "session.key"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_text(encoding="ascii")


def _at_least(least: str, person: Person | None) -> Person:
    """Return the person when the role is enough. Raises RefusedError when it is not."""
    if person is None or not person.may(least):
        whom = "admins" if least == ADMIN else f"{least}s and above"
        raise RefusedError(f"This is for {whom}. Ask an admin to change your role, or sign in with another name.")
    return person


def leave(request: Request) -> None:
    """End the session; the browser keeps which names signed in with it, so that nobody's tries elsewhere can lock them out."""
    known = request.session.get("known", [])
    request.session.clear()
    if known:
        request.session["known"] = known


def _open_session(request: Request, name: str, account: Account | None) -> Person:
    leave(request)
    request.session.update(name=name, proof=_proof(account))
    if account:  # by a password: a name alone proves nothing that could count later
        known = [mark for mark in request.session.get("known", []) if mark != _mark(name)]
        request.session["known"] = [_mark(name), *known][:KNOWN_NAMES]
    return Person(name, account.role if account else ADMIN)


def _mark(name: str) -> str:
    return digest_id("known", name)


def _proof(account: Account | None) -> str | None:
    """Return what a session holds to show that it was opened with the account's present password and role."""
    return digest_id("proof", account.password_hash, account.role) if account else None


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
