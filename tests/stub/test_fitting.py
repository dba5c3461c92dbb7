"""How a reference meets the new picture's size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from lafi.core.plan import Plan
from lafi.hosts.forge import ForgeHost
from lafi.hosts.webui import WebUIHost
from lafi.regions import Region
from lafi.webui.fitting import LONGEST, UNIT, find_crop, fit_picture, fitted_size
from lafi.webui.images import open_picture

from .host import WebUI, reference


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


# ---- as a whole ---------------------------------------------------------------------------------

PICTURES = [(512, 512), (768, 512), (512, 768), (1024, 1024), (1216, 832)]


def shown(size: tuple[int, int], picture: tuple[int, int], **given: Any) -> tuple[int, int]:
    reference = open_picture(Image.new("RGB", size), None)
    return fitted_size(reference, *picture, "whole", **given)


@pytest.mark.parametrize("region", [None, Region(), Region(0, 1 / 2), Region(1 / 3, 2 / 3)])
@pytest.mark.parametrize("picture", PICTURES, ids=str)
@pytest.mark.parametrize("size", [(300, 300), (300, 400), (200, 300), (900, 1600), (640, 400)])
def test_a_whole_reference_has_its_own_proportions_and_fits_into_its_region(
    size, picture, region
) -> None:
    width, height = shown(size, picture, region=region)
    across = picture[0] * (1 if region is None else region.x1 - region.x0)
    fill = min(across / size[0], picture[1] / size[1])
    area = max(size[0] * size[1] * fill**2, picture[0] * picture[1] / 4)
    assert 0.6 * area <= width * height <= 1.25 * area
    assert (width / height) / (size[0] / size[1]) == pytest.approx(1, rel=0.11)
    if (width, height) != picture:
        assert width % UNIT == height % UNIT == 0


def test_a_whole_reference_of_the_pictures_proportions_has_its_size() -> None:
    # Also where that is no multiple of what other sizes are.
    assert shown((150, 150), (200, 200)) == (200, 200)
    assert shown((150, 150), (200, 200), region=Region()) == (200, 200)
    assert shown((832, 1216), (800, 1200)) == (800, 1200)
    assert shown((150, 150), (200, 200), scale=0.5) == (64, 64)


def test_a_small_region_has_no_tiny_reference() -> None:
    assert shown((300, 300), (1024, 1024), region=Region(0, 0.1, 0, 0.1)) == (512, 512)


@pytest.mark.parametrize("side", [64, 128, 256, 512, 1024])
@pytest.mark.parametrize("strip", [3, 8, 20, 200])
def test_a_strip_fills_its_area_as_far_as_proportions_go(strip: int, side: int) -> None:
    """Upright or lying: what has no room in a small picture, or is longer than any network has
    positions for, is cut away."""
    across, down = shown((strip, 1), (side, side)), shown((1, strip), (side, side))
    assert across == down[::-1]
    area = max(side**2 * max(1 / strip, 1 / 4), UNIT**2)
    assert 0.5 * area <= across[0] * across[1] <= 1.25 * area
    units = area // UNIT**2
    assert across[0] / across[1] == pytest.approx(min(strip, units, LONGEST), rel=0.34)
    assert across[0] / across[1] <= LONGEST


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_other_references_have_the_pictures_size_in_any_region(fit: str) -> None:
    picture = open_picture(Image.new("RGB", (300, 100)), None)
    assert fitted_size(picture, 200, 136, fit, region=Region(0, 0.5)) == (200, 136)
    assert fitted_size(picture, 512, 768, fit, scale=0.5) == (256, 384)


def test_what_is_left_over_of_a_whole_one_is_cut_away_around_the_mask() -> None:
    picture = masked((240, 20, 290, 80))
    size = fitted_size(picture, 64, 64, "whole")
    crop = fit_picture(picture, *size, "whole").crop
    assert size == (64, 64)
    assert crop.cut == pytest.approx(2 / 3)
    assert crop.subject_cut == 0


@pytest.mark.parametrize(("given", "area"), [
    ({"region": "left"}, 1 / 2), ({"region": "0-10%"}, 1 / 8), ({"region": "top"}, 1 / 8),
    ({}, 1 / 2), ({"region": "left", "fit": "crop"}, 1),
], ids=str)  # fmt: skip
def test_a_run_shows_a_reference_as_large_as_fits(webui: WebUI, given, area) -> None:
    """Of the picture's own size its recordings are so large a part."""
    from lafi.webui import kept

    plain = {"image": reference(), "fit": "crop", "cutout": "off"}
    size = {"width": 256, "height": 128, "steps": 2}
    webui.txt2img(plain, **size)
    [full] = webui.last_run["passes"]
    kept.bank.clear()  # what is replayed has no recording
    webui.txt2img(plain | {"fit": "whole"} | given, **size)
    [made] = webui.last_run["passes"]
    assert made["reference_bytes"] == area * full["reference_bytes"]
    assert made["injected"] == full["injected"] > 0


def test_a_smaller_reference_is_told_the_pictures_size(
    webui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    original = WebUIHost.conditioning

    def conditioning(self: Any, prompt: str, width: int, height: int, z0: Any) -> Any:
        told.append((width, height, *z0.shape[-2:]))
        return original(self, prompt, width, height, z0)

    monkeypatch.setattr(WebUIHost, "conditioning", conditioning)
    fields = {"image": reference(), "region": "left"}
    webui.txt2img(fields, width=256, height=128, steps=2)
    assert told == [(256, 128, 16, 16)]


def test_two_characters_side_by_side_are_shown_whole(webui: WebUI) -> None:
    """Square references in a wide picture: nothing of them is cut away."""
    other = {"image": reference((30, 160, 60)), "region": "right"}
    fields = {"image": reference(), "region": "left", "references": [other]}
    for fit, cut in (("whole", 0), ("crop", 0.5)):
        webui.txt2img(fields | {"fit": fit}, width=256, height=128, steps=2)
        made = webui.last_run
        assert [each["cut"]["reference"] for each in made["references"]] == [cut, cut]
        assert [each["injected"] for each in made["passes"][0]["references"]] == [1, 1]


@pytest.mark.parametrize(("given", "share"), [
    ({}, 1 / 2), ({"fit": "crop"}, 1), ({"region": "left"}, 1 / 2),
    ({"region": "left", "fit": "crop"}, 1), ({"region": "left", "reference_size": 50}, 1 / 8),
    ({"region": "left", "references": [{"region": "right"}]}, 1),
], ids=str)  # fmt: skip
def test_the_memory_is_that_of_what_is_shown(
    forge: WebUI, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], share: float
) -> None:
    reserved: list[int] = []
    monkeypatch.setattr(ForgeHost, "reserve", lambda host, p, nbytes: reserved.append(nbytes))
    monkeypatch.setattr(Plan, "estimate", lambda *args: 8000)
    given = {**given, "references": [{"image": reference(), **each}
                                     for each in given.get("references", [])]}  # fmt: skip
    fields = {"image": reference(), "cutout": "off"} | given
    size = {"width": 256, "height": 128, "steps": 2}
    forge.txt2img(fields, **size)
    assert reserved == [8000 * share]
    # A quarter of a device's memory is for recordings.
    wanted = forge.last_run["references"][0]["size"]
    for memory, shown in ((32000 * share, wanted), (32000 * share - 1, wanted / 2)):
        monkeypatch.setattr(ForgeHost, "memory", lambda host, memory=memory: memory)
        forge.txt2img(fields, **size)
        assert forge.last_run["references"][0]["size"] == shown
