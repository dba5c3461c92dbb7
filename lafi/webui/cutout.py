"""The figure cut out of a flat background, without a model: what game assets and renders allow.

A background counts as flat where the picture's border holds a few plain colours and little else.
What can be reached from the border through those colours is background, the rest is the figure.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 256  # pixels of the longer side that is looked at
NEAR = 14  # differences of a channel that still count as one colour
COLOURS = 5  # most plain colours of a border
RARE = 0.02  # a colour of less of the border is no background
COVERED = 0.9  # share of the border that they must make up
SMALLEST, LARGEST = 0.02, 0.9  # shares of the picture that a figure may take


def cut_out(image: Image.Image) -> Image.Image | None:
    """The figure before a flat background.

    Args:
        image: RGB.

    Returns:
        L of the image's size, white where the figure is; None if the background is not flat.
    """
    scale = min(1.0, SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    pixels = np.asarray(image.resize(size, Image.Resampling.BOX), np.int16)
    colours = _border_colours(pixels)
    if colours is None:
        return None
    plain = (np.abs(pixels[:, :, None] - colours).max(3) <= NEAR).any(2)
    figure = ~_reached(plain)
    if not SMALLEST <= figure.mean() <= LARGEST:
        return None
    small = Image.fromarray(figure.astype(np.uint8) * 255)
    return small.resize(image.size, Image.Resampling.NEAREST)


def _border_colours(pixels: np.ndarray) -> np.ndarray | None:
    """(n, 3) plain colours that make up the border of (H, W, 3); None if they are too many, or each
    is of one side only."""
    sides = (pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1])
    left = np.concatenate(sides)
    total, found = len(left), list[np.ndarray]()
    while len(left) and len(found) < COLOURS:
        values, counts = np.unique(left // 4, axis=0, return_counts=True)
        first = values[counts.argmax()] * 4 + 2
        near = np.abs(left - first).max(1) <= NEAR
        if near.sum() < RARE * total:
            break
        colour = np.median(left[near], 0)
        # A hat that the picture's edge cuts off touches one side only.
        if sum((np.abs(side - colour).max(1) <= NEAR).any() for side in sides) > 1:
            found.append(colour)
        left = left[~near]
    return np.array(found) if found and len(left) <= (1 - COVERED) * total else None


def _reached(plain: np.ndarray) -> np.ndarray:
    """Where a path through `plain` (H, W) leads to the border, step by step in four directions."""
    reached = np.zeros_like(plain)
    reached[0], reached[-1] = plain[0], plain[-1]
    reached[:, 0], reached[:, -1] = plain[:, 0], plain[:, -1]
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= plain
        if (grown == reached).all():
            return reached
        reached = grown
