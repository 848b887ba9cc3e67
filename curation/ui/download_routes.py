"""Downloads: preference pairs as JSON lines and agreement as CSV for adjudicators, progress and annotations for admins. Made anew at each call."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, Response, StreamingResponse

from curation.annotation_export import annotation_lines
from curation.export import export_pairs_jsonl
from curation.study.agreement import agreement_csv, agreement_table
from curation.study.progress import batch_progress, progress_csv
from curation.ui.access import Access
from curation.ui.sentences import SentenceRoute
from store.batches import list_batches
from store.database import open_store

PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def build_download_router(access: Access) -> APIRouter:
    """Return the routes under /download; they hold who said what, so no annotator gets them."""
    router = APIRouter(prefix="/download", route_class=SentenceRoute)
    # By route, and once each: the first that refuses says for whom it is.
    judges, admins = [Depends(access.adjudicator)], [Depends(access.admin)]

    @router.get("/pairs-{state}.jsonl", dependencies=judges)
    def pairs(state: Annotated[str, "proposed, accepted or dropped"]) -> FileResponse:
        path = export_pairs_jsonl(access.data, state)
        return FileResponse(path, filename=path.name, media_type="application/x-ndjson", headers=PRIVATE)

    @router.get("/agreement.csv", dependencies=judges)
    def agreement() -> Response:
        with open_store(access.data) as db:
            told = agreement_csv(agreement_table(db))
        return Response(told, media_type="text/csv", headers=PRIVATE | _named("agreement.csv"))

    @router.get("/progress.csv", dependencies=admins)
    def progress() -> Response:
        with open_store(access.data) as db:
            told = progress_csv([batch_progress(db, batch.id) for batch in list_batches(db)])
        return Response(told, media_type="text/csv", headers=PRIVATE | _named("progress.csv"))

    @router.get("/annotations.jsonl", dependencies=admins)
    def annotations() -> StreamingResponse:
        headers = PRIVATE | _named("annotations.jsonl")
        return StreamingResponse(annotation_lines(access.data), media_type="application/x-ndjson", headers=headers)

    return router


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
