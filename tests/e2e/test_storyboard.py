"""A storyboard over the API of a running WebUI."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import pytest
from PIL import Image

from .client import Picture
from .pictures import REFERENCE

NAME = "lafi storyboard"
# Mean difference, of 255.
ROUNDING = 0.001
ACTIONS = ("walking", "running", "sitting", "sleeping", "reading", "jumping")
SIX = "\n".join(f'{each} --caption "{each}."' for each in ACTIONS)


class Story:
    """What one storyboard gave: `page` (None without one), `panels`, and their `infotexts`."""

    def __init__(self, body: dict[str, Any]) -> None:
        info = json.loads(body["info"])
        first = info["index_of_first_image"]
        made = [Picture.decode(each) for each in body["images"]]
        self.page, self.panels = (made[0] if first else None), made[first:]
        self.text, self.infotexts = info["infotexts"][0], info["infotexts"][first:]
        self.seeds = info["all_seeds"][first:]


def tell(webui, story: dict[str, Any], lafi: Any = None, **payload: Any) -> Story:
    """A storyboard, which must succeed."""
    payload = {"prompt": "a knight", "script_name": NAME, "script_args": [story], **payload}
    answer = webui.request(lafi, **payload)
    assert answer.status == 200, answer
    return Story(answer.body)


def report(webui, infotext: str) -> dict[str, Any]:
    """LAFI's own of one panel."""
    found = re.search(r"LAFI run: (\w+)", infotext)
    assert found, infotext
    return webui.get(f"/lafi/v1/last-run?id={found[1]}")


def shown(webui, infotexts: list[str]) -> set[str]:
    """The hashes of the panels' references."""
    return {each["hash"] for text in infotexts for each in report(webui, text)["references"]}


@pytest.fixture(scope="module")
def six(webui) -> Story:
    """Six panels from an empty bank, the first as the reference of all."""
    webui.clear_bank()
    return tell(webui, {"panels": SIX, "columns": 3, "title": "A knight's day"})


def test_six_panels_and_their_page(webui, six) -> None:
    assert len(six.panels) == 6
    assert len(set(six.panels)) == 6
    height, width, _ = six.page.pixels.shape
    assert width == 3 * (webui.size + 6) + 2 * 16 + 2 * 24
    assert height > 2 * webui.size
    assert six.seeds == [six.seeds[0] + n for n in range(6)]
    assert "Script: LAFI storyboard" in six.text


def test_the_pages_first_panel_is_the_first_picture(webui, six) -> None:
    # Below the title, within margin and border.
    columns = six.page.columns(27, 27 + webui.size).pixels
    tops = range(24, len(columns) - webui.size)
    assert any(Picture(columns[top : top + webui.size]) == six.panels[0] for top in tops)


def test_every_panel_is_a_picture_of_its_own_prompt(webui, six) -> None:
    for action, text in zip(ACTIONS, six.infotexts, strict=True):
        assert text.startswith(f"a knight {action}\n")
    assert "LAFI" not in six.infotexts[0]
    plain = webui.generate(prompt="a knight walking")
    assert plain.picture == six.panels[0]


def test_what_the_first_panel_left_is_replayed_from_the_second_on(webui, six) -> None:
    reports = [report(webui, text) for text in six.infotexts[1:]]
    passes = [each["passes"][0] for each in reports]
    assert [each["recorded"] for each in passes] == [0] * 5
    assert all(each["replayed"] and each["injected"] for each in passes)
    assert len(shown(webui, six.infotexts[1:])) == 1
    assert [each["references"][0]["own"] for each in reports] == [{"first": "used"}] * 5


def test_the_same_again_gives_the_same_pixels(webui, six) -> None:
    webui.clear_bank()
    again = tell(webui, {"panels": SIX, "columns": 3, "title": "A knight's day"})
    assert again.panels == six.panels
    assert again.page == six.page


