"""A storyboard of two characters of the library, over the API of a running WebUI."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from .pictures import ANNA, BOB
from .test_storyboard import ACTIONS, Story, report, tell

pytestmark = pytest.mark.usefixtures("library")
BOTH = f"<lafi:{ANNA}::left> <lafi:{BOB}::right>"
SIX = "\n".join(f'{each} {BOTH} --caption "{each}."' for each in ACTIONS)


@pytest.fixture(scope="module")
def six(webui) -> Story:
    """Six panels with both, from an empty bank."""
    webui.clear_bank()
    return tell(webui, {"panels": SIX, "columns": 3, "title": "Two"})


def test_both_are_in_every_panel(webui, six) -> None:
    assert len(set(six.panels)) == 6
    for text in six.infotexts:
        assert f'LAFI characters: "{ANNA} ' in text
        told = report(webui, text)
        assert [each["name"] for each in told["references"]] == [ANNA, BOB]
        assert all(each["own"] == {} for each in told["references"])
        assert told["error"] is None


def test_both_are_recorded_once_and_replayed_from_the_second_panel_on(webui, six) -> None:
    passes = [report(webui, text)["passes"][0] for text in six.infotexts]
    assert [each["recorded"] > 0 for each in passes] == [True, *[False] * 5]
    for each in passes[1:]:
        assert [one["replayed"] > 0 for one in each["references"]] == [True, True]


def test_the_same_again_gives_the_same_pixels(webui, six) -> None:
    """Also after a restart of the WebUI, if ``LAFI_E2E_HASHES`` names a file that an earlier call
    of the tests has written."""
    webui.clear_bank()
    again = tell(webui, {"panels": SIX, "columns": 3, "title": "Two"})
    assert again.panels == six.panels
    assert again.page == six.page
    made = "\n".join(
        hashlib.sha256(each.pixels.tobytes()).hexdigest() for each in (six.page, *six.panels)
    )
    if name := os.environ.get("LAFI_E2E_HASHES"):
        if Path(name).exists():
            assert Path(name).read_text() == made
        Path(name).write_text(made)


def test_a_panel_without_a_tag_sees_the_first_panel(webui) -> None:
    panels = f"walking <lafi:{ANNA}>\nrunning\nsitting <lafi:{BOB}>"
    made = tell(webui, {"panels": panels})
    first, second, third = (report(webui, text)["references"] for text in made.infotexts)
    assert [each["name"] for each in first] == [ANNA]
    assert [each["own"] for each in second] == [{"first": "used"}]
    assert [each["name"] for each in third] == [BOB]


@pytest.mark.parametrize(
    ("panels", "hires", "named"),
    [
        (f"a <lafi:{ANNA}>\nb <lafi:{ANNA}x>", "", ["line 2"]),
        (f"a <lafi:{ANNA}:1> --strength 2", "", ["line 1"]),
        ("a\nb", f"<lafi:{BOB}x>", ["line 1"]),
    ],
)
def test_wrong_tags_are_named_before_anything_is_made(webui, panels, hires, named) -> None:
    before = webui.last_run()
    story: dict[str, Any] = {"script_name": "lafi storyboard", "script_args": [{"panels": panels}]}
    if hires:
        story |= {"enable_hr": True, "hr_prompt": hires, "hr_upscaler": "None"}
    answer = webui.request(prompt="a knight", **story)
    assert answer.status == 422, answer
    assert [each["loc"][0] for each in answer.body["detail"]] == named
    assert webui.last_run() == before
