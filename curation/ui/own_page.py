"""What a foreign page could make a browser send is refused: SameSite cookies let pages of the same host, on another port, through."""

from urllib.parse import urlsplit

from fastapi import Request
from starlette.requests import HTTPConnection

from store.errors import RefusedError


def refuse_foreign(request: HTTPConnection) -> None:
    """Raise RefusedError when a browser says that another site's page sent the request."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise RefusedError(f"This request came from {origin[:80]}, not from Eyewitness itself. Open Eyewitness in its own window.")


def from_own_page(request: Request) -> None:
    """Let JSON through that our own page sent; a form cannot say that it is JSON. Raises RefusedError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError("Operations are sent as application/json.")
    refuse_foreign(request)


def form_of_own_page(request: Request) -> None:
    """Let a form through that our own page sent. Raises RefusedError."""
    refuse_foreign(request)
