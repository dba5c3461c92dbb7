"""LAFI beside the host's own features: infotext, CFG scale, CLIP skip, X/Y/Z plot."""

from __future__ import annotations

import pytest

from .client import Picture
from .pictures import REFERENCE

GIVEN = {"image": REFERENCE}
OTHERS = {
    "depth": 60,
    "cutoff": 70,
    "start": 10,
    "strength": 1.5,
    "fidelity": 0.25,
    "stream": "noise",
    "prompt": 'a knight, "red" cloak: 12x34',
    "noise_seed": 2**31 + 1,
    "fit": "pad",
}


def test_infotext_says_so_when_it_ran(plain, injected) -> None:
    assert plain().lafi_keys() == set()
    assert injected().lafi_keys() == {
        "LAFI reference",
        "LAFI depth",
        "LAFI cutoff",
        "LAFI version",
        "LAFI run",
    }
    assert f"LAFI reference: {injected().run['references'][0]['hash']}" in injected().infotexts[0]


def test_infotext_gives_the_same_picture_again(webui) -> None:
    if "infotext" not in webui.txt2img_fields:
        pytest.skip("the host's API reads no infotext")
    made = webui.generate(GIVEN | OTHERS)
    assert made.run["settings"] == OTHERS
    alone = webui.request(infotext="Steps: 3, Seed: 1")
    if alone.status != 200:
        pytest.skip(f"the host's API cannot read infotext: {alone.body}")
    # Everything but the reference picture comes from the infotext.
    taken = dict.fromkeys(
        ("prompt", "negative_prompt", "seed", "steps", "width", "height", "cfg_scale")
    )
    again = webui.generate(
        [True, REFERENCE], infotext=made.infotexts[0], sampler_name=None, **taken
    )
    assert again.run["settings"] == OTHERS
    assert again.picture == made.picture


def test_cfg_scale_1(webui, plain) -> None:
    """Without guidance there are no uncond rows."""
    result = webui.generate(GIVEN, cfg_scale=1)
    assert result.total("injected") > 0
    assert result.picture != plain(cfg_scale=1).picture


def test_clip_skip(webui, injected) -> None:
    before = injected().picture
    with webui.options(CLIP_stop_at_last_layers=2):
        result, without = webui.generate(GIVEN), webui.generate()
    assert result.total("injected") == injected().total("injected")
    assert result.picture != without.picture
    assert webui.generate(GIVEN).picture == before


def test_xyz_plot(webui, plain, injected) -> None:
    """A cell with cutoff 0 is the plain picture, one with 80 the picture with LAFI."""
    scripts = webui.get("/sdapi/v1/script-info")
    grids = [each for each in scripts if each["name"] == "x/y/z plot" and not each["is_img2img"]]
    if not grids:
        pytest.skip("the host has no X/Y/Z plot")
    args = grids[0]["args"]
    labels = [arg["label"] for arg in args]
    axes = args[labels.index("X type")]["choices"]
    assert "[LAFI] Cutoff" in axes
    values = [arg["value"] for arg in args]
    values[labels.index("X type")] = axes.index("[LAFI] Cutoff")
    values[labels.index("X values")] = "0, 80"
    for axis in ("Y type", "Z type"):
        values[labels.index(axis)] = 0
    values[labels.index("Draw legend")] = False
    values[labels.index("Include Sub Images")] = True
    answer = webui.request(GIVEN, script_name="x/y/z plot", script_args=values)
    assert answer.status == 200, answer
    cells = [Picture.decode(image) for image in answer.body["images"]][-2:]
    assert cells[0] == plain().picture
    assert cells[1] == injected().picture
