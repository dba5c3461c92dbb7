"""The figure that is cut out by itself, beside masks and transparency."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lafi.core.mask import FigureMask
from lafi.webui.images import open_picture

from .host import reference


def test_a_figure_before_a_flat_background_is_cut_out() -> None:
    picture = open_picture(reference(), None, cutout="auto")
    assert picture.mask is not None
    wanted = np.zeros((128, 128), bool)
    wanted[16:120, 40:88] = True
    assert np.array_equal(np.asarray(picture.mask) > 0, wanted)
    assert picture.figure == pytest.approx(wanted.mean())
    assert picture.hash == open_picture(reference(), picture.mask).hash
    whole = open_picture(reference(), None, cutout="off")
    assert (whole.mask, whole.figure) == (None, None)
    assert whole.hash != picture.hash


def test_nothing_is_cut_out_where_a_mask_or_transparency_says_what_to_keep() -> None:
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 0, 64, 128))
    clear = reference()
    clear.putalpha(mask)
    for given in ((reference(), mask), (clear, None)):
        picture = open_picture(*given, cutout="auto")
        assert picture.figure is None
        assert np.array_equal(np.asarray(picture.mask), np.asarray(mask))


def test_nothing_is_cut_out_of_a_busy_picture() -> None:
    picture = open_picture(Image.effect_noise((96, 64), 90), None, cutout="auto")
    assert (picture.mask, picture.figure) == (None, None)


@pytest.mark.parametrize(("cutout", "outlined"), [("auto", True), ("strict", False)])
def test_a_flat_or_transparent_background_may_show_where_the_figure_ends(
    cutout: str, outlined: bool
) -> None:
    clear = reference()
    clear.putalpha(open_picture(reference(), None, cutout="auto").mask)
    for given in (reference(), clear):
        picture = open_picture(given, None, cutout=cutout)
        assert picture.mask is not None
        assert picture.outlined is outlined
        assert isinstance(picture.token_mask(torch.ones(2, 2)), FigureMask) is outlined


def test_a_mask_that_was_given_shows_nothing_else() -> None:
    picture = open_picture(reference(), Image.new("L", (128, 128), 255), cutout="auto")
    assert not picture.outlined
    assert not isinstance(picture.token_mask(torch.ones(2, 2)), FigureMask)
