"""The reference picture and its mask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..core.mask import FigureMask, TokenMask
from ..errors import invalid
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


def _luminance(mask: Image.Image) -> Image.Image:
    """A mask as L: it keeps what is opaque and white."""
    flat = Image.new("L", mask.size, 0)
    flat.paste(mask.convert("L"), mask=mask.getchannel("A"))
    return flat


def _alpha(picture: Image.Image) -> Image.Image | None:
    alpha = picture.getchannel("A")
    lowest: Any = alpha.getextrema()[0]
    return None if lowest >= 128 else alpha
