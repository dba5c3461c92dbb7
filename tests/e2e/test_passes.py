"""Hires fix, img2img and inpainting."""

from __future__ import annotations

import pytest

from .pictures import LEFT_HALF, REFERENCE, SCENE

GIVEN = {"image": REFERENCE}
PASSES = {"first": ["first"], "hires": ["hires"], "both": ["first", "hires"]}


@pytest.fixture(scope="module")
def hires(webui) -> dict:
    """A request with hires fix."""
    return {
        "enable_hr": True,
        "hr_scale": 1.5,
        "hr_upscaler": webui.get("/sdapi/v1/latent-upscale-modes")[0]["name"],
        "hr_second_pass_steps": 4,
        "denoising_strength": 0.7,
        "steps": 4,
        "width": webui.size // 2,
        "height": webui.size // 2,
        # Hosts that have it leave the negative prompt out of the second pass by default.
        "hr_cfg": 7 if "hr_cfg" in webui.txt2img_fields else None,
    }


@pytest.fixture(scope="module")
def hires_pictures(webui, hires) -> dict:
    """Results by `passes`."""
    return {passes: webui.generate(GIVEN | {"passes": passes}, **hires) for passes in PASSES}


@pytest.mark.parametrize("passes", PASSES)
def test_hires_fix(hires_pictures, passes) -> None:
    result = hires_pictures[passes]
    ran = [each["name"] for each in result.run["passes"] if each["injected"]]
    assert ran == PASSES[passes]
    assert all(each["switched"] == 2 for each in result.run["passes"] if each["injected"])


def test_each_choice_of_passes_is_another_picture(plain, hires, hires_pictures) -> None:
    pictures = [result.picture for result in hires_pictures.values()]
    pictures.append(plain(**hires).picture)
    assert len({picture.pixels.shape for picture in pictures}) == 1
    assert len(set(pictures)) == 4


# Columns well inside the halves that the mask paints over and keeps.
PAINTED, KEPT = (0, 96), (160, 256)
STARTS = {
    "img2img": {"init_images": [SCENE]},
    "inpaint": {"init_images": [SCENE], "mask": LEFT_HALF, "inpainting_fill": 1, "mask_blur": 0},
}


@pytest.mark.parametrize("kind", STARTS)
def test_img2img(webui, kind) -> None:
    start = STARTS[kind] | {"denoising_strength": 0.8, "width": 256, "height": 256}
    before = webui.generate(None, "img2img", **start).picture
    result = webui.generate(GIVEN, "img2img", **start)
    assert result.total("injected") > 0
    assert result.total("injected") + result.total("skipped") == result.total("evaluations")
    assert result.run["passes"][0]["switched"] == 2
    assert result.picture.columns(*PAINTED) != before.columns(*PAINTED)
    if kind == "inpaint":
        assert result.picture.columns(*KEPT) == before.columns(*KEPT)
    assert webui.generate(None, "img2img", **start).picture == before
