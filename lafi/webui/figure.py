"""A mask for the reference at the press of a button: where its figure is."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import LafiError
from .cutout import cut_out

log = logging.getLogger("LAFI")
# Models of rembg, the best for drawn and rendered figures first.
MODELS = ("isnet-anime", "isnet-general-use", "birefnet-general", "u2net", "u2netp", "silueta")


def find_figure(picture: Image.Image) -> tuple[Image.Image, str]:
    """A mask of a picture's figure, and what made it.

    rembg makes it where it is installed and has a model already; else the picture's flat
    background. Nothing is ever downloaded.

    Args:
        picture: RGBA; its transparent parts are no figure.

    Returns:
        L of the same size, white where the figure is.

    Raises:
        LafiError: `no_figure`.
    """
    flat = Image.new("RGB", picture.size, "#ffffff")
    flat.paste(picture, mask=picture.getchannel("A"))
    model = _model()
    if model is not None:
        mask, maker = _with_rembg(flat, model), f"rembg ({model})"
    else:
        found = cut_out(flat)
        if found is None:
            advice = "Load a mask, or install rembg and one of its models."
            raise LafiError("no_figure", "the picture's background is not flat.", advice)
        mask, maker = found, "its flat background"
    if mask.getbbox() is None:
        raise LafiError("no_figure", f"{maker} finds no figure in the picture.", "Load a mask.")
    return mask, maker


def _model() -> str | None:
    """The model that lies where rembg looks for it; None without rembg or without a model."""
    if importlib.util.find_spec("rembg") is None:
        return None
    share = os.environ.get("XDG_DATA_HOME", "~")
    home = Path(os.environ.get("U2NET_HOME", f"{share}/.u2net")).expanduser()
    return next((each for each in MODELS if (home / f"{each}.onnx").is_file()), None)


def _with_rembg(picture: Image.Image, model: str) -> Image.Image:
    try:
        rembg: Any = importlib.import_module("rembg")
        with _no_checksums():
            session = rembg.new_session(model)
            mask: Image.Image = rembg.remove(picture, session=session, only_mask=True)
    # What it runs on has errors of its own; without that it ends the program.
    except (Exception, SystemExit) as error:
        log.warning("rembg (%s) failed", model, exc_info=True)
        raise LafiError(
            "no_figure",
            f"rembg ({model}) cannot make a mask: {type(error).__name__}: {error}.",
            "Load a mask, or mend or remove that model.",
        ) from error
    return mask.convert("L").point(lambda value: 255 if value >= 128 else 0)


@contextmanager
def _no_checksums() -> Iterator[None]:
    """rembg would download another model than the one that lies there if its sum differs."""
    name = "MODEL_CHECKSUM_DISABLED"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
