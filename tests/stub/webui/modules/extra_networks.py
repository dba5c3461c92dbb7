"""``<kind:name>`` in prompts."""

from __future__ import annotations

import re
from typing import Any


def parse_prompt(prompt: str) -> tuple[str, dict[str, Any]]:
    """The prompt without them, and what they ask for."""
    return re.sub(r"<\w+:[^>]+>", "", prompt), {}
