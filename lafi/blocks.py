"""Blocks of a transformer as text: numbers, ranges, or the name of a known set (`blocks.json`)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Blocks:
    """Some of a network's blocks, counted from its input, from 0.

    Attributes:
        numbers: which.
        of: how many the network has that they are meant for; None for any.
    """

    numbers: frozenset[int]
    of: int | None = None


_PART = re.compile(r"(\d{1,3})(?:\s*-\s*(\d{1,3}))?")
PRESETS: dict[str, dict[str, str | int]] = json.loads(
    Path(__file__).with_suffix(".json").read_text("utf-8")
)


def parse_blocks(text: str) -> Blocks | None:
    """Blocks from ``19-56``, ``0,7-10,18`` or a known set's name; None where nothing is named.

    Raises:
        ValueError: what is wrong, as a sentence's end.
    """
    text = text.strip()
    if not text:
        return None
    preset = PRESETS.get(text)
    if preset is not None:
        return Blocks(_numbers(str(preset["blocks"])), int(preset["of"]))
    return Blocks(_numbers(text))


def _numbers(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        first, last = (int(each or match[1]) for each in match.groups()) if match else (1, 0)
        if first > last:
            names = ", ".join(PRESETS)
            raise ValueError(f"must be blocks such as 19-56 or 0,7-10,18, or one of {names}")
        found |= set(range(first, last + 1))
    return frozenset(found)
