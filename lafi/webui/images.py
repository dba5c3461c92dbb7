"""The reference picture and its mask, and how they meet the new picture's size."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..core.mask import FigureMask, TokenMask
from ..errors import LafiError, invalid
from .cutout import cut_out
from .decode import decode

# Pixels of one latent cell, in each direction.
CELL = 8
# The host's own setting for what lies behind transparent parts.
BACKGROUND = "img2img_background_color"


@dataclass(frozen=True)
class Picture:
    """A decoded reference with its mask.

    Attributes:
        pixels: RGB.
        mask: L, white keeps; None keeps all.
        hash: of the pixels and the mask, for infotext and the noise seed.
        figure: share of the picture that was cut out of a flat background; None where nothing was.
        outlined: whether what the mask leaves out, flat or transparent, may be seen as what ends
            the figure.
    """

    pixels: Image.Image
    mask: Image.Image | None
    hash: str
    figure: float | None = None
    outlined: bool = False

    @property
    def seed(self) -> int:
        """A noise seed that belongs to this reference."""
        return int(self.hash[:8], 16)

    def token_mask(self, cells: Tensor) -> TokenMask:
        """What the mask, as (h, w) latent cells, says of tokens."""
        return FigureMask(cells) if self.outlined else TokenMask(cells)

    def whole(self) -> Picture:
        """The same without a mask."""
        return Picture(self.pixels, None, _hash(self.pixels, None))


def open_picture(
    image: Any,
    mask: Any,
    background: str = "#ffffff",
    cutout: str = "off",
    names: tuple[str, str] = ("image", "mask"),
) -> Picture:
    """The reference from what a user or an API client sent.

    Args:
        image: a PIL picture, base64 or a data URL.
        mask: the same, or None: then the picture's transparency serves.
        background: colour behind transparent parts, as the host's setting has it.
        cutout: auto and strict cut the figure out where neither is given and the background is
            flat; see `Picture.outlined` for auto.
        names: what errors call image and mask.

    Raises:
        LafiError: naming the field.
    """
    picture = decode(names[0], image)
    keep: Image.Image | None
    if mask is not None:
        keep = _luminance(decode(names[1], mask)).resize(picture.size, Image.Resampling.LANCZOS)
    else:
        keep = _alpha(picture)
    flat = _flatten(picture, background)
    if keep is not None:
        keep = keep.point(lambda value: 255 if value >= 128 else 0)
        if keep.getbbox() is None:
            field = names[mask is not None]
            raise invalid(field, "keeps nothing of the reference; at least a part must be visible")
    figure = None
    if keep is None and cutout != "off":
        keep = cut_out(flat)
        figure = None if keep is None else float((np.asarray(keep) > 0).mean())
    outlined = keep is not None and mask is None and cutout == "auto"
    return Picture(flat, keep, _hash(flat, keep), figure, outlined)


def _flatten(picture: Image.Image, background: str) -> Image.Image:
    """RGB; the background is asked for where something is transparent."""
    if picture.getchannel("A").getextrema() == (255, 255):
        return picture.convert("RGB")
    try:
        flat = Image.new("RGB", picture.size, background)
    except (ValueError, TypeError) as error:
        raise invalid(
            BACKGROUND, f"is no colour: {background!r}; it lies behind transparent parts"
        ) from error
    flat.paste(picture, mask=picture.getchannel("A"))
    return flat


def _hash(pixels: Image.Image, mask: Image.Image | None) -> str:
    digest = hashlib.sha256(pixels.tobytes())
    digest.update(b"" if mask is None else mask.tobytes())
    return digest.hexdigest()[:12]


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
    """A reference at the new picture's size.

    Attributes:
        pixels: (1, 3, H, W) in 0..1.
        mask: (H/8, W/8) booleans of the latent cells to keep; None keeps all.
        crop: what was cut away.
    """

    pixels: Tensor
    mask: Tensor | None
    crop: Crop


def fit_picture(picture: Picture, width: int, height: int, fit: str) -> Fitted:
    """The reference at the target's size.

    Args:
        width, height: pixels, multiples of 8.
        fit: crop (as much of the mask in it as can be), pad (edges repeated; the border is masked)
            or stretch.

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
    if fit != "crop":
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


def _luminance(mask: Image.Image) -> Image.Image:
    """A mask as L: it keeps what is opaque and white."""
    flat = Image.new("L", mask.size, 0)
    flat.paste(mask.convert("L"), mask=mask.getchannel("A"))
    return flat


def _alpha(picture: Image.Image) -> Image.Image | None:
    alpha = picture.getchannel("A")
    lowest: Any = alpha.getextrema()[0]
    return None if lowest >= 128 else alpha


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
