"""The figure is cut out of a flat background, and only of a flat one."""

from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lab.world import CELL, draw_picture, render
from lab.world.draw import empty_scene
from lafi.webui.cutout import cut_out


def _figure(background="white", size=(200, 300)):
    image = Image.new("RGB", size, background)
    ImageDraw.Draw(image).ellipse((60, 80, 140, 260), fill=(180, 40, 60))
    return image


@pytest.mark.parametrize("background", ["white", "black", (40, 180, 90)])
def test_a_figure_before_one_colour(background):
    mask = cut_out(_figure(background))
    assert mask is not None
    assert (mask.mode, mask.size) == ("L", (200, 300))
    truth = np.asarray(_figure("white"))[..., 1] < 128
    found = np.asarray(mask) > 127
    assert (found & truth).sum() / (found | truth).sum() > 0.95


def test_a_hole_in_the_figure_belongs_to_it():
    image = _figure()
    ImageDraw.Draw(image).ellipse((90, 150, 110, 190), fill="white")
    assert np.asarray(cut_out(image))[170, 100] == 255


def test_wall_and_ground_of_drawn_pictures():
    rng, overlaps = Random(1), []
    for _ in range(30):
        picture = draw_picture(rng, shape=(16, 16), facing="left")
        truth = (render(picture) != render(empty_scene(picture))).any(2)
        small = Image.fromarray(render(picture))
        mask = cut_out(small.resize((16 * CELL, 16 * CELL), Image.Resampling.NEAREST))
        found = np.asarray(mask.resize((16, 16), Image.Resampling.NEAREST)) > 127
        overlaps.append((found & truth).sum() / (found | truth).sum())
    assert np.mean(overlaps) > 0.85


def test_a_busy_or_an_empty_picture_has_no_flat_background():
    noise = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    assert cut_out(Image.fromarray(noise)) is None
    gradient = np.linspace(0, 255, 128).astype(np.uint8)
    assert cut_out(Image.fromarray(np.dstack([np.add.outer(gradient, gradient)] * 3))) is None
    assert cut_out(Image.new("RGB", (64, 64), "white")) is None


def test_a_hat_cut_off_by_the_edge_is_kept():
    image = _figure()
    ImageDraw.Draw(image).rectangle((80, 0, 120, 100), fill=(250, 200, 40))
    assert np.asarray(cut_out(image))[20, 100] == 255


def test_sides_of_different_colours_are_no_background():
    image = _figure(size=(200, 250))
    image.paste("red", (0, 0, 200, 1))
    image.paste("blue", (0, 249, 200, 250))
    image.paste("lime", (0, 1, 1, 249))
    image.paste("yellow", (199, 1, 200, 249))
    assert cut_out(image) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 900), (3, 3)])
def test_the_smallest_pictures(size):
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        mask = cut_out(Image.fromarray(noise))
        assert mask is None or mask.size == size
