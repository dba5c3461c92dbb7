"""The page's shortcuts over the table: one dial for the likeness, and presets by goal."""

from __future__ import annotations

import itertools
import math
from typing import Any

from .settings import BY_NAME

# The dial for the likeness: percent, strength, fidelity, straight lines between.
LIKENESS = ((0, 0.5, 0.0), (25, 1.0, 0.25), (50, 1.5, 0.5), (75, 3.0, 1.0), (100, 4.0, 1.0))
LIKENESS_STEP = 5


def likeness(percent: float) -> tuple[float, float]:
    """Strength and fidelity for a likeness from 0 to 100 %."""
    percent = min(max(percent, 0), 100)
    low, high = next(pair for pair in itertools.pairwise(LIKENESS) if percent <= pair[1][0])
    share = (percent - low[0]) / (high[0] - low[0])
    strength, fidelity = (a + share * (b - a) for a, b in zip(low[1:], high[1:], strict=True))
    return round(strength, 2), round(fidelity, 2)


def nearest_likeness(strength: float, fidelity: float) -> int:
    """The dial's position that comes nearest to these two."""
    wanted = (strength, fidelity)
    return min(range(0, 101, LIKENESS_STEP), key=lambda each: math.dist(likeness(each), wanted))


def _like(percent: float) -> dict[str, Any]:
    return dict(zip(("strength", "fidelity"), likeness(percent), strict=True))


# What the page sets at one press, by goal.
PRESETS: dict[str, dict[str, Any]] = {
    "Preset: free pose": {**_like(50), "start": 10.0},
    "Preset: balanced": {},
    "Preset: strong likeness": _like(100),
    "Preset: fast": {"stream": "noise", "refresh": 0},
}
PRESET_FIELDS = ("depth", "cutoff", "start", "strength", "fidelity", "stream", "refresh")


def preset(name: str) -> dict[str, Any]:
    """All of `PRESET_FIELDS` as a preset has them."""
    return {field: BY_NAME[field].default for field in PRESET_FIELDS} | PRESETS[name]
