"""Transformers: Flux, Chroma, SD 3, Z-Image. Skipped where the loaded checkpoint is a UNet.

``LAFI_E2E_REFUSED`` names checkpoints, comma between, that LAFI must refuse.
"""

from __future__ import annotations

import functools
import os
import re

import pytest

from .conftest import connect
from .pictures import OTHER_REFERENCE, REFERENCE

# Where a transformer's blocks stand.
BLOCKS = re.compile(r"(double_blocks|single_blocks|joint_blocks|layers)\.(\d+)\.")
LONG = "a knight in red armour walking through a forest of old oaks, " * 12
# Mean difference, of 255, that other orders of the same sums may make.
ROUNDING = 0.1
REFUSED = tuple(filter(None, os.environ.get("LAFI_E2E_REFUSED", "").split(",")))


@pytest.fixture(scope="module")
def made(webui):
    """Pictures with LAFI, each made once, the first from an empty bank."""
    webui.clear_bank()
    answer = webui.request({"image": REFERENCE})
    sites = [site for each in webui.last_run()["passes"] for site in each["sites"]]
    if answer.status != 200 or not all(map(BLOCKS.match, sites)):
        pytest.skip("the loaded checkpoint is not a transformer that LAFI works with")

    @functools.cache
    def generate(anew: bool = True, **payload):
        if anew:
            webui.clear_bank()
        return webui.generate({"image": REFERENCE}, **payload)

    return generate


def is_rotary(result) -> bool:
    """Whether its keys are recorded before rotary positions."""
    return result.sites[0].startswith(("double", "single"))


def blocks(result) -> list[tuple[str, int]]:
    """The blocks that injected."""
    found = map(BLOCKS.match, result.sites)
    return [(each[1], int(each[2])) for each in found if each is not None]


# ---- what it does -----------------------------------------------------------------------------


def test_the_reference_changes_the_picture(webui, plain, made) -> None:
    with_one, with_other = made(), webui.generate({"image": OTHER_REFERENCE})
    assert with_one.picture != plain().picture
    assert with_one.picture != with_other.picture
    assert with_one.total("injected") > 0
    assert with_one.run["error"] is None


def test_last_run_names_the_blocks_of_the_decoder(made) -> None:
    found = blocks(made())
    assert found
    assert len(made().sites) == len(set(made().sites))
    roots = {root for root, _ in found}
    # Flux's single blocks; of other transformers the second half.
    assert roots in ({"single_blocks"}, {"joint_blocks"}, {"layers"})
    numbers = sorted({number for _, number in found})
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_depth_counts_blocks_from_the_output(webui, made) -> None:
    half = webui.generate({"image": REFERENCE, "depth": 50})
    assert 0 < len(half.sites) < len(made().sites)
    assert half.sites == made().sites[-len(half.sites) :]
    assert half.picture != made().picture


def test_the_level_that_is_noise_alone_is_left_out(webui, made) -> None:
    first = made().run["passes"][0]
    # The first evaluation of the run stands at level 1.
    assert first["skipped"] >= 1
    assert first["injected"] + first["skipped"] == first["evaluations"]
    whole = webui.generate({"image": REFERENCE, "cutoff": 100})
    assert whole.run["passes"][0]["skipped"] == 1


# ---- promises ---------------------------------------------------------------------------------


def test_the_same_again_recorded_and_replayed(webui, made) -> None:
    first = made()
    replayed = webui.generate({"image": REFERENCE})
    webui.clear_bank()
    anew = webui.generate({"image": REFERENCE})
    assert first.total("recorded") > 0
    assert (replayed.total("recorded"), replayed.total("injected")) == (0, first.total("injected"))
    assert anew.total("recorded") == first.total("recorded")
    assert replayed.picture == anew.picture == first.picture


def test_off_and_afterwards_nothing_is_changed(webui, plain, made) -> None:
    before = plain().picture
    made()
    assert webui.generate().picture == before
    assert webui.generate({"image": REFERENCE, "depth": 0}).picture == before
    assert webui.generate({"image": REFERENCE, "strength": 0}).picture == before


def test_every_picture_of_a_batch_as_if_alone(webui, made) -> None:
    both = webui.generate({"image": REFERENCE}, batch_size=2)
    assert both.pictures[0].distance(made().picture) < ROUNDING
    second = webui.generate({"image": REFERENCE}, seed=8)
    assert both.pictures[1].distance(second.picture) < ROUNDING


def test_a_view_twice_weighs_as_the_sum(webui, made) -> None:
    twice = webui.generate({"image": [REFERENCE, REFERENCE], "strength": 0.75})
    once = webui.generate({"image": REFERENCE, "strength": 1.5})
    weak = webui.generate({"image": REFERENCE, "strength": 0.3})
    assert twice.picture.distance(once.picture) < ROUNDING
    assert once.picture != weak.picture


