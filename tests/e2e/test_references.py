"""Several pictures at once: views of one character, two characters in their places, a batch whose
first picture is the reference of the others."""

from __future__ import annotations

from typing import Any

import pytest

from .pictures import CORNER, OTHER_REFERENCE, REFERENCE, SCENE

TWO: dict[str, Any] = {
    "image": REFERENCE,
    "region": "left",
    "references": [{"image": OTHER_REFERENCE, "region": "right"}],
}
# Another order of sums; the same bounds as for a replayed reference.
ROUNDING = 0.5


def hashes(result) -> list[str]:
    return [each["hash"] for each in result.run["references"]]


@pytest.fixture(scope="module")
def both(webui):
    """Two references, left and right, from an empty bank."""
    webui.clear_bank()
    return webui.generate(TWO)


def test_views_are_all_recorded_and_named(webui, injected) -> None:
    made = webui.generate({"image": [REFERENCE, OTHER_REFERENCE]})
    assert made.picture != injected().picture
    assert len(set(hashes(made))) == 2
    assert f"LAFI reference: {' '.join(hashes(made))}" in made.infotexts[0]
    [one] = made.run["passes"]
    assert [each["name"] for each in one["references"]] == hashes(made)
    assert all(each["recorded"] + each["replayed"] for each in one["references"])


def test_a_view_twice_weighs_as_the_sum(webui) -> None:
    twice = webui.generate({"image": [REFERENCE, REFERENCE], "strength": 0.75})
    once = webui.generate({"image": REFERENCE, "strength": 1.5})
    assert twice.picture.distance(once.picture) < ROUNDING


def test_two_references_in_their_places(webui, injected, both) -> None:
    assert both.picture != injected().picture
    assert [each["region"] for each in both.run["references"]] == [[0, 0.5, 0, 1], [0.5, 1, 0, 1]]
    assert both.lafi_keys() >= {"LAFI reference", "LAFI region", "LAFI reference 2"}
    assert both.lafi_keys() >= {"LAFI region 2"}
    assert webui.generate(TWO).picture == both.picture
    swapped = {
        "image": OTHER_REFERENCE,
        "region": "left",
        "references": [{"image": REFERENCE, "region": "right"}],
    }
    assert webui.generate(swapped).picture != both.picture


def test_a_region_is_where_the_reference_acts(webui, plain) -> None:
    """More of the change that one half brings lies in that half than of what the other brings."""
    middle = webui.size // 2
    shares = []
    for region in ("left", "right"):
        made = webui.generate({"image": REFERENCE, "region": region}).picture
        left = made.columns(0, middle).distance(plain().picture.columns(0, middle))
        right = made.columns(middle, webui.size).distance(
            plain().picture.columns(middle, webui.size)
        )
        shares.append(left / (left + right))
    assert shares[0] > shares[1]


def test_a_region_over_the_whole_picture_is_none(webui, injected) -> None:
    webui.clear_bank()  # recordings of one batch with another reference are rounded otherwise
    assert webui.generate({"image": REFERENCE, "region": "0-100%"}).picture == injected().picture


def test_another_reference_leaves_the_first_ones_recordings(webui) -> None:
    webui.clear_bank()
    # As large as there.
    webui.generate({"image": REFERENCE, "region": "left"})
    [one] = webui.generate(TWO).run["passes"]
    first, second = one["references"]
    assert (first["recorded"], second["replayed"]) == (0, 0)
    assert first["replayed"]
    assert second["recorded"]


def test_regions_in_both_passes_of_hires_fix(webui, hires) -> None:
    made = webui.generate(TWO, **hires)
    assert [each["name"] for each in made.run["passes"]] == ["first", "hires"]
    assert all(len(each["references"]) == 2 for each in made.run["passes"])
    assert all(each["injected"] for each in made.run["passes"])


def test_a_region_is_of_the_picture_that_the_user_sees(webui) -> None:
    """A masked corner at the left is made: a region at the right has nothing to act on in it."""
    start = {
        "init_images": [SCENE],
        "mask": CORNER,
        "inpaint_full_res": True,
        "inpaint_full_res_padding": 0,
        "denoising_strength": 0.9,
    }
    left = webui.generate({"image": REFERENCE, "region": "0-25%"}, "img2img", **start)
    assert left.total("injected")
    answer = webui.request({"image": REFERENCE, "region": "75-100%"}, "img2img", **start)
    assert answer.status == 422, answer
    assert answer.body["detail"][0]["loc"] == ["region"]


def test_with_an_anchor_the_first_picture_of_a_batch_is_plain(webui, plain) -> None:
    before = plain(batch_size=2).pictures
    made = webui.generate({"anchor": "batch"}, batch_size=2)
    assert made.pictures[0] == before[0]
    assert made.pictures[1] != before[1]
    assert made.total("injected")
    assert made.run["references"] == []
    assert "LAFI anchor: batch" in made.infotexts[1]
    assert plain.__wrapped__(batch_size=2).pictures == before


@pytest.mark.parametrize(("fields", "field"), [
    ({"image": [REFERENCE, "no picture"]}, "image[1]"), ({"anchor": "batch"}, "anchor"),
    ({"image": REFERENCE, "region": "lefft"}, "region"),
    ({"image": REFERENCE, "references": [{"image": REFERENCE, "strength": 9}]},
     "references[0].strength"),
    ({"image": REFERENCE, "references": [{"region": "left"}]}, "references[0].image"),
    ({"references": [{"image": REFERENCE}], "region": "left"}, "region"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_what_is_wrong_is_named_where_it_is(webui, fields, field) -> None:
    answer = webui.request(fields)
    assert answer.status == 422, answer
    assert [each["loc"] for each in answer.body["detail"]] == [[field]]
