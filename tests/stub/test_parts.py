"""References with regions where a part of the picture is made: a region is of the picture that the
user sees."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules.processing import process_images
from PIL import Image

from lafi.errors import LafiError
from lafi.regions import Region

from .host import WebUI
from .test_references import GREEN, RED, SMALL, TWO


def part(box: Any, size: tuple[int, int] | None = (200, 100)) -> Any:
    whole = None if size is None else Image.new("L", size)
    return SimpleNamespace(paste_to=box, mask_for_overlay=whole)


def test_the_part_that_inpainting_makes(a1111: WebUI) -> None:
    from lafi.webui.views import part_made

    assert part_made(SimpleNamespace()) == part_made(part(None)) == Region()
    assert part_made(part((50, 20, 100, 80))) == Region(0.25, 0.75, 0.2, 1)
    with pytest.raises(LafiError, match="region: cannot be found"):
        part_made(part((50, 20, 100, 80), None))


@pytest.mark.parametrize(("number", "whole"), [(0, True), (1, True), (2, False), (3, True)])
def test_tiles_that_a_script_makes_are_no_place(a1111: WebUI, number: int, whole: bool) -> None:
    from lafi.webui.views import part_made

    menu = [SimpleNamespace(title=lambda each=each: each) for each in ("Loopback", "SD upscale")]
    asked = SimpleNamespace(
        scripts=SimpleNamespace(selectable_scripts=menu), script_args=(number, "more")
    )
    if whole:
        assert part_made(asked) == Region()
    else:
        with pytest.raises(LafiError, match="region: cannot be found"):
            part_made(asked)


def made_in_part(webui: WebUI, fields: dict[str, Any], box: tuple[int, int, int, int]) -> Any:
    asked = webui.processing(fields, **SMALL)
    asked.paste_to, asked.mask_for_overlay = box, Image.new("L", (128, 128))
    return process_images(asked)


def test_a_region_is_of_the_picture_that_the_user_sees(webui: WebUI) -> None:
    """Of the left half the part shows its right half alone; the same as a region of that part."""
    fields = {"image": RED, "region": "left"}
    in_part = made_in_part(webui, fields, (32, 0, 64, 128)).latents[0]
    assert torch.equal(in_part, webui.txt2img(fields, **SMALL).latents[0])
    within = made_in_part(webui, fields, (0, 0, 64, 128)).latents[0]
    assert torch.equal(within, webui.txt2img({"image": RED}, **SMALL).latents[0])


def test_a_reference_whose_region_is_not_made_is_left_out(webui: WebUI, caplog) -> None:
    caplog.set_level("INFO", "LAFI")
    made = made_in_part(webui, TWO, (64, 0, 64, 128)).latents[0]
    assert torch.equal(made, webui.txt2img({"image": GREEN}, **SMALL).latents[0])
    assert "region lies outside the part that is made" in caplog.text


def test_a_region_outside_all_that_is_made_is_an_error(a1111: WebUI) -> None:
    with pytest.raises(LafiError, match="region: lies outside the part that is made") as caught:
        made_in_part(a1111, {"image": RED, "region": "left"}, (64, 0, 64, 128))
    assert [each["loc"] for each in caught.value.problems] == [["region"]]
