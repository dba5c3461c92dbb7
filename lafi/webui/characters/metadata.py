"""``NAME.json``: the host's own user metadata, and what of it LAFI reads."""

from __future__ import annotations

import json
from typing import Any

from ...errors import invalid, invalid_fields, problem
from ...kinds import Kind, Text
from ...references import ENTRY

MOST_BYTES = 2**20
MOST_LEVELS = 32  # answers are put together by functions that call themselves
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
    """Metadata as hosts write it.

    Raises:
        ValueError, TypeError: it is none that `check` lets through.
    """
    return json.dumps(about, indent=4, ensure_ascii=False, allow_nan=False).encode()


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
    if not problems and (message := _unwritable(about)):
        problems = [problem("metadata", message)]
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


def _unwritable(about: dict[str, Any]) -> str:
    """Why no answer or file can hold it: half characters, endless numbers, too much of it."""
    if _is_deep(about, MOST_LEVELS):
        return f"has lists or objects within each other on more than {MOST_LEVELS} levels"
    try:
        size = len(write(about))
    except (ValueError, TypeError):
        return "cannot be written as JSON"
    return f"is too large; at most {MOST_BYTES // 2**20} MiB" if size > MOST_BYTES else ""


def _is_deep(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    holds = isinstance(value, (dict, list, tuple))
    return holds and (levels == 0 or any(_is_deep(each, levels - 1) for each in inner))
