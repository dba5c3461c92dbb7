"""Pictures on the disk, and the font on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageFont, PngImagePlugin


def get_font(fontsize: int) -> Any:
    """A font of a size in pixels."""
    return ImageFont.load_default(fontsize)


def save_image(
    image: Image.Image,
    path: str,
    basename: str,
    seed: int | None = None,
    prompt: str | None = None,
    extension: str = "png",
    info: str | None = None,
    short_filename: bool = False,
    grid: bool = False,
    p: Any = None,
) -> tuple[str, str | None]:
    """Writes a picture; answers its path."""
    number = len(list(Path(path).glob(f"*.{extension}")))
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("parameters", info or "")
    file = Path(path) / f"{basename}-{number:04}.{extension}"
    image.save(file, pnginfo=chunk)
    return str(file), None
