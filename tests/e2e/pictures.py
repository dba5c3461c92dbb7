"""The pictures that the tests send: drawn, never loaded."""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageDraw

# Upright, so that crop, pad and stretch differ for a square picture.
SIZE = (160, 224)
FIGURE = (48, 32, 112, 208)


def figure(colour: str = "#a03020") -> Image.Image:
    """A reference: a figure before a background."""
    picture = Image.new("RGB", SIZE, "#c0d8f0")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 160, *SIZE), fill="#408040")
    draw.ellipse(FIGURE, fill=colour)
    draw.ellipse((64, 40, 96, 80), fill="#f0c8a0")
    return picture


def silhouette() -> Image.Image:
    """A mask that keeps the figure alone."""
    mask = Image.new("L", SIZE, 0)
    ImageDraw.Draw(mask).ellipse(FIGURE, fill=255)
    return mask


def cut_out() -> Image.Image:
    """The reference with a transparent background."""
    picture = figure()
    picture.putalpha(silhouette())
    return picture


def speck() -> Image.Image:
    """A picture so large that the speck it shows is gone at any size that tests make."""
    picture = Image.new("LA", (4096, 4096), (128, 0))
    picture.paste((128, 255), (0, 0, 2, 2))
    return picture


def scene() -> Image.Image:
    """A starting picture for img2img."""
    picture = Image.new("RGB", (256, 256), "#6080a0")
    ImageDraw.Draw(picture).rectangle((40, 90, 210, 256), fill="#d0b060")
    return picture


def left_half() -> Image.Image:
    """A mask that paints over the left half."""
    mask = Image.new("L", (256, 256), 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 127, 256), fill=255)
    return mask


def corner() -> Image.Image:
    """A mask that paints over the upper left quarter, which has the picture's shape."""
    mask = Image.new("L", (256, 256), 0)
    ImageDraw.Draw(mask).rectangle((0, 0, 127, 127), fill=255)
    return mask


def encode(picture: Image.Image) -> str:
    """A picture as base64 of a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


REFERENCE = encode(figure())
OTHER_REFERENCE = encode(figure("#2040a0"))
ANNA, BOB = "lafi e2e anna", "lafi e2e bob"
# Who is in the library while a test uses the fixture `library`.
CHARACTERS = {ANNA: REFERENCE, BOB: OTHER_REFERENCE}
CUT_OUT = encode(cut_out())
SILHOUETTE = encode(silhouette())
SPECK = encode(speck())
EMPTY_MASK = encode(Image.new("L", SIZE, 0))
SCENE = encode(scene())
LEFT_HALF = encode(left_half())
CORNER = encode(corner())
