"""The library of characters and tags in prompts, in a running WebUI."""

from __future__ import annotations

from typing import Any

import pytest

from .client import Picture
from .pictures import ANNA, BOB, OTHER_REFERENCE, REFERENCE, SCENE

pytestmark = pytest.mark.usefixtures("library")
PROMPT = "a knight walking in a forest"
# Another order of the same sums.
ROUNDING = 0.5


def tagged(webui, tag: str, route: str = "txt2img", **payload: Any) -> Any:
    """Pictures whose prompt ends with a tag; LAFI is not named in the request."""
    return webui.generate(None, route, prompt=PROMPT + tag, **payload)


@pytest.fixture(scope="module")
def by_tag(webui) -> Any:
    """A picture of anna."""
    return tagged(webui, f"<lafi:{ANNA}>")


# ---- library ----------------------------------------------------------------------------------


def test_what_was_put_is_listed_and_comes_back(webui) -> None:
    listed = {each["name"]: each for each in webui.library("GET").body}
    assert listed[ANNA]["problem"] == listed[BOB]["problem"] == ""
    about = {"activation text": "red coat", "preferred weight": 1.5}
    assert webui.library("PUT", ANNA, {"metadata": about}).status == 200
    got = webui.library("GET", ANNA).body
    assert got["metadata"] == about
    assert len(got["image"]) == got["views"] == 1
    assert webui.library("PUT", ANNA, {"metadata": {}}).status == 200


@pytest.mark.parametrize(
    "name", ["..", "..%2f..%2fetc", "a.b", "con", "%00", "a%5cb", "%ff", "a" * 90]
)
def test_a_hostile_name_is_refused(webui, name) -> None:
    before = webui.library("GET").body
    for method, body in (("GET", None), ("DELETE", None), ("PUT", {"image": REFERENCE})):
        assert webui.library(method, name, body).status in (404, 405, 422)
    assert webui.library("GET").body == before


@pytest.mark.parametrize("body", [{}, {"image": "x"}, {"image": REFERENCE, "mask": 5}, [], 5])
def test_a_bad_body_is_refused(webui, body) -> None:
    assert webui.library("PUT", "lafi e2e nobody", body).status == 422
    assert webui.library("GET", "lafi e2e nobody").status == 404


def test_the_library_asks_for_the_password(webui) -> None:
    if "Authorization" not in webui.headers:
        pytest.skip("the WebUI asks for none")
    assert webui.stranger().try_get("/lafi/v1/characters").status == 401


# ---- tags -------------------------------------------------------------------------------------


def test_a_tag_is_the_loaded_picture(webui, plain, injected, by_tag) -> None:
    assert by_tag.picture == injected().picture
    assert by_tag.picture != plain().picture
    assert by_tag.total("injected") > 0
    assert f"<lafi:{ANNA}>" in by_tag.infotexts[0]
    digest = webui.library("GET", ANNA).body["hash"]
    assert f"LAFI characters: {ANNA} {digest}" in by_tag.infotexts[0]
    assert "LAFI reference:" not in by_tag.infotexts[0]
    assert webui.generate().picture == plain().picture


@pytest.mark.parametrize("tag", [f"<lafi:{ANNA}:1>", f"<lafi:{ANNA}:strength=1>"])
def test_the_strength_of_a_tag(webui, tag) -> None:
    given = webui.generate({"image": REFERENCE, "strength": 1})
    assert tagged(webui, tag).picture == given.picture


@pytest.mark.parametrize("tag", [f"<lafi:{ANNA}:1:left>", f"<lafi:{ANNA}:1:region=0-50%>"])
def test_the_region_of_a_tag(webui, by_tag, tag) -> None:
    given = webui.generate({"image": REFERENCE, "strength": 1, "region": "left"})
    made = tagged(webui, tag)
    assert made.picture.distance(given.picture) < ROUNDING
    assert made.picture != by_tag.picture


