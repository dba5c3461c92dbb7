"""The demonstration: a grid on the terminal's word, also where the trained model is missing."""

from argparse import Namespace
from pathlib import Path

import pytest
from PIL import Image

from demo import show
from demo.grid import draw_figure
from lab.errors import LabError
from lab.host.model import random_model


def options(out, **changes):
    given = {
        "out": out, "prompt": None, "reference": None, "reference_prompt": None, "steps": 2,
        "size": 64, "seed": 1, "sampler": "euler", "url": None, "checkpoint": None, "random": False,
    }  # fmt: skip
    return Namespace(**(given | changes))


def test_without_the_trained_model_it_says_that_weights_are_random(tmp_path, monkeypatch):
    headings = []
    draw = show.draw_grid
    monkeypatch.setattr(show, "PIXEL", tmp_path / "missing.safetensors")
    monkeypatch.setattr(show, "CELLS", show.CELLS[:1])
    monkeypatch.setattr(show, "draw_grid", lambda *args: headings.extend(args[2]) or draw(*args))
    made = show.run(options(tmp_path / "grid.png"))
    with Image.open(made) as grid:
        assert grid.width > 3 * 240
    assert any("RANDOM WEIGHTS" in line for line in headings)


def test_only_the_bundled_model_is_said_to_be_of_the_pixel_world():
    model = random_model()
    assert "RANDOM" in show._about(model, None)
    assert "pixel world" in show._about(model, show.PIXEL)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_reference_is_drawn_at_the_pictures_size(size):
    figure = draw_figure(1, size)
    assert figure.size == (size, size)
    assert len(figure.getcolors(size * size)) > 5


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"steps": 1}, "--steps"),
        ({"size": 100}, "--size"),
        ({"sampler": "none"}, "--sampler"),
        ({"out": Path("grid.jpg")}, "--out"),
        ({"checkpoint": Path("missing.safetensors")}, "--checkpoint: there is no file"),
        ({"url": "ftp://127.0.0.1"}, "--url"),
        ({"url": "http://127.0.0.1:9"}, "--url: no answer"),
    ],
)
def test_what_the_caller_can_mend_is_said(changes, text, tmp_path):
    with pytest.raises(LabError, match=text):
        show.run(options(**{"out": tmp_path / "grid.png", "random": True} | changes))
