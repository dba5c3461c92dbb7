"""How LAFI's errors answer over HTTP: bad input is 422, anything else is 500."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from ..errors import LafiError, problem

# Input whose fault shows only in the run, and the field to blame.
SEEN_IN_THE_RUN = {"empty_window": "start", "mask_empty": "mask"}


def exception(error: LafiError) -> HTTPException:
    """The one exception that hosts turn into an answer with a text, for an error in a run."""
    problems = _problems(error)
    return HTTPException(422, problems) if problems else HTTPException(500, str(error))


def answer(p: Any, error: BaseException) -> BaseException:
    """The error as the page or the API shows it, for the host's request `p`."""
    if isinstance(error, LafiError) and getattr(p, "is_api", False):
        answered = exception(error)
        answered.__cause__ = error
        return answered
    return error


def refusal(error: LafiError) -> JSONResponse:
    """The answer of LAFI's own routes: 422 with ``[{"loc": [field], "msg": text}]``."""
    return JSONResponse(_problems(error) or [{"loc": [], "msg": str(error)}], status_code=422)


def _problems(error: LafiError) -> list[dict[str, Any]]:
    if error.code in SEEN_IN_THE_RUN:
        return [problem(SEEN_IN_THE_RUN[error.code], f"{error.message} {error.advice}".rstrip())]
    return error.problems
