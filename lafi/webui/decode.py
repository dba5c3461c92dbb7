"""Pictures that a user or an API client sent, in whatever form, as RGBA with 8 bits a channel.

Only data is read: no address is fetched and no path opened, whoever sent it.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import LafiError, invalid

MOST_PIXELS = 2**26
# What cameras, browsers and WebUIs write. Other readers of Pillow start programs (EPS) or are old.
FORMATS = {"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"}
# Formats whose whole numbers have 16 bits, also where Pillow hands them out with 32.
SIXTEEN_BITS = {"PNG", "PPM"}
# Pillow converts these by way of another mode only.
BY_WAY_OF = {"La": "LA", "RGBX": "RGB"}


def decode(field: str, value: Any) -> Image.Image:
    """A picture as RGBA, its first frame, upright.

    Greys of 16 bits become greys of 8. Other whole numbers and floats say nothing of what white is:
    it is the first of 1 (floats only), 255 and 65535 that no pixel exceeds.

    Args:
        field: the setting that an error names.
        value: a PIL picture, base64, a data URL, or a file's bytes.

    Raises:
        LafiError: naming the field.
    """
    try:
        picture = _open(value) if isinstance(value, (str, bytes)) else value
        _check_size(field, picture)
        sixteen_bits = picture.format in SIXTEEN_BITS
        picture.load()
        # Pillow itself turns a TIFF when it loads it.
        upright: Any = picture if picture.format == "TIFF" else ImageOps.exif_transpose(picture)
        return _rgba(upright, sixteen_bits)
    except LafiError:
        raise
    # A broken file makes Pillow's readers fail in any way there is.
    except Exception as error:
        raise invalid(field, f"cannot be read as a picture ({_reason(error)})") from error


def _open(sent: str | bytes) -> Image.Image:
    data = sent if isinstance(sent, bytes) else _bytes(sent)
    Image.init()
    return Image.open(io.BytesIO(data), formats=sorted(FORMATS & Image.OPEN.keys()))


def _bytes(text: str) -> bytes:
    head, comma, body = text.strip().partition(",")
    if head[:5].lower() != "data:":
        body = text
    elif not comma or not head.lower().endswith(";base64"):
        raise ValueError("a data URL must be base64")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError as error:
        raise ValueError("not base64, and not a data URL") from error


def _check_size(field: str, picture: Image.Image) -> None:
    """From the header, before a bomb is unpacked."""
    width, height = picture.size
    if not width or not height:
        raise invalid(field, "has no pixels")
    if width * height > MOST_PIXELS:
        most = f"{MOST_PIXELS / 1e6:.0f} megapixels"
        raise invalid(field, f"is too large ({width}x{height}); at most {most} are read")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):  # its own text is an address in memory
        return "no known format"
    return str(error).encode(errors="backslashreplace").decode() or type(error).__name__


def _rgba(picture: Image.Image, sixteen_bits: bool) -> Image.Image:
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _from_grey(picture, sixteen_bits or picture.mode.startswith("I;16"))
    way = BY_WAY_OF.get(picture.mode)
    return (picture.convert(way) if way else picture).convert("RGBA")


def _from_grey(picture: Image.Image, sixteen_bits: bool) -> Image.Image:
    """Pillow itself cuts such greys off at 255."""
    values = np.asarray(picture).astype(np.float32)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):
        raise ValueError(f"grey values from {low:g} to {high:g}; at most 0 to 65535 are read")
    if sixteen_bits or high > 255:
        values = values // 256
    elif picture.mode == "F" and high <= 1:
        values = values * 255
    grey = Image.fromarray(values.round().astype(np.uint8)).convert("RGBA")
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray(np.where(np.asarray(picture) == clear, 0, 255).astype("u1")))
    return grey
