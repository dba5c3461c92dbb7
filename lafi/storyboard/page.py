"""The page of a storyboard: panels in rows, captions and a title.

Panels keep their size where they can. Panels of one row have one height; a row that is narrower
than the page is enlarged a little, or stands at the left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from .lettering import BLACK, Fonts, Text, bundled_font, height_of, wrap

# What picture formats and browsers still take.
MOST_PIXELS = 2**26
LONGEST_SIDE = 65000
# A row may be enlarged so far to fill the page.
MOST_ENLARGED = 1.5
SMALLEST_TEXT = 12
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Layout:
    """How a page looks; lengths in pixels.

    Attributes:
        captions: under, in or off.
        scale: of everything, below 1 where the page would be too large.
    """

    columns: int = 2
    gutter: int = 16
    margin: int = 24
    border: int = 3
    captions: str = "under"
    title: str = ""
    scale: float = 1.0

    def scaled(self, scale: float) -> Layout:
        """The same, smaller."""
        lengths = {
            name: round(getattr(self, name) * scale) for name in ("gutter", "margin", "border")
        }
        return replace(self, scale=scale, **lengths)


@dataclass(frozen=True)
class Box:
    """Where a panel stands, its border left out."""

    left: int
    top: int
    width: int
    height: int


def draw_page(
    panels: Sequence[Image.Image],
    captions: Sequence[str],
    layout: Layout,
    fonts: Fonts = bundled_font,
) -> Image.Image:
    """The page.

    Args:
        panels: at least one, of any sizes.
        captions: as many; empty where there is none.

    Returns:
        RGB, at most `MOST_PIXELS`; where the panels need more, everything is smaller.
    """
    plan = _fitting([panel.size for panel in panels], captions, layout, fonts)
    page = Image.new("RGB", plan.size, WHITE)
    draw = ImageDraw.Draw(page)
    for panel, box in zip(panels, plan.boxes, strict=True):
        _paste(page, draw, panel, box, plan.layout.border)
    for text in plan.texts:
        text.write(draw)
    for text in plan.inner:
        _write_in(draw, text, min(2, plan.layout.border))
    return page


class _Plan:
    """Where everything stands.

    Attributes:
        size: of the page.
        boxes: of the panels, in their order.
        texts: the title and the captions under panels.
        inner: captions within panels.
    """

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        captions: Sequence[str],
        layout: Layout,
        fonts: Fonts,
    ) -> None:
        self.layout = layout
        self.boxes: list[Box] = []
        self.texts: list[Text] = []
        self.inner: list[Text] = []
        rows = list(_rows(sizes, layout))
        self._inside = max(sum(width for width, _ in row) + self._between(row) for row in rows)
        text_size = max(SMALLEST_TEXT, round(self._inside / layout.columns / 24))
        self._font = fonts(text_size)
        top = self._title(fonts(2 * text_size))
        said = iter(captions)
        for row in rows:
            top = self._place(row, [next(said) for _ in row], top)
        size = (self._inside + 2 * layout.margin, top - layout.gutter + layout.margin)
        self.size = (max(1, size[0]), max(1, size[1]))

    def _between(self, row: Sequence[object]) -> int:
        """The pixels of a row's width that are no picture."""
        return (len(row) - 1) * self.layout.gutter + 2 * len(row) * self.layout.border

    def _title(self, font: object) -> int:
        """Places the title; answers where the panels begin."""
        top = self.layout.margin
        title = Text(wrap(self.layout.title, font, self._inside), font)
        if not title.lines:
            return top
        left = self.layout.margin + (self._inside - title.width) // 2
        self.texts.append(replace(title, left=left, top=top))
        return top + title.height + self.layout.gutter

    def _place(self, row: list[tuple[int, int]], captions: list[str], top: int) -> int:
        """Places a row's panels and captions; answers where the next row begins."""
        border, gutter = self.layout.border, self.layout.gutter
        widths = [width for width, _ in row]
        factor = (self._inside - self._between(row)) / sum(widths)
        if factor > MOST_ENLARGED:
            factor = 1.0
        # Rounded as sums, so that a full row ends where the others do.
        ends = [round(sum(widths[:n]) * factor) for n in range(len(row) + 1)]
        height, below = max(1, round(row[0][1] * factor)), 0
        for n, caption in enumerate(captions):
            left = self.layout.margin + ends[n] + (2 * n + 1) * border + n * gutter
            box = Box(left, top + border, max(1, ends[n + 1] - ends[n]), height)
            self.boxes.append(box)
            below = max(below, self._caption(box, caption))
        return top + 2 * border + height + below + gutter

    def _caption(self, box: Box, caption: str) -> int:
        """Places a panel's caption; answers how many pixels it needs below the panel."""
        if self.layout.captions == "off" or not caption.strip():
            return 0
        pad, inside = height_of(self._font) // 2, self.layout.captions == "in"
        text = Text(wrap(caption, self._font, box.width - 4 * pad * inside), self._font)
        if inside:
            top = max(box.top, box.top + box.height - text.height - 2 * pad)
            self.inner.append(replace(text, left=box.left + 2 * pad, top=top))
            return 0
        top = box.top + box.height + self.layout.border + pad
        self.texts.append(replace(text, left=box.left, top=top))
        return pad + text.height


def _fitting(
    sizes: Sequence[tuple[int, int]], captions: Sequence[str], layout: Layout, fonts: Fonts
) -> _Plan:
    """The plan of a page that is not too large."""
    plan = _Plan(sizes, captions, layout, fonts)
    scale = 1.0
    while True:
        excess = max(max(plan.size) / LONGEST_SIDE, math.sqrt(math.prod(plan.size) / MOST_PIXELS))
        if excess <= 1:
            return plan
        scale *= 0.98 / excess
        plan = _Plan(sizes, captions, layout.scaled(scale), fonts)


def _rows(sizes: Sequence[tuple[int, int]], layout: Layout) -> Iterator[list[tuple[int, int]]]:
    """The panels' sizes row by row; within a row all have the height of the lowest."""
    for start in range(0, len(sizes), layout.columns):
        row = sizes[start : start + layout.columns]
        low = min(height for _, height in row)
        smaller = max(1, round(low * layout.scale))
        yield [(max(1, round(width * smaller / height)), smaller) for width, height in row]


def _paste(
    page: Image.Image, draw: ImageDraw.ImageDraw, panel: Image.Image, box: Box, border: int
) -> None:
    if border:
        corner = (box.left - border, box.top - border)
        end = (box.left + box.width + border - 1, box.top + box.height + border - 1)
        draw.rectangle((corner, end), fill=BLACK)
    size = (box.width, box.height)
    picture = panel.convert("RGBA")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    flat = Image.new("RGBA", size, (*WHITE, 255))
    flat.alpha_composite(picture)
    page.paste(flat.convert("RGB"), (box.left, box.top))


def _write_in(draw: ImageDraw.ImageDraw, text: Text, line: int) -> None:
    """A caption in a white box."""
    pad = height_of(text.font) // 2
    corner = (text.left - pad, text.top - pad // 2)
    end = (text.left + text.width + pad, text.top + text.height + pad // 2)
    draw.rectangle((corner, end), fill=WHITE, outline=BLACK if line else None, width=line)
    text.write(draw)
