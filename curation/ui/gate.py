"""The door: who is not signed in is led to the sign-in page, and an annotator to the desk."""

from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from curation.ui.access import LEAD, Access
from store.errors import StorageError


class Gate:
    """Redirects page views only; every route and handler behind it checks for itself."""

    def __init__(self, app: ASGIApp, access: Access, lead_pages: frozenset[str]) -> None:
        self.app, self.access, self.lead_pages = app, access, lead_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a page view that may not be, or pass it on."""
        try:
            elsewhere = self._elsewhere(HTTPConnection(scope)) if scope["type"] == "http" and scope["method"] == "GET" else None
            answer = RedirectResponse(elsewhere, 303) if elsewhere else self.app
        except StorageError as error:
            # Whoever asks first who this is, finds out first that the disk is full.
            answer = PlainTextResponse(str(error), 503)
        await answer(scope, receive, send)

    def _elsewhere(self, asked: HTTPConnection) -> str | None:
        path = asked.url.path
        if "text/html" not in asked.headers.get("accept", "") or path == "/login" or path.startswith("/eyewitness/"):
            return None
        person = self.access.signed_in(asked.session)
        if person is None:
            return "/login?next=" + quote(path)
        return "/" if person.role != LEAD and path.strip("/") in self.lead_pages else None
