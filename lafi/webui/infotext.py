"""LAFI's part of a picture's generation parameters: writing them, and reading them back."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from typing import Any

from .. import __version__
from ..kinds import Text
from ..settings import BY_NAME, FIELDS, Field, LafiSettings

log = logging.getLogger("LAFI")

PREFIX = "LAFI "
REFERENCE = PREFIX + "reference"
VERSION = PREFIX + "version"
RUN = PREFIX + "run"
ERROR = PREFIX + "error"
INNER_ERROR = PREFIX + "inner error"
STORED = tuple(field for field in FIELDS if field.stored)
# Of former versions: field, its value for each of theirs.
FORMER = {PREFIX + "rows": ("fidelity", {"positive": "1", "both": "0"})}
NOTHING_SAID = "The pasted text says nothing of LAFI: its settings stay as they are."


def describe(settings: LafiSettings, reference_hash: str) -> dict[str, str]:
    """What a picture's infotext says of the run that made it: all that differs from the defaults,
    and always the reference, the depth, the cutoff and the version."""
    values = {"depth": settings.depth, "cutoff": settings.cutoff} | settings.changed()
    written = {BY_NAME[name].infotext: _write(BY_NAME[name], v) for name, v in values.items()}
    return {REFERENCE: reference_hash, **written, VERSION: __version__}


def without(params: Mapping[str, Any]) -> dict[str, Any]:
    """A dict of its own, without LAFI's keys: copies of a request share one."""
    return {key: value for key, value in params.items() if not key.startswith(PREFIX)}


def clear(params: dict[str, Any]) -> None:
    """Removes LAFI's keys."""
    for key in [key for key in params if key.startswith(PREFIX)]:
        del params[key]


def read(params: Mapping[str, str]) -> dict[Field, Any]:
    """The settings that a parsed infotext asks for, defaults filled in, unchecked."""
    values = {}
    former = _former(params)
    for field in STORED:
        text = _find(params, field.infotext)
        text = former.get(field.name) if text is None else text
        values[field] = field.default if text is None else field.kind.read(text)
    return values


def on_infotext_pasted(infotext: str, params: dict[str, Any]) -> None:
    """Completes parsed infotext before the host hands it to the controls.

    A picture made with LAFI sets every control but those that the user told the host to disregard:
    what is pasted is to give the same picture again. Any other text decides nothing, and the
    controls stay. A value that cannot be used is named in the log and replaced by its default.
    """
    if VERSION not in params:
        return
    wanted = {field.infotext: _checked(field, value) for field, value in read(params).items()}
    wanted[BY_NAME["enabled"].infotext] = str(True)
    disregarded = _disregarded()
    params.update({key: text for key, text in wanted.items() if key not in disregarded})


def _former(params: Mapping[str, str]) -> dict[str, str]:
    """Values by field for what former versions wrote; what they never wrote stays as it is, to be
    refused under the new name."""
    return {
        name: values.get(params[key], params[key])
        for key, (name, values) in FORMER.items()
        if key in params
    }


def _checked(field: Field, value: Any) -> str:
    problem = field.kind.check(value)
    if problem:
        log.warning("pasted infotext: %s: %s; the default is used.", field.infotext, problem)
    return field.kind.write(field.default if problem else value)


def _disregarded() -> Collection[str]:
    """The keys that the user chose in Settings > Infotext; the host has removed them already."""
    from modules import shared

    return getattr(shared.opts, "infotext_skip_pasting", ())


def paste_fields(components: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Which control takes which key, as the host's `infotext_fields`.

    The pictures are among them for "Send to", which moves values between tabs by these keys.

    Args:
        components: the controls by the name of their field.
    """
    return [(components[field.name], field.infotext) for field in FIELDS]


def paste_note(params: Mapping[str, Any]) -> str:
    """What the user still has to do after pasting: infotext holds no picture."""
    if VERSION not in params:
        return NOTHING_SAID
    reference = params.get(REFERENCE, "unknown")
    return f"Pasted settings belong to reference {reference}: load that picture above."


def _write(field: Field, value: Any) -> str:
    text = field.kind.write(value)
    if not isinstance(field.kind, Text):
        return text
    # The host quotes only what holds one of these; other text is quoted here, or quotation marks
    # and spaces at its ends would be lost. Spaces around a prompt mean nothing.
    text = text.strip()
    return text if any(mark in text for mark in ",:\n") else json.dumps(text, ensure_ascii=False)


def _find(params: Mapping[str, str], key: str) -> str | None:
    # The host takes a text such as 12x34 for a size and splits it.
    if f"{key}-1" in params and f"{key}-2" in params:
        return f"{params[f'{key}-1']}x{params[f'{key}-2']}"
    return params.get(key)