def test_every_stream(webui, plain, made, stream) -> None:
    webui.clear_bank()
    one = webui.generate({"image": REFERENCE, "stream": stream})
    again = webui.generate({"image": REFERENCE, "stream": stream})
    assert one.picture == again.picture
    assert one.picture != plain().picture


# ---- guidance and text ------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 4])
def test_with_and_without_uncond_rows(webui, plain, made, scale) -> None:
    """Distilled models have none: guidance 1 makes cond rows alone."""
    one = made(cfg_scale=scale)
    assert one.picture != plain(cfg_scale=scale).picture
    again = webui.generate({"image": REFERENCE}, cfg_scale=scale)
    assert again.picture == one.picture
    assert again.total("recorded") == 0
    alike, cond = (webui.generate({"image": REFERENCE, "fidelity": each}, cfg_scale=scale)
                   for each in (0, 1))  # fmt: skip
    assert (alike.picture == cond.picture) == (scale == 1)


def test_texts_of_unequal_lengths(webui, plain, made) -> None:
    """Cond, uncond and the reference's own text; a recording serves any of them."""
    payload = {"prompt": LONG, "negative_prompt": "", "cfg_scale": 4}
    made(cfg_scale=4)
    other = webui.generate({"image": REFERENCE}, **payload)
    assert other.total("recorded") == 0
    assert other.picture != plain(**payload).picture
    captioned = webui.generate({"image": REFERENCE, "prompt": LONG}, **payload)
    assert captioned.total("replayed") == 0
    assert captioned.picture != other.picture


def test_distilled_guidance_is_the_runs_own(webui, made) -> None:
    """Flux dev reads it beside the text, in the reference's pass too."""
    if "distilled_cfg_scale" not in webui.txt2img_fields:
        pytest.skip("this host has no distilled guidance")
    run = {each: webui.generate(None, distilled_cfg_scale=each, cfg_scale=1) for each in (1, 8)}
    if run[1].picture == run[8].picture:
        pytest.skip("the loaded checkpoint reads no distilled guidance")
    webui.clear_bank()
    webui.generate({"image": REFERENCE}, distilled_cfg_scale=1, cfg_scale=1)
    changed = webui.generate({"image": REFERENCE}, distilled_cfg_scale=8, cfg_scale=1)
    assert changed.total("replayed") == 0
    assert changed.picture != run[8].picture


# ---- positions and blocks ---------------------------------------------------------------------


@pytest.mark.parametrize("position", ["beside", "none", "soft"])
def test_where_the_reference_stands(webui, made, position) -> None:
    if not is_rotary(made()):
        pytest.skip("this transformer's keys are recorded with their positions")
    webui.generate({"image": REFERENCE})
    moved = webui.generate({"image": REFERENCE, "position": position})
    assert moved.picture != made().picture
    # Positions are given where tokens are used: the same recordings serve all.
    assert moved.total("recorded") == 0


def test_chosen_blocks(webui, made) -> None:
    chosen = webui.generate({"image": REFERENCE, "blocks": "0,2-3"})
    every = webui.generate({"image": REFERENCE, "layers": "all"})
    order = list(dict.fromkeys(blocks(every)))
    assert list(dict.fromkeys(blocks(chosen))) == [order[0], *order[2:4]]


def test_blocks_that_are_not_there(webui, made) -> None:
    answer = webui.request({"image": REFERENCE, "blocks": "900"})
    assert answer.status == 422, answer
    assert "blocks" in str(answer.body)


def test_a_smaller_reference(webui, made) -> None:
    """Half the side is a quarter of the tokens."""
    lafi, size = {"image": REFERENCE, "cutout": "off"}, {"width": 128, "height": 128}
    webui.clear_bank()
    whole, small = (webui.generate(lafi | {"reference_size": each}, **size) for each in (100, 50))
    assert [each["size"] for each in small.run["references"]] == [50]
    assert small.picture != whole.picture
    whole_bytes, small_bytes = (each.run["passes"][0]["reference_bytes"] for each in (whole, small))
    assert 4 * small_bytes == whole_bytes > 0


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", REFUSED or [""])
def test_a_checkpoint_that_is_not_supported(url, checkpoint) -> None:
    if not checkpoint:
        pytest.skip("LAFI_E2E_REFUSED names no checkpoint")
    webui = connect(url)
    before = webui.get("/sdapi/v1/options")["sd_model_checkpoint"]
    assert webui.post("/sdapi/v1/options", {"sd_model_checkpoint": checkpoint}).status == 200
    try:
        answer = webui.request({"image": REFERENCE}, steps=2)
        assert answer.status == 500, answer
        run = webui.last_run()
        assert run["error"]["code"] == "unsupported_model"
        assert run["error"]["message"] in str(answer.body)
        assert run["passes"] == []
    finally:
        assert webui.post("/sdapi/v1/options", {"sd_model_checkpoint": before}).status == 200
