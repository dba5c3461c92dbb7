"""Reads the text that the host writes into pictures."""

from __future__ import annotations

import json
import re
from typing import Any

_PARAMETER = re.compile(r'\s*([\w ]+):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')


def parse_generation_parameters(x: str, skip_fields: list[str] | None = None) -> dict[str, Any]:
    """By key; the prompts are among them."""
    *lines, last = x.strip().split("\n")
    words = "\n".join(lines).partition("Negative prompt:")
    found: dict[str, Any] = {"Prompt": words[0].strip(), "Negative prompt": words[2].strip()}
    for key, value in _PARAMETER.findall(last):
        found[key] = json.loads(value) if value.startswith('"') else value
    return {key: value for key, value in found.items() if key not in (skip_fields or [])}
