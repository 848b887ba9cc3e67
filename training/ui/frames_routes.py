"""The routes of the page Frames: clips by their name, one clip, and a stretch of it pooled, as JSON beside Gradio."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from store.clip_search import ClipFile, clip_file, find_clips, list_datasets
from store.database import open_store
from store.errors import NotFoundError, UserError
from store.guard import GuardedWorker, Limits
from store.media_files import media_path
from store.played import frames_inside
from training.made_once import KeptFiles, MadeOnce
from training.pool_preview import SHOWN_PX, PreviewOrder, pooled_preview
from training.pooling import PoolSettings

Json = dict[str, Any]
Tab = Annotated[str, Query(max_length=40)]  # of a browser: what it asks takes the place of what it asked before
CLIPS_LISTED = 50
LIMITS = Limits(seconds=60.0)


class Visitor(Protocol):
    """Somebody who signed in."""

    @property
    def name(self) -> str:
        """What the person is called."""


class Doors(Protocol):
    """The data directory, and who may come in."""

    @property
    def data(self) -> Path:
        """Where the data lives."""

    def adjudicator(self, request: Request) -> Visitor:
        """Return the adjudicator or admin who asks. Raises what the app answers to everybody else."""


def build_frames_router(access: Doors, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Return the routes under /api/frames, for adjudicators and admins; `route_class` translates refusals."""
    worker = GuardedWorker()  # the file comes from outside, so the app itself decodes nothing
    router = APIRouter(prefix="/api/frames", route_class=route_class, lifespan=partial(_closing, worker))
    previews = MadeOnce(KeptFiles(access.data / "cache" / "pooled"))
    Adjudicator = Annotated[Visitor, Depends(access.adjudicator)]

    @router.get("/clips")
    def show_clips(person: Adjudicator, words: str = "", dataset: str | None = None, start: Annotated[int, Query(ge=0)] = 0) -> Json:
        with open_store(access.data) as db:
            found, count = find_clips(db, words, dataset, start, CLIPS_LISTED)
            return {"clips": [_line(one) for one in found], "start": start, "at_once": CLIPS_LISTED, "count": count, "datasets": list_datasets(db)}

    @router.get("/clip/{clip_id}")
    def show_clip(clip_id: str, person: Adjudicator) -> Json:
        with open_store(access.data) as db:
            of = clip_file(db, clip_id)
            frames = frames_inside(db, of.clip, of.media).tolist()
        problem = of.problem or (None if _path(access.data, of).is_file() else f"The file of {of.clip.media_name!r} is gone. Ask an admin to import it again.")
        return _line(of) | {"media_digest": of.played_digest, "start_s": of.clip.start_s, "end_s": of.end_s, "frames": frames, "problem": problem}

    @router.get("/pooled/{clip_id}")
    def show_pooled(
        clip_id: str, person: Adjudicator, settings: Annotated[PoolSettings, Depends(_settings)], first: int = 0, size_px: int = SHOWN_PX, tab: Tab = ""
    ) -> Response:
        with open_store(access.data) as db:
            of = clip_file(db, clip_id)
        if of.problem:
            raise NotFoundError(of.problem)
        path, order = _path(access.data, of), PreviewOrder(of.clip.digest or "", of.clip.start_s, of.end_s, first, settings, size_px)
        with _named(path, of.clip.media_name):
            made = previews.get(f"{tab} {person.name}", order.key, partial(worker.call, pooled_preview, path, order, limits=LIMITS))
        return Response(made, media_type="application/json", headers={"Cache-Control": "private, no-cache"})

    return router


@contextlib.contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """Let refusals call the file by the name that people know: on disk it has its digest."""
    try:
        yield
    except UserError as problem:
        raise type(problem)(str(problem).replace(str(path), name).replace(path.name, name)) from problem


@contextlib.asynccontextmanager
async def _closing(worker: GuardedWorker, _: object) -> AsyncIterator[None]:
    """End the children when the server stops, so that nobody waits for them."""
    yield
    worker.close()


def _settings(
    window_s: float = PoolSettings.window_s,
    weights: Literal["time", "povqa"] = PoolSettings.weights,
    half_life_s: float = PoolSettings.half_life_s,
    last_share: float = PoolSettings.last_share,
    linear_light: bool = PoolSettings.linear_light,
    cut_at_shots: bool = PoolSettings.cut_at_shots,
) -> PoolSettings:
    """Return the settings that an address names. Raises InputError for those that cannot be."""
    return PoolSettings(window_s, weights, half_life_s, last_share, linear_light, cut_at_shots)


def _line(of: ClipFile) -> Json:
    """Return what a list says of a clip: nothing of its texts."""
    length_s = None if of.end_s is None else of.end_s - of.clip.start_s
    return {"id": of.clip.id, "name": of.clip.external_id, "dataset": of.clip.dataset, "length_s": length_s, "problem": of.problem}


def _path(data: Path, of: ClipFile) -> Path:
    return media_path(data, of.clip.digest) if of.clip.digest else data
