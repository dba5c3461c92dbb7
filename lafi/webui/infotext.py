"""LAFI's part of a picture's generation parameters: writing them, and reading them back."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .. import __version__
from ..kinds import Kind, Place, Text
from ..references import ENTRY
from ..settings import BY_NAME, FIELDS, Field, LafiSettings

log = logging.getLogger("LAFI")

PREFIX = "LAFI "
REFERENCE = PREFIX + "reference"
CHARACTERS = PREFIX + "characters"
VERSION = PREFIX + "version"
RUN = PREFIX + "run"
# Where what a storyboard's panel left while it was made was the reference, not its picture.
RECORDINGS = PREFIX + "recordings"
ERROR = PREFIX + "error"
INNER_ERROR = PREFIX + "inner error"
# What is written of each further reference, beside its pictures' hashes.
FURTHER = tuple(name for name, (kind, _) in ENTRY.items() if kind.stored)
STORED = tuple(field for field in FIELDS if field.stored)
# What the settings say of the first reference alone.
OF_FIRST = ("region", "prompt")
# Of former versions: field, its value for each of theirs.
FORMER = {PREFIX + "rows": ("fidelity", {"positive": "1", "both": "0"})}
NOTHING_SAID = "The pasted text says nothing of LAFI: its settings stay as they are."


def describe(
    settings: LafiSettings, hashes: Sequence[Sequence[str]], anchored: bool = True
) -> dict[str, str]:
    """What a picture's infotext says of the run that made it: all that differs from the defaults,
    and always the references, the depth, the cutoff and the version.

    Args:
        hashes: of the pictures of each of the settings' characters; none of one that did not act:
            nothing is said of it.
        anchored: whether the picture saw the first of all, where the settings want that.
    """
    shown = [" ".join(each) for each in hashes]
    first = "".join(shown[: len(shown) - len(settings.references)])
    values = {"depth": settings.depth, "cutoff": settings.cutoff} | settings.changed()
    left_out = (() if first else OF_FIRST) + (() if anchored else ("anchor",))
    written = {
        BY_NAME[name].infotext: write(BY_NAME[name].kind, value)
        for name, value in values.items()
        if name not in left_out
    }
    said = {REFERENCE: first} if first else {}
    further = zip(settings.references, shown[-len(settings.references) :], strict=False)
    for number, (entry, its) in enumerate((each for each in further if each[1]), 2):
        said |= _describe_further(number, entry, its)
    return {**said, **written, VERSION: __version__}


def _describe_further(number: int, entry: Mapping[str, Any], shown: str) -> dict[str, str]:
    """Of one of `references`; the first of all has no number."""
    said = {f"{REFERENCE} {number}": shown}
    for name in FURTHER:
        kind, default = ENTRY[name]
        if entry[name] != default:
            said[f"{PREFIX}{name} {number}"] = write(kind, entry[name])
    return said


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
        text = find(params, field.infotext)
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
    # A prompt's tags act by themselves.
    wanted[BY_NAME["enabled"].infotext] = str(REFERENCE in params or CHARACTERS not in params)
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
    return [(components[field.name], field.infotext) for field in FIELDS if field.shown]


def paste_note(params: Mapping[str, Any]) -> str:
    """What the user still has to do after pasting: infotext holds no picture."""
    if VERSION not in params:
        return NOTHING_SAID
    first = params.get(REFERENCE, "").split()
    said = []
    if first:
        views = f" and as more views {', '.join(first[1:])}" if first[1:] else ""
        picture = "those pictures" if views else "that picture"
        said.append(f"Pasted settings belong to reference {first[0]}{views}: load {picture} above.")
    said += [f"{each}: no part of the page holds it." for each in _further(params)]
    if RECORDINGS in params:
        said.append("It is a storyboard's panel: the page's parameters make the same one again.")
    if CHARACTERS in params:
        said.append(f"The prompt's tags called {params[CHARACTERS]}.")
    return " ".join(said) or "Pasted settings need no reference."


def _further(params: Mapping[str, Any]) -> list[str]:
    """A picture's further references, in words; they came with a request or a prompt's tags."""
    found, number = [], 2
    while shown := params.get(f"{REFERENCE} {number}"):
        said = {name: find(params, f"{PREFIX}{name} {number}") for name in FURTHER}
        words = ", ".join(f"{name} {value}" for name, value in said.items() if value)
        found.append(f"Reference {number} was {shown}" + (f" ({words})" if words else ""))
        number += 1
    return found


def write(kind: Kind, value: Any) -> str:
    """A value as the host is to put it into its text."""
    text = kind.write(value)
    if not isinstance(kind, Text) or isinstance(kind, Place):
        return text
    # The host quotes only what holds one of these; other text is quoted here, or quotation marks
    # and spaces at its ends would be lost. Spaces around a prompt mean nothing.
    text = text.strip()
    return text if any(mark in text for mark in ",:\n") else json.dumps(text, ensure_ascii=False)


def find(params: Mapping[str, str], key: str) -> str | None:
    """The text under a key of the host's parsed infotext."""
    # The host takes a text such as 12x34 for a size and splits it.
    if f"{key}-1" in params and f"{key}-2" in params:
        return f"{params[f'{key}-1']}x{params[f'{key}-2']}"
    return params.get(key)
