"""Our own routes refuse with a sentence: `{"error": "..."}` and the status that fits."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from store.errors import ConflictError, InputError, NotFoundError, RefusedError, StorageError, UserError
from store.throttle import TooManyTriesError

STATUS = {InputError: 400, TooManyTriesError: 429, RefusedError: 403, NotFoundError: 404, ConflictError: 409, StorageError: 503}


class SentenceRoute(APIRoute):
    """A route whose UserErrors, missing sign-in and malformed requests become `{"error": sentence}`; a bug stays a bug."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, its refusals translated."""
        answer = super().get_route_handler()

        async def translated(request: Request) -> Response:
            try:
                return await answer(request)
            except UserError as error:
                return JSONResponse({"error": str(error)}, status_of(error))
            except HTTPException as error:
                return JSONResponse({"error": str(error.detail)}, error.status_code)
            except RequestValidationError:
                return JSONResponse({"error": "The request has not the form that this address takes. Reload the page."}, 400)

        return translated


def status_of(error: UserError) -> int:
    """Return the HTTP status of an error, or of the nearest kind above it."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 400)
