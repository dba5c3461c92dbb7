"""The routes under /lafi/v1/characters."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from fastapi import Body
from fastapi.responses import JSONResponse
from modules import shared

from ...errors import LafiError, invalid, invalid_fields, problem
from ...lists import Image
from .. import http
from . import metadata, writing
from .folder import library
from .library import Character

FIELDS = ("image", "mask", "metadata")


def characters() -> list[dict[str, Any]]:
    """All characters; `problem` says what is wrong with one that cannot be used."""
    return [_describe(each) for each in library().characters()]


def get(name: str) -> Any:
    """One character with its pictures: what `put` takes. All three find a name in just these
    letters, else whatever its case."""
    return _answer(lambda: _whole(name))


def put(name: str, fields: Any = Body(None)) -> Any:  # noqa: B008 (FastAPI reads it there)
    """Adds or changes a character. `image` is a picture or a list of views, `mask` the same or
    nothing, `metadata` the host's user metadata; what is left out stays as it is."""
    return _answer(lambda: _describe(writing.save(library(), name, *_read(fields))))


def delete(name: str) -> Any:
    """Removes a character."""

    def remove() -> dict[str, str]:
        return {"deleted": writing.delete(library(), name)}

    return _answer(remove)


# Method, path below /lafi/v1/, endpoint.
ROUTES = (
    ("GET", "characters", characters),
    ("GET", "characters/{name}", get),
    ("PUT", "characters/{name}", put),
    ("DELETE", "characters/{name}", delete),
)


def _describe(character: Character) -> dict[str, Any]:
    return {
        "name": character.name,
        "views": len(character.views),
        "metadata": character.metadata,
        "problem": character.problem,
    }


def _whole(name: str) -> dict[str, Any]:
    character = library().find(name)
    pictures = library().pictures(character)
    background = shared.opts.img2img_background_color
    return _describe(character) | {
        "hash": library().hash(character, background, "auto"),
        "image": [_text(image) for image, _ in pictures],
        "mask": [None if mask is None else _text(mask) for _, mask in pictures],
    }


def _read(fields: Any) -> tuple[list[writing.Sent] | None, dict[str, Any] | None]:
    """Views and metadata from a request's body.

    Raises:
        LafiError: naming the field.
    """
    if not isinstance(fields, dict):
        raise invalid("body", "must be an object with fields")
    known = f"is not known; known are {', '.join(FIELDS)}"
    if unknown := [problem(name, known) for name in fields if name not in FIELDS]:
        raise invalid_fields(unknown)
    if all(fields.get(name) is None for name in FIELDS):
        raise invalid("body", "says nothing to change")
    image, mask, about = (fields.get(name) for name in FIELDS)
    if about is not None:
        metadata.check(about)
    if image is None:
        if mask is not None:
            raise invalid("mask", "needs the image that it belongs to")
        return None, about
    images = image if isinstance(image, list) else [image]
    if not images:
        raise invalid("image", "is empty")
    masks = mask if isinstance(mask, list) else [mask] + [None] * (len(images) - 1)
    if len(masks) != len(images):
        raise invalid("mask", "must be as many as the images; null for one without")
    return [
        (_picture("image", a), _picture("mask", b)) for a, b in zip(images, masks, strict=True)
    ], about


def _picture(field: str, value: Any) -> Any:
    """In a form that can be one; a mask may be missing."""
    if message := Image().check(value):
        raise invalid(field, message)
    value = Image().clean(value)
    if value is None and field == "image":
        raise invalid(field, "is empty")
    return value


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _answer(act: Callable[[], Any]) -> Any:
    """What it gives, or the refusal; it is the name that is unknown, not the prompt."""
    try:
        return act()
    except LafiError as error:
        if error.problems:
            return http.refusal(error)
        status = 404 if error.code == "unknown_character" else 422
        return JSONResponse([problem("name", error.message)], status_code=status)
