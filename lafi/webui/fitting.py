"""How a reference meets the new picture's size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..core.reference import CELLS
from ..errors import LafiError
from ..regions import Region
from .images import CELL, Picture

# In pixels: what the sides of a reference that has a size of its own are multiples of.
UNIT = CELL * CELLS
# What may be cut off a reference that is to be shown as a whole, so that it has the picture's size.
SPARED = 0.03
# By how much it may be larger than what it is shown in, so that less is cut off.
MORE = 1.25
# Its longer side against the other, at most: no model was trained on more, and one has no positions
# for it (SD 3).
LONGEST = 8
# Of the picture's area, the least that a reference is shown at, however small its region is or
# however little of that it fills.
LEAST = 1 / 4


@dataclass(frozen=True)
class Crop:
    """The part of a reference that fills a size.

    Attributes:
        centring: where the part lies along the side that is cut, from 0 to 1, as Pillow has it.
        cut: share of the reference that is cut away.
        subject_cut: share of what the mask keeps that is cut away; None without a mask.
    """

    centring: tuple[float, float] = (0.5, 0.5)
    cut: float = 0.0
    subject_cut: float | None = None

    def describe(self) -> str:
        """What is cut away, for people; empty for less than one percent."""
        if self.cut < 0.005:
            return ""
        text = f"{self.cut * 100:.0f} % of the reference is cut away"
        if self.subject_cut is None:
            return text
        return f"{text}, {self.subject_cut * 100:.0f} % of the part that the mask keeps"


@dataclass(frozen=True)
class Fitted:
    """A reference at the size at which it is shown.

    Attributes:
        pixels: (1, 3, H, W) in 0..1.
        mask: (H/8, W/8) booleans of the latent cells to keep; None keeps all.
        crop: what was cut away.
    """

    pixels: Tensor
    mask: Tensor | None
    crop: Crop


def fitted_size(
    picture: Picture,
    width: int,
    height: int,
    fit: str,
    scale: float = 1.0,
    region: Region | None = None,
) -> tuple[int, int]:
    """Width and height, in pixels, at which a reference is shown.

    The picture's own; but as a whole it has its own proportions, and is as large as fits into the
    picture, or into its region: so hardly anything of it is cut away, and it has the scale at which
    it will be drawn.

    Args:
        width, height: of the new picture.
        scale: of the sides.
        region: where in the picture it acts; None for everywhere.
    """
    if fit != "whole":
        return _scaled(width, scale), _scaled(height, scale)
    across, down = picture.pixels.size
    place = region or Region()
    if scale == 1 and place == Region() and _cut(across / down, width / height) <= SPARED:
        return width, height
    room = width * (place.x1 - place.x0), height * (place.y1 - place.y0)
    area = across * down * min(room[0] / across, room[1] / down) ** 2
    return _nearest(across / down, max(area, LEAST * width * height) * scale**2)


def _nearest(proportion: float, area: float) -> tuple[int, int]:
    """The size of whole units that is nearest to a proportion and an area."""
    proportion = min(max(proportion, 1 / LONGEST), LONGEST)
    units = max(1.0, area / UNIT**2)
    most = int(units * MORE)
    sizes = [
        (across, min(max(down, 1), most // across))
        for across in range(1, most + 1)
        for down in (int(across / proportion), math.ceil(across / proportion))
    ]

    def loss(size: tuple[int, int]) -> float:
        across, down = size
        # What is cut away is lost; a smaller reference is only coarser, a larger one dearer.
        return _cut(proportion, across / down) + abs(math.log(across * down / units)) / 5

    across, down = min(sizes, key=loss)
    return across * UNIT, down * UNIT


def _scaled(side: int, scale: float) -> int:
    return side if scale == 1 else max(round(side * scale / UNIT), 1) * UNIT


def _cut(one: float, other: float) -> float:
    """The share of a picture of one proportion that does not fit into another."""
    return 1 - min(one / other, other / one)


def fit_picture(picture: Picture, width: int, height: int, fit: str) -> Fitted:
    """The reference at a size.

    Args:
        width, height: pixels, multiples of 8; see `fitted_size`.
        fit: whole or crop (as much of the mask in it as can be), pad (edges repeated; the border is
            masked) or stretch.

    Raises:
        LafiError: when the mask keeps nothing at this size.
    """
    size = (width, height)
    mask = picture.mask
    crop = find_crop(picture, width, height, fit)
    if fit == "pad":
        pixels, inside = _pad(picture.pixels, size)
        if mask is not None or not inside.all():
            whole = Image.new("L", picture.pixels.size, 255) if mask is None else mask
            kept = np.asarray(_pad(whole, size)[0]) * inside
        else:
            kept = None
    else:
        pixels = _resize(picture.pixels, size, fit, crop)
        kept = None if mask is None else np.asarray(_resize(mask, size, fit, crop))
    tensor = torch.from_numpy(np.asarray(pixels).astype(np.float32) / 255).permute(2, 0, 1)[None]
    return Fitted(tensor, None if kept is None else _cells(kept), crop)


def find_crop(picture: Picture, width: int, height: int, fit: str) -> Crop:
    """Which part of the reference a size takes: the middle, or as much of the mask as can be."""
    if fit not in ("crop", "whole"):
        return Crop()
    across, down = picture.pixels.size
    share = min(1.0, down * width / (across * height)), min(1.0, across * height / (down * width))
    axis = 0 if share[0] < 1 else 1  # only one side is cut
    if picture.mask is None:
        return Crop(cut=1 - share[axis])
    # How much the mask keeps in each column (or row) of the reference.
    kept = (np.asarray(picture.mask) > 0).sum(axis, dtype=np.int64)
    place, subject = _best_window(kept, share[axis])
    centring = (place, 0.5) if axis == 0 else (0.5, place)
    return Crop(centring, 1 - share[axis], 1 - subject)


def _best_window(kept: np.ndarray, share: float) -> tuple[float, float]:
    """Where a window over `share` of (N,) counts holds the most of them, in the middle of all such
    places: from 0 (first) to 1 (last); and the share of the counts that it holds."""
    length = max(1, min(len(kept), round(len(kept) * share)))
    sums = np.concatenate([[0], np.cumsum(kept)])
    held = sums[length:] - sums[:-length]
    best = np.flatnonzero(held == held.max())
    # A subject in two parts has several best places: the first run of them.
    run = best[: 1 + np.argmax(np.diff(best, append=len(sums)) > 1)]
    place = (run[0] + run[-1]) / 2 / max(1, len(held) - 1)
    return (float(place) if len(held) > 1 else 0.5), float(held.max() / sums[-1])


def _resize(image: Image.Image, size: tuple[int, int], fit: str, crop: Crop) -> Image.Image:
    if fit == "stretch":
        return image.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS, centering=crop.centring)


def _pad(image: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    """The whole picture centred, its edge pixels repeated outwards; and where it really is."""
    width, height = size
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    pixels = np.asarray(image.resize(inner, Image.Resampling.LANCZOS))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    border = ((top, height - inner[1] - top), (left, width - inner[0] - left))
    padded = np.pad(pixels, border + ((0, 0),) * (pixels.ndim - 2), mode="edge")
    inside = np.pad(np.ones((inner[1], inner[0]), np.uint8), border)
    return Image.fromarray(padded), inside


def _cells(mask: np.ndarray) -> Tensor:
    """(H, W) of 0..255 to (H/8, W/8) booleans; a cell counts if any of its pixels does."""
    height, width = math.ceil(mask.shape[0] / CELL), math.ceil(mask.shape[1] / CELL)
    cells = mask.reshape(height, CELL, width, CELL).max((1, 3)) >= 128
    if not cells.any():
        raise LafiError(
            "mask_empty",
            "the reference mask keeps nothing at the picture's size.",
            "Choose a larger mask.",
        )
    return torch.from_numpy(cells)
