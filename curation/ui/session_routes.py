"""Sign-in page, joining by invitation, sign-out, and who is signed in."""

import html
from pathlib import Path
from string import Template
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from curation.ui.access import Access, Person, leave
from curation.ui.own_page import form_of_own_page
from curation.ui.sentences import SentenceRoute, status_of
from store.database import open_store
from store.errors import UserError
from store.invitations import open_invitation
from store.throttle import TooManyTriesError

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PASSWORD = '<label for="password">Password</label><input id="password" name="password" type="password" required autocomplete="current-password">'
NAME_ONLY = "No accounts are set up, so a name is enough; it stands beside your annotations. For other machines: python -m store account NAME admin."
WITH_ACCOUNT = "Accounts are made through an invitation link. Ask an admin for one."
# The link's token stays here: no cache keeps it, and no other site is told the address.
SECRET = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}


def build_session_router(access: Access) -> APIRouter:
    """Return the routes /login, /join, /logout and /api/me."""
    router = APIRouter(route_class=SentenceRoute)
    OwnForm = Depends(form_of_own_page)

    @router.get("/login")
    def show(next: str = "/", error: str = "", name: str = "") -> HTMLResponse:
        return _sign_in_page(access, next, error, name)

    @router.post("/login", dependencies=[OwnForm])
    def sign_in(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> Response:
        try:
            access.sign_in(request, name, password)
        except TooManyTriesError as error:
            page = _sign_in_page(access, next, str(error), name, status_of(error))
            page.headers["Retry-After"] = str(error.wait_s)
            return page
        except UserError as error:
            return RedirectResponse("/login?" + urlencode({"next": next, "error": str(error), "name": name[:60]}), 303)
        return RedirectResponse(_own_path(next), 303)

    @router.get("/join")
    def show_invitation(token: str = "") -> HTMLResponse:
        return _invitation_page(access, token)

    @router.post("/join", dependencies=[OwnForm])
    def join(request: Request, token: Annotated[str, Form()], name: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
        try:
            access.join(request, token, name, password)
        except UserError as error:
            return _invitation_page(access, token, str(error), name, status_of(error))
        return RedirectResponse("/", 303)

    @router.post("/logout", dependencies=[OwnForm])
    def sign_out(request: Request) -> RedirectResponse:
        leave(request)
        return RedirectResponse("/login", 303)

    @router.get("/api/me")
    def me(person: Annotated[Person, Depends(access.person)]) -> dict[str, str]:
        return {"name": person.name, "role": person.role}

    return router


def _sign_in_page(access: Access, next: str, error: str, name: str, status: int = 200) -> HTMLResponse:
    accounts = access.has_accounts()
    told = {"next": next, "error": error, "name": name[:60], "hint": WITH_ACCOUNT if accounts else NAME_ONLY}
    return _page("login.html", told, status, password=PASSWORD if accounts else "")


def _invitation_page(access: Access, token: str, error: str = "", name: str = "", status: int = 200) -> HTMLResponse:
    """Return the form of an invitation that is open, or why it is not."""
    try:
        with open_store(access.data) as db:
            role = open_invitation(db, token).role
    except UserError as closed:
        return _page("closed.html", {"error": str(closed)}, status_of(closed))
    return _page("join.html", {"token": token, "role": role, "error": error, "name": name[:60]}, status)


def _page(file: str, told: dict[str, str], status: int = 200, **markup: str) -> HTMLResponse:
    """Return a page of assets/ with what is told put in, escaped, and our own markup as it is."""
    text = Template((ASSETS / file).read_text(encoding="utf-8"))
    return HTMLResponse(text.substitute({key: html.escape(value) for key, value in told.items()}, **markup), status, SECRET)


def _own_path(path: str) -> str:
    """Return the path when it leads into this app, else the first page: a link may not send anybody elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
