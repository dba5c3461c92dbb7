"""Text on a storyboard's page: fonts, and lines that fit a width.

A font is one of Pillow's: from a file, or the small picture font of versions before 10.1.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import ImageDraw, ImageFont

Font = Any
# A font for a size in pixels.
Fonts = Callable[[int], Font]
BLACK = (0, 0, 0)


def bundled_font(size: int) -> Font:
    """The font that comes with Pillow; before 10.1, and without FreeType, of one size only."""
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError):
        return ImageFont.load_default()


def height_of(font: Font) -> int:
    """Pixels from a line's top to the end of its descenders."""
    bottom: float = font.getbbox("Ag")[3]
    return max(1, math.ceil(bottom))


def lacking(font: Font, text: str) -> str:
    """The characters of a text that a font from a file has no picture of."""
    if not isinstance(font, ImageFont.FreeTypeFont):
        return ""
    unknown = _picture(font, "\U0010ffff")
    seen = sorted({each for each in _drawable(text, font) if each.isprintable()} - {" "})
    drawn = (each for each in seen if unicodedata.category(each)[0] not in "MC")
    return "".join(each for each in drawn if _picture(font, each) == unknown)


def _picture(font: Font, character: str) -> tuple[Any, bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


@dataclass(frozen=True)
class Text:
    """Wrapped lines, from their upper left corner on the page."""

    lines: list[str]
    font: Font
    left: int = 0
    top: int = 0

    @property
    def pitch(self) -> int:
        """Pixels from line to line."""
        return math.ceil(height_of(self.font) * 1.25)

    @property
    def height(self) -> int:
        """Pixels of all lines."""
        return self.pitch * len(self.lines)

    @property
    def width(self) -> int:
        """Pixels of the longest line."""
        return math.ceil(max((self.font.getlength(line) for line in self.lines), default=0))

    def write(self, draw: ImageDraw.ImageDraw) -> None:
        """Draws the lines."""
        for n, line in enumerate(self.lines):
            draw.text((self.left, self.top + n * self.pitch), line, fill=BLACK, font=self.font)


def wrap(text: str, font: Font, width: int) -> list[str]:
    """Lines of at most `width` pixels; words that are longer are broken."""
    lines: list[str] = []
    line = ""
    for word in _drawable(text, font).split():
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        *full, last = _pieces(word, font, width)
        lines += [line, *full] if line else full
        line = last
    return [*lines, line] if line else lines


def _pieces(word: str, font: Font, width: int) -> list[str]:
    """A word in pieces that fit, each of one character at least."""
    pieces = [""]
    for character in word:
        if pieces[-1] and font.getlength(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _drawable(text: str, font: Font) -> str:
    """Text without what cannot be drawn: control characters, half characters, and for the small
    picture font all beyond Latin-1."""
    if not isinstance(font, ImageFont.FreeTypeFont):
        text = text.encode("latin-1", "replace").decode("latin-1")
    text = text.encode(errors="replace").decode()
    return "".join(each if each.isprintable() else " " for each in text)
