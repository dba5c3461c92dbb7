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


CORNER = {"image": RED, "region": "0-0.04,0-0.04"}  # of 64 pixels less than half a latent cell
RIGHT = {"image": GREEN, "region": "right", "strength": 2}


@pytest.mark.parametrize("silent", [
    {"region": "left"}, {"strength": 0}, {"region": "0.95-0.96"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_what_did_not_act_is_claimed_nowhere(
    a1111: WebUI, caplog, first: bool, silent: dict[str, Any]
) -> None:
    """Whichever of two references it is that has no part in the right half."""
    caplog.set_level("INFO", "LAFI")
    other = {"image": RED, "prompt": "a boy", **silent}
    both = other | {"references": [RIGHT]} if first else RIGHT | {"references": [other]}
    said = made_in_part(a1111, both, (64, 0, 64, 128)).infotexts[0]
    report = a1111.last_run
    acted = {each["hash"]: each["acted"] for each in report["references"]}
    assert list(acted.values()) == [not first, first]
    [shown] = [digest for digest in acted if acted[digest]]
    [silent_one] = [digest for digest in acted if not acted[digest]]
    assert said["LAFI reference 2" if first else "LAFI reference"] == shown
    assert said["LAFI region 2" if first else "LAFI region"] == "right"
    claimed = [key for key in said if key.startswith(("LAFI ref", "LAFI region", "LAFI prompt"))]
    assert len(claimed) == 2
    line = next(each for each in caplog.messages if "injected in" in each)
    assert (shown in line, silent_one in line) == (True, False)


@pytest.mark.parametrize(("region", "left"), [("0-0.02,0-0.02", 0), ("0.49-0.51", 64)])
def test_a_region_without_a_latent_cell_alone_is_an_error(
    a1111: WebUI, region: str, left: int
) -> None:
    with pytest.raises(LafiError, match="region: is too small: no latent cell") as caught:
        made_in_part(a1111, {"image": RED, "region": region}, (left, 0, 64, 128))
    assert [each["loc"] for each in caught.value.problems] == [["region"]]


def test_a_region_that_no_layer_has_a_token_in_says_so(a1111: WebUI, monkeypatch) -> None:
    """On some models the finest layer that injects has not every latent cell."""
    from lafi.webui.material import Material

    monkeypatch.setattr(Material, "_misses", lambda *args: "")
    with pytest.raises(LafiError, match="no token of the layers that inject lies in a region"):
        a1111.txt2img(CORNER, **SMALL)
    assert a1111.last_run["references"][0]["acted"] is False


def test_a_region_outside_all_that_is_made_is_an_error(a1111: WebUI) -> None:
    with pytest.raises(LafiError, match="region: lies outside the part that is made") as caught:
        made_in_part(a1111, {"image": RED, "region": "left"}, (64, 0, 64, 128))
    assert [each["loc"] for each in caught.value.problems] == [["region"]]
