"""Pictures in, pictures out: reading a reference, drawing one, and tensors."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lab.errors import LabError
from lab.world import CELL, draw_picture, render


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
    rng = Random(seed)
    picture = draw_picture(rng, action="standing", facing="right", held_out=True, shape=shape)
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
