"""``NAME.json``: the host's own user metadata, and what of it LAFI reads."""

from __future__ import annotations

import json
from typing import Any

from ...errors import invalid, invalid_fields, problem
from ...kinds import Kind, Text
from ...references import ENTRY

MOST_BYTES = 2**20
ACTIVATION, WEIGHT, NEGATIVE = "activation text", "preferred weight", "negative text"
OWN = "lafi"
# What hosts write there, and LAFI reads or hands on.
KNOWN: dict[str, Kind] = {
    **dict.fromkeys(("description", "notes", ACTIVATION, NEGATIVE), Text()),
    WEIGHT: ENTRY["strength"][0],
}
# What a character may set of a reference, beside its strength: that is the preferred weight.
SETTINGS: dict[str, Kind] = {name: ENTRY[name][0] for name in ("prompt", "region")}


def read(data: bytes) -> dict[str, Any]:
    """Metadata from a file.

    Raises:
        ValueError: it is none.
        LafiError: naming what is wrong in it.
    """
    if len(data) > MOST_BYTES:
        raise ValueError("its metadata is too large")
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError("its metadata is not JSON") from error
    return check(found)


def write(about: dict[str, Any]) -> bytes:
    """Metadata as hosts write it."""
    return json.dumps(about, indent=4, ensure_ascii=False).encode()


def check(about: Any) -> dict[str, Any]:
    """Metadata that is known to be good; what LAFI does not know stays as it is.

    Raises:
        LafiError: `invalid_settings`.
    """
    if not isinstance(about, dict):
        raise invalid("metadata", "must be an object")
    own = about.get(OWN) or {}
    if not isinstance(own, dict):
        raise invalid(OWN, "must be an object")
    known = f"is not known; known are {', '.join(SETTINGS)}"
    problems = [
        problem(key, message)
        for key, kind in KNOWN.items()  # hosts write null where nothing was ever said
        if about.get(key) is not None and (message := kind.check(about[key]))
    ]
    problems += [
        problem(f"{OWN}.{key}", message)
        for key, value in own.items()
        if (message := SETTINGS[key].check(value) if key in SETTINGS else known)
    ]
    if not problems and not _stands(about):
        problems = [problem("metadata", "cannot be written as JSON")]
    if problems:
        raise invalid_fields(problems)
    return about


def strength(about: dict[str, Any]) -> float | None:
    """The preferred weight; hosts write 0 for none."""
    weight = about.get(WEIGHT)
    return float(weight) if weight else None


def setting(about: dict[str, Any], name: str) -> str:
    """One of `SETTINGS`, empty where nothing is said."""
    return str((about.get(OWN) or {}).get(name) or "")


def _stands(about: dict[str, Any]) -> bool:
    """Whether every answer and file can hold it: no half characters, no endless numbers."""
    try:
        json.dumps(about, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError, TypeError):
        return False
    return True
