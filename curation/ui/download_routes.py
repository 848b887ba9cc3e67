"""Downloads for leads: preference pairs as JSON lines, agreement as CSV. Made anew at each call."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import FileResponse, Response

from curation.export import export_pairs_jsonl
from curation.study.agreement import agreement_csv, agreement_table
from curation.ui.access import Access
from curation.ui.sentences import SentenceRoute
from store.database import open_store

PRIVATE = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}


def build_download_router(access: Access) -> APIRouter:
    """Return the routes under /download; they hold who said what, so they are for leads alone."""
    router = APIRouter(prefix="/download", route_class=SentenceRoute, dependencies=[Depends(access.lead)])

    @router.get("/pairs-{state}.jsonl")
    def pairs(state: Annotated[str, "proposed, accepted or dropped"]) -> FileResponse:
        path = export_pairs_jsonl(access.data, state)
        return FileResponse(path, filename=path.name, media_type="application/x-ndjson", headers=PRIVATE)

    @router.get("/agreement.csv")
    def agreement() -> Response:
        with open_store(access.data) as db:
            told = agreement_csv(agreement_table(db))
        return Response(told, media_type="text/csv", headers=PRIVATE | {"Content-Disposition": 'attachment; filename="agreement.csv"'})

    return router