def test_a_panel_of_another_size_sees_the_first_ones_picture(webui, six) -> None:
    """What that left is of its own size."""
    size = {"width": webui.size + 64, "height": webui.size}
    line = f"running --size {size['width']}x{size['height']}"
    made = tell(webui, {"panels": f"walking\n{line}"})
    told = report(webui, made.infotexts[1])
    assert told["references"][0]["own"] == {"first": "it was made with another size"}
    buffer = io.BytesIO()
    Image.fromarray(six.panels[0].pixels).save(buffer, "PNG")
    image = base64.b64encode(buffer.getvalue()).decode()
    payload = {"prompt": "a knight running", "seed": six.seeds[1], **size}
    assert webui.generate({"image": image}, **payload).picture == made.panels[1]


def test_each_panel_may_be_the_next_ones_reference(webui, six) -> None:
    made = tell(webui, {"panels": SIX, "reference": "last"})
    assert made.panels[0] == six.panels[0]
    # It is recorded here, too, so that its rows may be added up in another order.
    assert made.panels[1].distance(six.panels[1]) < ROUNDING
    assert made.panels[2] != six.panels[2]
    assert len(shown(webui, made.infotexts[1:])) == 5
    passes = [report(webui, text)["passes"][0] for text in made.infotexts[1:]]
    assert all(each["replayed"] for each in passes)


def test_options_of_a_line(webui) -> None:
    wide = webui.size + 64
    panels = f"one --size {wide}x{webui.size} --seed 5 --steps 3\ntwo --enabled false"
    made = tell(webui, {"panels": panels})
    assert made.panels[0].pixels.shape[:2] == (webui.size, wide)
    assert "Steps: 3" in made.infotexts[0]
    assert "LAFI" not in made.infotexts[1]
    assert made.seeds[0] == 5


def test_a_loaded_reference(webui) -> None:
    made = tell(webui, {"panels": "one\ntwo", "reference": "loaded"}, {"image": REFERENCE})
    assert len(shown(webui, made.infotexts)) == 1
    assert "LAFI reference" in made.text


def test_img2img(webui) -> None:
    start = {"init_images": [REFERENCE], "denoising_strength": 0.8}
    made = tell(webui, {"panels": "one\ntwo"}, route="img2img", **start)
    assert len(made.panels) == 2
    assert report(webui, made.infotexts[1])["error"] is None


def test_progress_is_over_the_whole_and_an_interrupt_keeps_what_is_done(webui, six) -> None:
    story = {"panels": SIX, "columns": 3}
    payload = {"prompt": "a knight", "script_name": NAME, "script_args": [story]}
    with webui.generating(**payload) as answers:
        state = webui.get("/sdapi/v1/progress?skip_current_image=true")["state"]
        while state["job_count"] and state["job_no"] < 2:
            state = webui.get("/sdapi/v1/progress?skip_current_image=true")["state"]
        webui.post("/sdapi/v1/interrupt")
    assert state["job_count"] == 6
    made = Story(answers[0].body)
    assert 2 <= len(made.panels) < 6
    assert made.panels[:2] == six.panels[:2]
    assert made.page is not None
    assert webui.generate(prompt="a knight walking").picture == six.panels[0]


@pytest.mark.parametrize(
    ("story", "named"),
    [
        ({"panels": "good\nbad --sed 5\ngood\nbad --steps x"}, ["line 2", "line 4"]),
        ({"panels": "bad --sampler_name Nobody"}, ["line 1"]),
        ({"panels": ""}, ["panels"]),
        ({"panels": "a", "colums": 2}, ["colums"]),
        ({"panels": "a", "pdf": True}, ["pdf"]),
        ({"panels": "a", "reference": "loaded", "border": -1}, ["border"]),
        ({"panels": "a\nb --strength 1", "reference": "loaded"}, ["line 2"]),
        ({"panels": "a --depth 40\nb"}, ["line 1"]),
    ],
)
def test_wrong_input_is_named_and_nothing_is_made(webui, story, named) -> None:
    before = webui.last_run()
    answer = webui.request(script_name=NAME, script_args=[story])
    assert answer.status == 422, answer
    assert [each["loc"][0] for each in answer.body["detail"]] == named
    assert webui.last_run() == before
