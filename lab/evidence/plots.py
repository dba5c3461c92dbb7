"""The Pareto plot, drawn with Pillow: no plotting library is needed for a few points."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIZE, MARGIN, LINE = (900, 620), 70, 19
Rows = dict[str, dict[str, tuple[float, float, float]]]


def pareto(rows: Rows, path: Path, across: str = "leak slope", up: str = "identity") -> None:
    """Identity against leak, one numbered point per method with its intervals; a key beside it."""
    height = max(SIZE[1], LINE * (len(rows) + 2))  # the key may be longer than the plot
    image = Image.new("RGB", (SIZE[0] + 420, height), "white")
    draw = ImageDraw.Draw(image)
    x, y = _Axis(rows, across, MARGIN, SIZE[0] - 20), _Axis(rows, up, SIZE[1] - MARGIN, 20)
    box = (MARGIN, 20, SIZE[0] - 20, SIZE[1] - MARGIN)
    draw.rectangle(box, outline="grey")
    draw.text((SIZE[0] / 2, SIZE[1] - 30), f"{across} (less is better)", "black")
    draw.text((8, 4), f"{up} (more is better)", "black")
    for share in (0, 0.25, 0.5, 0.75, 1):
        at_x, at_y = x.low + share * (x.high - x.low), y.low + share * (y.high - y.low)
        draw.text((x(at_x) - 12, SIZE[1] - MARGIN + 6), f"{at_x:.2f}", "black")
        draw.text((MARGIN - 34, y(at_y) - 6), f"{at_y:.2f}", "black")
    for number, (name, values) in enumerate(rows.items(), 1):
        (a, a_low, a_high), (b, b_low, b_high) = values[across], values[up]
        draw.line((x(a_low), y(b), x(a_high), y(b)), "#bbbbbb")
        draw.line((x(a), y(b_low), x(a), y(b_high)), "#bbbbbb")
        colour = "#c03020" if "LAFI" in name else "#2050a0"
        draw.ellipse((x(a) - 4, y(b) - 4, x(a) + 4, y(b) + 4), fill=colour)
        draw.text((x(a) + 6, y(b) - 12), str(number), colour)
        draw.text((SIZE[0], 14 + LINE * number), f"{number}  {name}", colour)
    image.save(path)


class _Axis:
    """Maps a column's values, intervals included, to pixels."""

    def __init__(self, rows: Rows, name: str, start: float, end: float) -> None:
        numbers = [number for values in rows.values() for number in values[name]]
        room = 0.05 * (max(numbers) - min(numbers)) + 1e-3
        self.low, self.high = min(numbers) - room, max(numbers) + room
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)
