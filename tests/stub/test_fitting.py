"""How a reference meets the new picture's size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lafi.webui.images import find_crop, fit_picture, open_picture

from .host import reference


def masked(box: tuple[int, int, int, int], size: tuple[int, int] = (300, 100)) -> Any:
    """A reference whose mask keeps a box, which is white in the picture."""
    picture, mask = Image.new("RGB", size), Image.new("L", size)
    picture.paste("#ffffff", box)
    mask.paste(255, box)
    return open_picture(picture, mask)


@pytest.mark.parametrize(("box", "size"), [
    ((10, 20, 60, 80), (300, 100)), ((240, 20, 290, 80), (300, 100)), ((0, 0, 9, 9), (300, 100)),
    ((20, 10, 80, 60), (100, 300)), ((20, 240, 80, 290), (100, 300)),
], ids=str)  # fmt: skip
def test_crop_keeps_the_masked_subject_in_sight(box, size) -> None:
    picture = masked(box, size)
    fitted = fit_picture(picture, 128, 128, "crop")
    white = float((fitted.pixels[0, 0] > 0.5).float().mean())
    area = (box[2] - box[0]) * (box[3] - box[1])
    assert white == pytest.approx(area / 100**2, rel=0.1)
    assert fitted.crop.subject_cut == 0
    assert fitted.crop.cut == pytest.approx(2 / 3)
    assert fitted.crop.describe() == (
        "67 % of the reference is cut away, 0 % of the part that the mask keeps"
    )


def test_a_subject_within_the_crop_stands_in_its_middle() -> None:
    fitted = fit_picture(masked((120, 0, 160, 100)), 128, 128, "crop")
    columns = np.flatnonzero((fitted.pixels[0, 0] > 0.5).any(0).numpy())
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(63.5, abs=1)


def test_a_subject_wider_than_the_crop_loses_as_little_as_can_be() -> None:
    picture = masked((50, 0, 250, 100))
    crop = find_crop(picture, 64, 64, "crop")
    assert crop.subject_cut == pytest.approx(0.5, abs=0.01)
    assert crop.centring == (pytest.approx(0.5, abs=0.01), 0.5)


def test_a_speck_elsewhere_does_not_pull_the_crop_away() -> None:
    mask = Image.new("L", (300, 100))
    mask.paste(255, (0, 0, 90, 100))
    mask.paste(255, (296, 0, 300, 4))
    crop = find_crop(open_picture(Image.new("RGB", (300, 100)), mask), 64, 64, "crop")
    assert crop.centring[0] < 0.05
    assert crop.subject_cut == pytest.approx(16 / (9000 + 16))


def test_without_a_mask_the_middle_is_taken_as_before() -> None:
    picture = open_picture(reference().resize((300, 100)), None)
    fitted = fit_picture(picture, 64, 64, "crop")
    before = np.asarray(ImageOps.fit(picture.pixels, (64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal((fitted.pixels[0] * 255).round().byte().permute(1, 2, 0).numpy(), before)
    assert fitted.crop.describe() == "67 % of the reference is cut away"


@pytest.mark.parametrize(
    ("fit", "size"), [("pad", (64, 64)), ("stretch", (64, 64)), ("crop", (96, 32))]
)
def test_nothing_is_said_where_nothing_is_cut(fit: str, size: tuple[int, int]) -> None:
    crop = fit_picture(masked((10, 20, 60, 80)), *size, fit).crop
    assert (crop.cut, crop.subject_cut or 0, crop.describe()) == (0, 0, "")
