"""How LAFI's errors answer over HTTP: bad input is 422, anything else is 500."""

from __future__ import annotations

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from ..errors import LafiError


def exception(error: LafiError) -> HTTPException:
    """The one exception that hosts turn into an answer with a text, for an error in a run."""
    return HTTPException(422 if error.problems else 500, error.problems or str(error))


def refusal(error: LafiError) -> JSONResponse:
    """The answer of LAFI's own routes: 422 with ``[{"loc": [field], "msg": text}]``."""
    return JSONResponse(error.problems or [{"loc": [], "msg": str(error)}], status_code=422)
