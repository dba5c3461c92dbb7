"""Pictures in, pictures out: reading the reference, and the labelled grid."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor

from lab.errors import LabError
from lab.world import CELL, draw_picture, render

MARGIN, TEXT = 12, 14
NARROWEST = 240
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def read_picture(path: Path, size: int) -> Image.Image:
    """The picture in a file, cut to a square of `size` pixels.

    Raises:
        LabError: when there is no such file, or no picture in it.
    """
    try:
        with Image.open(path) as picture:
            return ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    except FileNotFoundError:
        raise LabError(f"--reference: there is no file {path}.") from None
    except (UnidentifiedImageError, OSError) as error:
        raise LabError(f"--reference: {path} cannot be read as a picture ({error}).") from None


def draw_figure(seed: int, size: int) -> Image.Image:
    """A standing figure that the bundled model has never seen, where no reference is given."""
    shape = (size // CELL, size // CELL)
    picture = draw_picture(Random(seed), action="standing", held_out=True, shape=shape)
    return Image.fromarray(render(picture)).resize((size, size), Image.Resampling.NEAREST)


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as (1, 3, H, W) in 0..1."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def to_picture(pixels: Tensor) -> Image.Image:
    """(1, 3, H, W) in 0..1 as a picture."""
    return Image.fromarray((pixels[0].permute(1, 2, 0) * 255).round().byte().numpy())


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two pictures' values, in percent of the full range."""
    return 100 * float((to_tensor(one) - to_tensor(other)).abs().mean())


def draw_grid(
    cells: Sequence[tuple[Image.Image, str, str]], columns: int, heading: Sequence[str]
) -> Image.Image:
    """A labelled grid.

    Args:
        cells: (picture, label, smaller line below it), row by row; all pictures of one size.
        columns: how many in a row.
        heading: lines above the grid; the first is the title.
    """
    # Small pictures are enlarged by a whole factor, so that labels have room below them.
    factor = math.ceil(NARROWEST / cells[0][0].width)
    width, height = cells[0][0].width * factor, cells[0][0].height * factor
    step_x, step_y = width + MARGIN, height + 2 * MARGIN + 2 * TEXT
    title, small = ImageFont.load_default(TEXT + 6), ImageFont.load_default(TEXT - 2)
    label = ImageFont.load_default(TEXT)
    across = MARGIN + columns * step_x
    lines = [part for line in heading[1:] for part in textwrap.wrap(line, across // (TEXT // 2))]
    top = 2 * MARGIN + (TEXT + 6) + (TEXT + 4) * len(lines)
    rows = math.ceil(len(cells) / columns)
    sheet = Image.new("RGB", (across, top + rows * step_y), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), heading[0], INK, title)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + TEXT + 12 + number * (TEXT + 4)), line, FAINT, label)
    for index, (picture, text, detail) in enumerate(cells):
        x = MARGIN + index % columns * step_x
        y = top + index // columns * step_y
        sheet.paste(picture.resize((width, height), Image.Resampling.NEAREST), (x, y))
        draw.text((x, y + height + 4), text, INK, label)
        draw.text((x, y + height + 6 + TEXT), detail, FAINT, small)
    return sheet
