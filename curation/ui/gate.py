"""The door: nothing is answered to whoever is not signed in, or has not the role for it, and no foreign page may post.

What is not named here is for admins. Routes and handlers behind the gate check again for themselves.
"""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from curation.ui.access import ADMIN, ANNOTATOR, Access
from curation.ui.navigation import Page
from curation.ui.own_page import refuse_foreign
from store.errors import RefusedError, StorageError

# For everybody: the door itself, our own modules and styles, and what Gradio's package brings to every app.
OPEN = ("/login", "/join", "/logout", "/favicon.ico")
OPEN_FOLDERS = ("/eyewitness/", "/assets/", "/static/", "/svelte/")
# Our own routes ask for the role that each needs; what Gradio's pages need to show themselves and to call their handlers, which ask too.
SIGNED_IN_FOLDERS = ("/api/", "/media/", "/download/", "/gradio_api/heartbeat/", "/gradio_api/queue/", "/gradio_api/call/")
SIGNED_IN = ("/theme.css", "/gradio_api/cancel")
READING = ("GET", "HEAD", "OPTIONS")


class Gate:
    """Answers for the app what it may not be asked: page views are led elsewhere, everything else is refused with a sentence."""

    def __init__(self, app: ASGIApp, access: Access, pages: Sequence[Page]) -> None:
        self.app, self.access = app, access
        self.least = {page.path.strip("/"): page.least for page in pages}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what may not be asked, or pass it on."""
        try:
            answer = self._refusal(HTTPConnection(scope)) if scope["type"] == "http" else None
        except RefusedError as error:
            answer = JSONResponse({"error": str(error)}, 403)
        except StorageError as error:
            # Whoever asks first who this is, finds out first that the disk is full.
            answer = PlainTextResponse(str(error), 503)
        await (answer or self.app)(scope, receive, send)

    def _refusal(self, asked: HTTPConnection) -> ASGIApp | None:
        path, reading = asked.scope["path"], asked.scope["method"] in READING
        if not reading:
            refuse_foreign(asked)
        if path in OPEN or path.startswith(OPEN_FOLDERS):
            return None
        person, viewed = self.access.asking(asked), reading and "text/html" in asked.headers.get("accept", "")
        if person is None:
            return RedirectResponse("/login?next=" + quote(path), 303) if viewed else JSONResponse({"error": "Sign in first."}, 401)
        if person.may(self._least(path)):
            return None
        return RedirectResponse("/", 303) if viewed and path.strip("/") in self.least else JSONResponse({"error": f"{path[:80]} is not for you."}, 403)

    def _least(self, path: str) -> str:
        """Return the least role that may ask for a path."""
        if path in SIGNED_IN or path.startswith(SIGNED_IN_FOLDERS):
            return ANNOTATOR
        return self.least.get(path.strip("/"), ADMIN)