def test_two_tags_are_two_references(webui, by_tag) -> None:
    made = tagged(webui, f"<lafi:{ANNA}::left> <lafi:{BOB}::right>")
    assert len({each["hash"] for each in made.run["references"]}) == 2
    assert made.picture != by_tag.picture
    request = {
        "image": REFERENCE,
        "region": "left",
        "references": [{"image": OTHER_REFERENCE, "region": "right"}],
    }
    assert made.picture.distance(webui.generate(request, prompt=PROMPT + " ").picture) < ROUNDING


@pytest.mark.parametrize(
    "tag", ["<lafi:lafi e2e ana>", f"<lafi:{ANNA}:x>", f"<lafi:{ANNA}:1:x>", "<lafi>"]
)
def test_a_wrong_tag_is_an_error_and_no_picture(webui, plain, tag) -> None:
    answer = webui.request(prompt=PROMPT + tag)
    assert answer.status == 422, answer
    assert "<lafi" in str(answer.body)
    assert webui.generate().picture == plain().picture


def test_an_unknown_name_lists_near_ones(webui) -> None:
    answer = webui.request(prompt=f"{PROMPT}<lafi:{ANNA}n>")
    assert f"did you mean {ANNA}" in str(answer.body)


def test_batches_and_batch(webui, by_tag) -> None:
    made = tagged(webui, f"<lafi:{ANNA}>", n_iter=2)
    assert made.picture == by_tag.picture
    assert all(f"LAFI characters: {ANNA}" in text for text in made.infotexts)
    assert tagged(webui, f"<lafi:{ANNA}>", batch_size=2).picture.distance(by_tag.picture) < 2


def test_a_tag_in_the_hires_prompt_alone_acts_there_alone(webui, hires) -> None:
    made = tagged(webui, "", hr_prompt=f"{PROMPT}<lafi:{BOB}>", **hires)
    assert [each["name"] for each in made.run["passes"] if each["injected"]] == ["hires"]
    assert f"LAFI characters: {BOB}" in made.infotexts[0]
    other = tagged(webui, f"<lafi:{ANNA}>", hr_prompt=PROMPT, **hires)
    assert [each["name"] for each in other.run["passes"] if each["injected"]] == ["first"]


def test_img2img_has_tags(webui) -> None:
    start = {"init_images": [SCENE], "denoising_strength": 0.8}
    made = tagged(webui, f"<lafi:{ANNA}>", "img2img", **start)
    assert made.picture == webui.generate({"image": REFERENCE}, "img2img", **start).picture


def test_prompts_from_file(webui, by_tag) -> None:
    lines = f"{PROMPT}<lafi:{ANNA}>\n{PROMPT}<lafi:{BOB}>"
    name = "prompts from file or textbox"
    # Forge's has one control more.
    (known,) = [
        each["args"]
        for each in webui.get("/sdapi/v1/script-info")
        if each["name"] == name and not each["is_img2img"]
    ]
    args = [False, False, "start", lines, False][: len(known)]
    # The host's answer names the first seed alone, so its pictures are read by themselves.
    answer = webui.request(prompt="", script_name=name, script_args=args)
    assert answer.status == 200, answer
    first, second = map(Picture.decode, answer.body["images"])
    assert first == by_tag.picture
    assert second != by_tag.picture


def test_a_changed_picture_of_the_library_is_another_hash(webui, by_tag) -> None:
    assert webui.library("PUT", ANNA, {"image": OTHER_REFERENCE}).status == 200
    try:
        made = tagged(webui, f"<lafi:{ANNA}>")
        assert made.picture != by_tag.picture
        assert made.picture == tagged(webui, f"<lafi:{BOB}>").picture
    finally:
        assert webui.library("PUT", ANNA, {"image": REFERENCE}).status == 200
    assert tagged(webui, f"<lafi:{ANNA}>").picture == by_tag.picture


def test_the_page_is_among_the_extra_networks(webui) -> None:
    name = ANNA.replace(" ", "%20")
    asked = f"page=characters&tabname=txt2img&name={name}"
    card = webui.get(f"/sd_extra_networks/get-single-card?{asked}")
    assert f"&lt;lafi:{ANNA}:" in card["html"]
