"""Tags where others write the prompt: X/Y/Z plots and the faces that ADetailer redraws."""

from __future__ import annotations

from typing import Any

import pytest

from .client import Picture
from .matrix.neighbours import adetailer
from .pictures import ANNA, BOB

pytestmark = pytest.mark.usefixtures("library")
PROMPT = "a knight walking in a forest"


def one(webui, name: str) -> Picture:
    picture: Picture = webui.generate(prompt=f"{PROMPT}<lafi:{name}>").picture
    return picture


def grid(webui, axis: str, values: str) -> dict[str, Any]:
    """A request for an X/Y/Z plot along one axis."""
    scripts = webui.get("/sdapi/v1/script-info")
    found = [each for each in scripts if each["name"] == "x/y/z plot" and not each["is_img2img"]]
    if not found:
        pytest.skip("the host has no X/Y/Z plot")
    args = found[0]["args"]
    labels, given = [arg["label"] for arg in args], [arg["value"] for arg in args]
    given[labels.index("X type")] = args[labels.index("X type")]["choices"].index(axis)
    given[labels.index("X values")] = values
    for other in ("Y type", "Z type"):
        given[labels.index(other)] = 0
    given[labels.index("Draw legend")] = False
    given[labels.index("Include Sub Images")] = True
    return {"script_name": "x/y/z plot", "script_args": given}


def test_a_plot_replaces_a_character(webui) -> None:
    """Prompt S/R: whose tag stands in the prompt."""
    asked = grid(webui, "Prompt S/R", f"{ANNA}, {BOB}")
    answer = webui.request(prompt=f"{PROMPT}<lafi:{ANNA}>", **asked)
    assert answer.status == 200, answer
    first, second = (Picture.decode(each) for each in answer.body["images"][-2:])
    assert first == one(webui, ANNA)
    assert second == one(webui, BOB)
    assert first != second


def test_a_plot_replaces_a_strength(webui) -> None:
    tags = [f"<lafi:{ANNA}:{strength}>" for strength in ("0", "1")]
    answer = webui.request(prompt=PROMPT + tags[0], **grid(webui, "Prompt S/R", ", ".join(tags)))
    assert answer.status == 200, answer
    first, second = (Picture.decode(each) for each in answer.body["images"][-2:])
    assert first == webui.generate(prompt=PROMPT).picture
    assert second == webui.generate(prompt=PROMPT + tags[1]).picture


def test_the_face_pass_gets_the_faces_character(webui) -> None:
    """A tag in ADetailer's own prompt acts in the faces alone, without LAFI in its list."""
    if not any(each["name"] == "adetailer" for each in webui.get("/sdapi/v1/script-info")):
        pytest.skip("the host has no ADetailer")
    values = adetailer(ad_prompt=f"a face <lafi:{BOB}>")
    args = [values.get(n, False) for n in range(max(n for n in values if isinstance(n, int)) + 1)]
    scripts = {"ADetailer": {"args": args}}
    made = webui.generate(prompt=f"{PROMPT}<lafi:{ANNA}>", alwayson_scripts=scripts)
    (outer, inner) = made.run, made.run["inner"]
    assert [each["name"] for each in outer["references"]] == [ANNA]
    assert inner
    for run in inner:
        assert [each["name"] for each in run["references"]] == [BOB]
        assert run["passes"][0]["injected"] > 0
