"""Video by digest, with HTTP ranges: nothing but what the media table knows, and only to those who signed in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, Response

from curation.ui.access import Access, Person
from curation.ui.sentences import SentenceRoute
from store.clips import get_media
from store.database import open_store
from store.errors import NotFoundError
from store.media_files import media_path
from store.records import Media

CHUNK_BYTES = 1024 * 1024


class MediaResponse(FileResponse):
    """A file in chunks that are large enough for video: half the time of Starlette's 64 KiB for 10 MB on loopback."""

    chunk_size = CHUNK_BYTES


def build_media_router(access: Access) -> APIRouter:
    """Return the route /media/DIGEST: 200, 206 or 416 with ranges, 304 for what the browser holds, 404 for what nobody imported."""
    router = APIRouter(route_class=SentenceRoute)

    @router.get("/media/{digest}")
    def media(request: Request, digest: str, person: Annotated[Person, Depends(access.person)]) -> Response:
        with open_store(access.data) as db:
            known = get_media(db, digest)
        path = media_path(access.data, digest) if known else None
        if known is None or path is None or not path.is_file():
            raise NotFoundError(f"No video {digest[:12]!r} is kept here. Ask an admin to import it again.")
        headers = {"ETag": f'"{digest}"', "Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return MediaResponse(path, headers=headers, media_type=_content_type(known, digest))

    return router


def _content_type(media: Media, digest: str) -> str:
    """Return what the bytes are; a playable copy is always MP4."""
    container = "mp4" if digest == media.proxy_digest else media.container or ""
    if "webm" in container or "matroska" in container:
        return "video/webm"
    return "video/mp4" if "mp4" in container or "mov" in container else "application/octet-stream"
