"""The routes under /lafi/v1. Generation itself goes through the host's own routes."""

from __future__ import annotations

from typing import Any

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse
from modules import call_queue, shared

from .. import __version__
from ..errors import LafiError
from ..settings import schema, validate
from . import run, selftest
from .images import open_picture


def register(_demo: Any, app: FastAPI) -> None:
    """Adds the routes; the host's ``on_app_started`` callback."""
    app.add_api_route("/lafi/v1/version", version, methods=["GET"])
    app.add_api_route("/lafi/v1/schema", schema, methods=["GET"])
    app.add_api_route("/lafi/v1/last-run", last_run, methods=["GET"])
    app.add_api_route("/lafi/v1/bank/clear", clear_bank, methods=["POST"])
    app.add_api_route("/lafi/v1/selftest", self_test, methods=["POST"], response_model=None)
    app.add_api_route("/lafi/v1/validate", check, methods=["POST"], response_model=None)


def version() -> dict[str, str]:
    """The extension's version."""
    return {"version": __version__}


def last_run() -> dict[str, Any]:
    """What the latest finished run really did; empty before the first."""
    return run.last_run


def clear_bank() -> dict[str, int]:
    """Forgets all recordings; says how many bytes that freed."""
    return {"freed": run.forget()}


def check(fields: dict[str, Any] = Body()) -> Any:  # noqa: B008 (FastAPI reads it there)
    """Checks settings as a generation would, without generating: 422 with ``[{loc, msg}]``."""
    try:
        settings = validate({"enabled": True} | fields)
        if settings.enabled:
            open_picture(settings.image, settings.mask, shared.opts.img2img_background_color)
    except LafiError as error:
        return JSONResponse(error.problems or [{"loc": [], "msg": str(error)}], status_code=422)
    return {"valid": True, "acts": settings.acts}


def self_test(
    batch: int = Body(1, ge=1, le=8),
    stream: str = Body("noise"),
    size: int = Body(256, ge=64, le=2048, multiple_of=64),
) -> Any:
    """Checks LAFI's exact promises on the checkpoint and the attention that are in use now.

    Args:
        batch: pictures in the batch.
        stream: kind of reference stream.
        size: of the pictures, in pixels.
    """
    try:
        validate({"stream": stream})
        with call_queue.queue_lock:
            return selftest.run(batch, stream, size)
    except LafiError as error:
        return JSONResponse(error.problems or [{"loc": [], "msg": str(error)}], status_code=422)
