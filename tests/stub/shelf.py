"""The library of a stub's WebUI: its routes, and the files in it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from .host import reference
from .test_api import app_of_host, lafi_routes


def library() -> Any:
    from lafi.webui.characters.folder import library as of_host

    return of_host()


def call(method: str, name: str = "", body: Any = None) -> tuple[int, Any]:
    """Status and answer of a route."""
    path = "/lafi/v1/characters" + ("/{name}" if name else "")
    endpoint = lafi_routes(app_of_host())[f"{method} {path}"].endpoint
    given = ([name] if name else []) + ([body] if method == "PUT" else [])
    answer = endpoint(*given)
    json.dumps(getattr(answer, "content", answer), ensure_ascii=False, allow_nan=False).encode()
    return getattr(answer, "status_code", 200), getattr(answer, "content", answer)


def add(folder: Path, path: str, colour: Any = (200, 40, 60)) -> Path:
    """A picture that a user puts there."""
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    reference(colour).save(place)
    return place


def white() -> str:
    """A mask that keeps all."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def problems() -> dict[str, str]:
    return {each["name"]: each["problem"] for each in call("GET")[1]}
