"""The reference picture: decoding, fitting to the target's size, and its mask."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..errors import LafiError, invalid

# Pixels of one latent cell, in each direction.
CELL = 8


@dataclass(frozen=True)
class Picture:
    """A decoded reference with its mask.

    Attributes:
        pixels: RGB.
        mask: L, white keeps; None keeps all.
        hash: of the pixels and the mask, for infotext and the noise seed.
    """

    pixels: Image.Image
    mask: Image.Image | None
    hash: str

    @property
    def seed(self) -> int:
        """A noise seed that belongs to this reference."""
        return int(self.hash[:8], 16)


def open_picture(image: Any, mask: Any, background: str = "#ffffff") -> Picture:
    """The reference from what a user or an API client sent.

    Args:
        image: a PIL picture, base64 or a data URL.
        mask: the same, or None: then the picture's transparency serves.
        background: colour behind transparent parts.

    Raises:
        LafiError: naming the field.
    """
    picture = _decode("image", image)
    keep: Image.Image | None
    if mask is not None:
        keep = _luminance(_decode("mask", mask)).resize(picture.size, Image.Resampling.LANCZOS)
    else:
        keep = _alpha(picture)
    flat = Image.new("RGB", picture.size, background)
    rgba = picture.convert("RGBA")
    flat.paste(rgba, mask=rgba.getchannel("A"))
    if keep is not None:
        keep = keep.point(lambda value: 255 if value >= 128 else 0)
        if keep.getbbox() is None:
            field = "image" if mask is None else "mask"
            raise invalid(field, "keeps nothing of the reference; at least a part must be visible")
    digest = hashlib.sha256(flat.tobytes())
    digest.update(b"" if keep is None else keep.tobytes())
    return Picture(flat, keep, digest.hexdigest()[:12])


def fit_picture(
    picture: Picture, width: int, height: int, fit: str
) -> tuple[Tensor, Tensor | None]:
    """The reference at the target's size.

    Args:
        width, height: pixels, multiples of 8.
        fit: crop, pad (edges repeated; the border is masked) or stretch.

    Returns:
        (1, 3, height, width) in 0..1, and (height/8, width/8) booleans of the latent cells to keep,
        or None for all.

    Raises:
        LafiError: when the mask keeps nothing at this size.
    """
    size = (width, height)
    mask = picture.mask
    if fit == "pad":
        pixels, inside = _pad(picture.pixels, size)
        if mask is not None or not inside.all():
            whole = Image.new("L", picture.pixels.size, 255) if mask is None else mask
            kept = np.asarray(_pad(whole, size)[0]) * inside
        else:
            kept = None
    else:
        pixels = _resize(picture.pixels, size, fit)
        kept = None if mask is None else np.asarray(_resize(mask, size, fit))
    tensor = torch.from_numpy(np.asarray(pixels).astype(np.float32) / 255).permute(2, 0, 1)[None]
    return tensor, None if kept is None else _cells(kept)


def _decode(field: str, value: Any) -> Image.Image:
    if isinstance(value, str):
        value = _decode_text(field, value)
    try:
        value.load()
        turned: Any = ImageOps.exif_transpose(value)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise invalid(field, f"cannot be read as a picture ({error})") from error
    return turned


def _decode_text(field: str, text: str) -> Image.Image:
    # Only the host's decoder looks at the text: it alone decides whether a URL may be fetched, and
    # nothing is ever opened as a path.
    from modules.api.api import decode_base64_to_image

    try:
        return decode_base64_to_image(text.strip())
    except Exception as error:
        reason = getattr(error, "detail", "") or "not base64, and not a data URL"
        raise invalid(field, f"cannot be read as a picture ({reason})") from error


def _luminance(mask: Image.Image) -> Image.Image:
    """A mask as L; a transparent mask picture keeps what is opaque and white."""
    if "A" in mask.getbands():
        flat = Image.new("L", mask.size, 0)
        flat.paste(mask.convert("L"), mask=mask.getchannel("A"))
        return flat
    return mask.convert("L")


def _alpha(picture: Image.Image) -> Image.Image | None:
    alpha = picture.convert("RGBA").getchannel("A")
    lowest: Any = alpha.getextrema()[0]
    return None if lowest >= 128 else alpha


def _resize(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    if fit == "stretch":
        return image.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


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
            "Choose fit pad or stretch, or a larger mask.",
        )
    return torch.from_numpy(cells)
