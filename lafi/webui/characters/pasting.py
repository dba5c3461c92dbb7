"""What pasted generation parameters say of characters, against the library of today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modules import shared

from ...errors import LafiError
from ...settings import BY_NAME
from .. import infotext
from .folder import library

CUTOUT = BY_NAME["cutout"]


def note(params: Mapping[str, Any]) -> str:
    """Which characters of the pasted prompt are not what they were, and whose picture the reference
    is; empty where there is nothing to say."""
    cutout = str(params.get(CUTOUT.infotext, CUTOUT.default))
    cutout = CUTOUT.default if CUTOUT.kind.check(cutout) else cutout
    pairs = [each.strip().rpartition(" ") for each in _text(params, infotext.CHARACTERS).split(",")]
    said = [_compare(name, digest, cutout) for name, _, digest in pairs if name and digest]
    hashes = _text(params, infotext.REFERENCE).split()
    found = library().by_hash(hashes, shared.opts.img2img_background_color, cutout)
    if found is not None:
        said.append(f"It is {found[0].name} of the library: press Find by hash.")
    return " ".join(filter(None, said))


def _text(params: Mapping[str, Any], key: str) -> str:
    return str(params.get(key) or "")


def _compare(name: str, digest: str, cutout: str) -> str:
    try:
        character = library().find(name)
        now = library().hash(character, shared.opts.img2img_background_color, cutout)
    except LafiError as error:
        if error.code == "bad_character":
            return f"{name} cannot be used any more: {error.message}"
        return f"{name} is not in the library any more."
    if now == digest:
        return ""
    return f"{name} has changed since ({digest} then, {now} now): the picture will differ."
