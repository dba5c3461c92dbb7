"""Where in the new picture a reference acts: a rectangle in shares of the picture as it is seen.

Knows neither torch nor a host.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

WORDS: dict[str, tuple[float, float, float, float]] = {
    "left": (0, 1 / 2, 0, 1),
    "right": (1 / 2, 1, 0, 1),
    "top": (0, 1, 0, 1 / 2),
    "bottom": (0, 1, 1 / 2, 1),
    "centre": (1 / 4, 3 / 4, 0, 1),
    "left third": (0, 1 / 3, 0, 1),
    "middle third": (1 / 3, 2 / 3, 0, 1),
    "right third": (2 / 3, 1, 0, 1),
}
ALSO = {"center": "centre", "centre third": "middle third", "center third": "middle third"}
SHARES = re.compile(r"(\d*\.?\d+)(%?)\s*-\s*(\d*\.?\d+)(%?)")
FORMS = "shares such as 0-0.5 or 0-50%, or across and down such as 0-50%,25-100%"


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture.

    Attributes:
        x0, x1: from the left edge, 0 to 1, x0 below x1.
        y0, y1: from the upper edge, 0 to 1, y0 below y1.
    """

    x0: float = 0.0
    x1: float = 1.0
    y0: float = 0.0
    y1: float = 1.0

    @property
    def area(self) -> float:
        """Its share of the picture."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def contains(self, x: float, y: float) -> bool:
        """Whether a point, in shares, lies inside; regions side by side share none."""
        return self.x0 <= x < self.x1 and self.y0 <= y < self.y1

    def cells(self, height: int, width: int) -> list[list[bool]]:
        """(height, width) for a grid over the picture: whether each cell's centre lies inside."""
        across = [self.x0 <= (x + 0.5) / width < self.x1 for x in range(width)]
        down = [self.y0 <= (y + 0.5) / height < self.y1 for y in range(height)]
        return [[row and column for column in across] for row in down]

    def within(self, part: Region) -> Region | None:
        """What of it lies in a part of the picture, in shares of that part; None if nothing."""
        x0, x1 = _within((self.x0, self.x1), (part.x0, part.x1))
        y0, y1 = _within((self.y0, self.y1), (part.y0, part.y1))
        return Region(x0, x1, y0, y1) if x0 < x1 and y0 < y1 else None


def parse_region(text: str) -> Region | None:
    """The region that a text names; None for an empty one, which is the whole picture.

    Args:
        text: one of `WORDS`, ``x0-x1`` or ``x0-x1,y0-y1``. Numbers are shares from 0 to 1,
            or percent where a % stands or one of them is above 1.

    Raises:
        ValueError: with what is wrong with it.
    """
    text = text.strip().lower()
    if not text:
        return None
    words = re.sub(r"[\s_-]+", " ", text)
    words = ALSO.get(words, words)
    if words in WORDS:
        return Region(*WORDS[words])
    if not any(each.isdigit() for each in text):
        near = difflib.get_close_matches(words, WORDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(WORDS)}, and {FORMS}"
        raise ValueError(f"is no region; {hint}")
    return _shares(text)


def _shares(text: str) -> Region:
    sides = [SHARES.fullmatch(side.strip()) for side in text.split(",")]
    if len(sides) > 2 or not all(sides):
        raise ValueError(f"must be a word or {FORMS}")
    numbers = [float(each[place]) for each in sides if each for place in (1, 3)]
    percent = "%" in text or max(numbers) > 1
    if max(numbers) > (100 if percent else 1):
        raise ValueError("must lie within the picture, from 0 to 1 or 0 to 100 %")
    numbers = [number / 100 if percent else number for number in numbers]
    for low, high in zip(numbers[::2], numbers[1::2], strict=True):
        if low >= high:
            raise ValueError(f"must begin before it ends, not {low:g}-{high:g}")
    return Region(*numbers)


def _within(side: tuple[float, float], part: tuple[float, float]) -> tuple[float, float]:
    low, high = part
    begin, end = ((min(max(each, low), high) - low) / (high - low) for each in side)
    return begin, end
