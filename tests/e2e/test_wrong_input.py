"""Promise 10: wrong input never succeeds silently."""

from __future__ import annotations

import json

import pytest

from .pictures import EMPTY_MASK, REFERENCE

GIVEN = {"image": REFERENCE}
NOT_A_PICTURE = "bm90IGEgcGljdHVyZQ=="

# field that the answer must name -> settings
WRONG = {
    "unknown field": ("strenght", GIVEN | {"strenght": 1}),
    "wrong type": ("depth", GIVEN | {"depth": "much"}),
    "bool for a number": ("cutoff", GIVEN | {"cutoff": True}),
    "null": ("strength", GIVEN | {"strength": None}),
    "above the range": ("depth", GIVEN | {"depth": 101}),
    "below the range": ("start", GIVEN | {"start": -1}),
    "not whole": ("noise_seed", GIVEN | {"noise_seed": 1.5}),
    "not a choice": ("stream", GIVEN | {"stream": "invert"}),
    "not text": ("prompt", GIVEN | {"prompt": 3}),
    "not a bool": ("enabled", GIVEN | {"enabled": "yes"}),
    "no image": ("image", {"depth": 50}),
    "empty image": ("image", {"image": ""}),
    "garbage base64": ("image", {"image": "%%% no base64 %%%"}),
    "no picture": ("image", {"image": NOT_A_PICTURE}),
    "cut off picture": ("image", {"image": REFERENCE[: len(REFERENCE) // 2]}),
    "path as image": ("image", {"image": "/etc/hostname"}),
    "number as image": ("image", {"image": 5}),
    "garbage mask": ("mask", GIVEN | {"mask": NOT_A_PICTURE}),
    "empty mask": ("mask", GIVEN | {"mask": EMPTY_MASK}),
    "start at cutoff": ("start", GIVEN | {"start": 60, "cutoff": 60}),
    "start behind cutoff": ("start", GIVEN | {"start": 90, "cutoff": 60}),
}


@pytest.mark.parametrize("case", WRONG)
def test_generation_is_refused(webui, case) -> None:
    field, settings = WRONG[case]
    answer = webui.request(settings)
    assert answer.status == 422, answer
    assert field in json.dumps(answer.body), answer
    assert "images" not in answer.body
    run = webui.last_run()
    assert run["error"]["code"] == "invalid_settings"
    assert run["passes"] == []


@pytest.mark.parametrize("case", WRONG)
def test_validate_says_the_same(webui, case) -> None:
    field, settings = WRONG[case]
    answer = webui.post("/lafi/v1/validate", settings)
    assert answer.status == 422, answer
    assert [problem["loc"] for problem in answer.body] == [[field]]
    assert all(isinstance(problem["msg"], str) and problem["msg"] for problem in answer.body)


def test_all_problems_are_told_at_once(webui) -> None:
    answer = webui.post("/lafi/v1/validate", GIVEN | {"depth": -1, "rows": "both"})
    assert answer.status == 422, answer
    assert {problem["loc"][0] for problem in answer.body} == {"depth", "rows"}
    assert "fidelity" in json.dumps(answer.body)


@pytest.mark.parametrize("route", ["txt2img", "img2img"])
def test_hires_pass_without_hires_fix(webui, route) -> None:
    start = {"init_images": [REFERENCE]} if route == "img2img" else {}
    answer = webui.request(GIVEN | {"passes": "hires"}, route, **start)
    assert answer.status == 422, answer
    assert "passes" in json.dumps(answer.body)


def test_wrong_positional_argument(webui) -> None:
    answer = webui.request([True, REFERENCE, 200])
    assert answer.status == 422, answer
    assert "depth" in json.dumps(answer.body)


def test_the_next_plain_picture_is_the_same(webui, plain) -> None:
    before = plain().picture
    assert webui.request(GIVEN | {"depth": -1}).status == 422
    assert webui.generate().picture == before
