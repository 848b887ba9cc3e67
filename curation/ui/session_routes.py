"""Sign-in page, sign-out, and who is signed in."""

import html
from pathlib import Path
from string import Template
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from curation.ui.access import Access, Person
from store.errors import UserError

PAGE = Path(__file__).resolve().parents[2] / "assets" / "login.html"
PASSWORD = '<label for="password">Password</label><input id="password" name="password" type="password" required autocomplete="current-password">'
NAME_ONLY = "No accounts are set up, so a name is enough; it stands beside your annotations. For other machines: python -m store account NAME lead."
WITH_ACCOUNT = "Accounts are made by a lead with: python -m store account NAME annotator."


def build_session_router(access: Access) -> APIRouter:
    """Return the routes /login, /logout and /api/me."""
    router = APIRouter()

    @router.get("/login", response_class=HTMLResponse)
    def show(next: str = "/", error: str = "", name: str = "") -> str:
        accounts = access.has_accounts()
        told = {"next": next, "error": error, "name": name, "hint": WITH_ACCOUNT if accounts else NAME_ONLY}
        shown = {key: html.escape(value) for key, value in told.items()}
        return Template(PAGE.read_text(encoding="utf-8")).substitute(shown, password=PASSWORD if accounts else "")

    @router.post("/login")
    def sign_in(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/") -> RedirectResponse:
        try:
            access.sign_in(request, name, password)
        except UserError as error:
            return RedirectResponse("/login?" + urlencode({"next": next, "error": str(error), "name": name[:60]}), 303)
        return RedirectResponse(_own_path(next), 303)

    @router.post("/logout")
    def sign_out(request: Request) -> RedirectResponse:
        request.session.clear()
        return RedirectResponse("/login", 303)

    @router.get("/api/me")
    def me(person: Annotated[Person, Depends(access.person)]) -> dict[str, str]:
        return {"name": person.name, "role": person.role}

    return router


def _own_path(path: str) -> str:
    """Return the path when it leads into this app, else the first page: a link may not send anybody elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
