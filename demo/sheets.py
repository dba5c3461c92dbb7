"""The sheets: labelled pictures on paper."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

MARGIN, TEXT = 12, 14
NARROWEST = 192
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def draw_rows(
    rows: Sequence[tuple[str, Image.Image | None, Sequence[Image.Image]]],
    columns: Sequence[str],
    heading: Sequence[str],
) -> Image.Image:
    """Rows of pictures, each behind its reference.

    Args:
        rows: (label, reference or None, pictures); all pictures of one size.
        columns: a label for each column of pictures.
        heading: lines above; the first is the title.
    """
    paper = _Paper(rows[0][2][0], len(columns) + 1, len(rows), heading)
    for row, (label, reference, pictures) in enumerate(rows):
        if reference is not None:
            paper.put(0, row, reference)
        for column, picture in enumerate(pictures, 1):
            paper.put(column, row, picture)
            if not row:
                paper.label(column, 0, columns[column - 1])
        paper.label(0, row, label, middle=reference is None)
    return paper.image


def draw_grid(
    cells: Sequence[tuple[Image.Image, str, str]], columns: int, heading: Sequence[str]
) -> Image.Image:
    """A labelled grid.

    Args:
        cells: (picture, label, smaller line below it), row by row; all pictures of one size.
        columns: how many in a row.
        heading: lines above the grid; the first is the title.
    """
    paper = _Paper(cells[0][0], columns, math.ceil(len(cells) / columns), heading)
    for index, (picture, label, detail) in enumerate(cells):
        row, column = divmod(index, columns)
        paper.put(column, row, picture)
        paper.label(column, row, f"{label}\n{detail}" if detail else label)
    return paper.image


class _Paper:
    """Places for pictures of one size, in columns and rows, with two lines below each."""

    def __init__(self, first: Image.Image, columns: int, rows: int, heading: Sequence[str]) -> None:
        # Small pictures are enlarged by a whole factor, so that labels have room below them.
        factor = math.ceil(NARROWEST / first.width)
        self.size = (first.width * factor, first.height * factor)
        self._step = (self.size[0] + MARGIN, self.size[1] + 2 * MARGIN + 2 * TEXT)
        across = MARGIN + columns * self._step[0]
        lines = [part for line in heading[1:] for part in textwrap.wrap(line, across // 7)]
        self._top = 2 * MARGIN + (TEXT + 6) + (TEXT + 4) * len(lines)
        self.image = Image.new("RGB", (across, self._top + rows * self._step[1]), PAPER)
        self._draw = ImageDraw.Draw(self.image)
        self._draw.text((MARGIN, MARGIN), heading[0], INK, ImageFont.load_default(TEXT + 6))
        for number, line in enumerate(lines):
            place = (MARGIN, MARGIN + TEXT + 12 + number * (TEXT + 4))
            self._draw.text(place, line, FAINT, ImageFont.load_default(TEXT))

    def _corner(self, column: int, row: int) -> tuple[int, int]:
        return MARGIN + column * self._step[0], self._top + row * self._step[1]

    def put(self, column: int, row: int, picture: Image.Image) -> None:
        """A picture in its place."""
        enlarged = picture.resize(self.size, Image.Resampling.NEAREST)
        self.image.paste(enlarged, self._corner(column, row))

    def label(self, column: int, row: int, text: str, middle: bool = False) -> None:
        """Up to two lines below a picture; in the middle of its place where there is none."""
        x, y = self._corner(column, row)
        y += self.size[1] // 2 - TEXT if middle else self.size[1] + 4
        letters = self.size[0] // (TEXT // 2)
        lines = [part for line in text.split("\n") for part in textwrap.wrap(line, letters)][:2]
        for number, line in enumerate(lines):
            ink, size = (FAINT, TEXT - 2) if number else (INK, TEXT)
            self._draw.text((x, y + number * (TEXT + 2)), line, ink, ImageFont.load_default(size))
