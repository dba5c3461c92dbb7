"""A mask that nobody gave and that does not fit: the picture is made without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from modules import shared
from PIL import Image, ImageDraw

from lafi.errors import LafiError
from lafi.webui import options

from .host import WebUI, reference
from .others import merged_tokens

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3}
CUT_OUT = {"image": reference(), "cutout": "auto"}
WHOLE = {"image": reference(), "cutout": "off"}
WARNING = "nothing of the reference is left out"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize("stop", [True, False])
def test_a_figure_that_does_not_fit_is_not_cut_out(
    webui: WebUI, stop: bool, caplog: pytest.LogCaptureFixture
) -> None:
    shared.opts.data[options.STOP_ON_ERROR] = stop
    with merged_tokens(webui.unet):
        whole = webui.txt2img(WHOLE, **SMALL)
        told = webui.last_run
        caplog.clear()
        made = webui.txt2img(CUT_OUT, n_iter=2, **SMALL)
    assert torch.equal(made.latents[0], whole.latents[0])
    assert made.infotexts[0]["LAFI reference"] == whole.infotexts[0]["LAFI reference"]
    assert "LAFI version" in made.infotexts[1]
    report = webui.last_run
    assert (report["references"][0]["figure"], report["error"]) == (None, None)
    assert report["references"] == told["references"]
    assert [each["evaluations"] for each in report["passes"]] == [3, 3]
    [said] = warnings(caplog)
    assert said.startswith(WARNING)
    assert "tokens" in said


def test_where_it_fits_the_figure_stays_cut_out(webui: WebUI) -> None:
    webui.txt2img(CUT_OUT, **SMALL)
    assert webui.last_run["references"][0]["figure"] is not None


def test_later_evaluations_are_made_again_as_well(a1111: WebUI) -> None:
    """The pass begins anew, not in the middle."""
    window = {"start": 60, "cutoff": 100}
    with merged_tokens(a1111.unet):
        whole = a1111.txt2img(WHOLE | window, **SMALL)
        made = a1111.txt2img(CUT_OUT | window, **SMALL)
    assert torch.equal(made.latents[0], whole.latents[0])
    assert a1111.last_run["passes"][0]["skipped"] > 0


def test_the_border_of_a_padded_picture_is_no_mask_of_the_users(
    a1111: WebUI, caplog: pytest.LogCaptureFixture
) -> None:
    wide = reference().resize((256, 128))
    with merged_tokens(a1111.unet):
        for cutout in ("off", "auto"):
            caplog.clear()
            a1111.txt2img({"image": wide, "fit": "pad", "cutout": cutout}, **SMALL)
            assert a1111.last_run["error"] is None
            assert len(warnings(caplog)) == 1


def given_masks() -> list[dict[str, Any]]:
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 0, 64, 128))
    clear = reference()
    clear.putalpha(mask)
    return [{"image": reference(), "mask": mask}, {"image": clear}]


@pytest.mark.parametrize("given", given_masks(), ids=["mask", "transparency"])
def test_a_mask_that_was_given_is_refused(a1111: WebUI, given: dict[str, Any]) -> None:
    with merged_tokens(a1111.unet), pytest.raises(LafiError, match="Token merging") as caught:
        a1111.txt2img(given, **SMALL)
    assert caught.value.code == "mask_does_not_fit"
    assert a1111.last_run["error"]["code"] == "mask_does_not_fit"


def test_a_figure_that_vanishes_at_the_pictures_size_is_not_cut_out(
    a1111: WebUI, caplog: pytest.LogCaptureFixture
) -> None:
    thin = Image.new("RGB", (4096, 4096), (20, 90, 160))
    for x in range(256, 4096, 256):
        ImageDraw.Draw(thin).line((x, 64, x, 4032), (200, 40, 60), 8)
    a1111.txt2img({"image": thin}, **SMALL)
    assert a1111.last_run["error"] is None
    assert a1111.last_run["references"][0]["figure"] is None
    assert [each.startswith(WARNING) for each in warnings(caplog)] == [True]
