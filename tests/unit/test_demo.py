"""The demonstration: a sheet at the terminal's word, also where the trained model is missing."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from demo import makers, sheets, show, worlds
from demo.pictures import draw_figure
from lab.errors import LabError
from lafi.settings import validate


def options(out, **changes):
    given = {
        "out": out, "prompt": None, "reference": None, "reference_prompt": None, "steps": 2,
        "size": 64, "seed": 1, "sampler": "euler", "url": None, "checkpoint": None, "random": False,
        "sweep": False,
    }  # fmt: skip
    return Namespace(**(given | changes))


def headings(monkeypatch):
    """The lines above the sheets that are drawn from now on."""
    lines = []
    for name in ("draw_rows", "draw_grid"):
        draw = getattr(sheets, name)
        monkeypatch.setattr(
            sheets, name, lambda *args, draw=draw: lines.extend(args[2]) or draw(*args)
        )
    return lines


def test_without_the_trained_model_it_says_that_weights_are_random(tmp_path, monkeypatch):
    lines = headings(monkeypatch)
    monkeypatch.setattr(show, "PIXEL", tmp_path / "missing.safetensors")
    made = show.run(options(tmp_path / "sheet.png"))
    with Image.open(made) as sheet:
        columns, rows = len(worlds.RANDOM.prompts) + 1, len(worlds.RANDOM.references) + 1
        assert sheet.width > columns * sheets.NARROWEST
        assert sheet.height > rows * sheets.NARROWEST
    assert any("RANDOM WEIGHTS" in line for line in lines)


def test_rows_share_prompts_and_seeds_and_references_stand_before_theirs(tmp_path, monkeypatch):
    calls = []

    class Recorded(makers.Embedded):
        def make(self, request, settings=None, reference=None):
            calls.append((request.prompt, request.seed, settings is not None, id(reference)))
            return Image.new("RGB", (64, 64))

    monkeypatch.setattr(show, "Embedded", Recorded)
    monkeypatch.setattr(show, "_world", lambda arguments: replace(worlds.PIXELS, size=64))
    show.run(options(tmp_path / "sheet.png", random=True))
    count = len(worlds.PIXELS.prompts)
    plain, first, second = calls[:count], calls[count : 2 * count], calls[2 * count :]
    assert [call[:2] for call in plain] == [call[:2] for call in first]
    assert [call[:2] for call in first] == [call[:2] for call in second]
    assert [call[2] for call in calls] == [False] * count + [True] * 2 * count
    assert len({call[3] for call in first}) == 1
    assert first[0][3] != second[0][3]


def test_the_sweep_has_a_picture_for_every_setting(tmp_path, monkeypatch):
    lines = headings(monkeypatch)
    monkeypatch.setattr(show, "SWEEP", show.SWEEP[:2])
    made = show.run(options(tmp_path / "sheet.png", random=True, sweep=True))
    with Image.open(made) as sheet:
        assert sheet.width > 4 * sheets.NARROWEST
    assert lines[0] == "LAFI at several settings"


def test_every_setting_of_the_sweep_is_one():
    for _, changes in show.SWEEP:
        validate(changes)


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
        ({"out": Path("sheet.jpg")}, "--out"),
        ({"checkpoint": Path("missing.safetensors")}, "--checkpoint: there is no file"),
        ({"url": "ftp://127.0.0.1"}, "--url"),
        ({"url": "http://127.0.0.1:9"}, "--url: no answer"),
    ],
)
def test_what_the_caller_can_mend_is_said(changes, text, tmp_path):
    with pytest.raises(LabError, match=text):
        show.run(options(**{"out": tmp_path / "sheet.png", "random": True} | changes))
