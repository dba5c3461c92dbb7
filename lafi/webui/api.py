"""The routes under /lafi/v1. Generation itself goes through the host's own routes."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import Body, FastAPI, HTTPException
from modules import call_queue

from .. import __version__
from ..errors import LafiError, invalid, invalid_fields, problem
from ..kinds import Integer, Kind
from ..settings import BY_NAME, schema, validate
from . import http, kept, selftest
from .characters import api as characters
from .images import CELL
from .reports import KEPT
from .views import open_views

log = logging.getLogger("LAFI")

# The host's own route for pictures: ours exist where it does, and ask for what it asks for.
HOST_ROUTE = "/sdapi/v1/txt2img"
# What a self-test may be asked: kind and default.
SELF_TEST: dict[str, tuple[Kind, Any]] = {
    "batch": (Integer(1, 8, 1), 1),
    "stream": (BY_NAME["stream"].kind, "noise"),
    "size": (Integer(64, 2048, 64), 256),
}


def register(app: FastAPI) -> bool:
    """Adds the routes, behind the host's own password; whether there are any.

    Without the host's API there are none: the page does not need them.
    """
    host_routes = [each for each in app.routes if getattr(each, "path", None) == HOST_ROUTE]
    if not host_routes:
        log.debug("the WebUI runs without its API, so LAFI has no routes either.")
        return False
    for method, path, endpoint in (
        ("GET", "version", version),
        ("GET", "schema", schema),
        ("GET", "last-run", last_run),
        ("POST", "bank/clear", clear_bank),
        ("POST", "selftest", self_test),
        ("POST", "validate", check),
        *characters.ROUTES,
    ):
        app.add_api_route(
            f"/lafi/v1/{path}",
            endpoint,
            methods=[method],
            dependencies=host_routes[0].dependencies,
            response_model=None,
        )
    return True


def version() -> dict[str, str]:
    """The extension's version."""
    return {"version": __version__}


def last_run(id: str | None = None) -> dict[str, Any]:  # noqa: A002 (the address's own word)
    """What a finished run really did: the latest, empty before the first, or the one that a
    picture's infotext names."""
    report = kept.reports.latest() if id is None else kept.reports.find(id)
    if report is None:
        raise HTTPException(404, f"no run {id!r} among the latest {KEPT} of this WebUI's session")
    return report


def clear_bank() -> dict[str, int]:
    """Forgets all recordings; says how many bytes that freed."""
    return {"freed": kept.forget()}


def check(fields: Any = Body(None)) -> Any:  # noqa: B008 (FastAPI reads it there)
    """Checks settings as a generation would, without generating: 422 with ``[{loc, msg}]``."""
    try:
        settings = validate({"enabled": True} | _object(fields))
        if settings.enabled:
            open_views(settings)
    except LafiError as error:
        return http.refusal(error)
    return {"valid": True, "acts": settings.acts}


def self_test(fields: Any = Body(None)) -> Any:  # noqa: B008
    """Checks LAFI's exact promises on the checkpoint and the attention that are in use now.

    The fields are those of `SELF_TEST`: the batch, the kind of reference stream, and the size in
    pixels. All may be left out.
    """
    try:
        asked = _self_test_settings(_object(fields))
        with call_queue.queue_lock:
            return selftest.run(**asked)
    except LafiError as error:
        return http.refusal(error)


def _self_test_settings(fields: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {name: default for name, (_, default) in SELF_TEST.items()}
    wanted = defaults | fields
    problems = []
    for name, value in wanted.items():
        message: str | None = f"is not known; known are {', '.join(SELF_TEST)}"
        if name in SELF_TEST:
            message = SELF_TEST[name][0].check(value)
        if not message and name == "size" and value % (8 * CELL):
            message = "must be a multiple of 64"
        if message:
            problems.append(problem(name, message))
    if problems:
        raise invalid_fields(problems)
    return {name: kind.clean(wanted[name]) for name, (kind, _) in SELF_TEST.items()}


def _object(fields: Any) -> dict[str, Any]:
    """The body of a request; none at all stands for one without fields."""
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise invalid("body", "must be an object with fields")
    return fields
