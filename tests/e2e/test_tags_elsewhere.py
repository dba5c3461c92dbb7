"""Tags where others write the prompt: X/Y/Z plots, the faces that ADetailer redraws, and what
Dynamic Prompts chooses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .client import Picture, Result
from .matrix.neighbours import adetailer
from .pictures import ANNA, BOB, CHARACTERS

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


# ---- Dynamic Prompts --------------------------------------------------------------------------

CHOICE = f"{PROMPT}, {{<lafi:{ANNA}>|at night|<lafi:{BOB}>}}"
ALL = "Combinatorial generation"


def dynamic(webui, **values: Any) -> dict[str, Any]:
    """Dynamic Prompts' entry in a request, with values by the arguments' labels; it is on by
    itself."""
    scripts = [each for each in webui.get("/sdapi/v1/script-info") if not each["is_img2img"]]
    # Its version is part of its name.
    found = [each for each in scripts if each["name"].startswith("dynamic prompts")]
    if not found:
        pytest.skip("the host has no Dynamic Prompts")
    known = found[0]["args"]
    assert values.keys() <= {arg["label"] for arg in known}
    args = [values.get(arg["label"], arg["value"]) for arg in known]
    return {found[0]["name"]: {"args": args}}


def named(webui, made: Result) -> list[str]:
    """The character that each picture's prompt names, empty for none; the picture must be that
    character's, loaded by itself."""
    off = dynamic(webui, **{"Dynamic Prompts enabled": False})
    names = []
    for picture, text in zip(made.pictures, made.infotexts, strict=True):
        prompt, found = text.splitlines()[0], re.search(r"\bSeed: (\d+)", text)
        assert found, text
        rest, _, name = prompt.rstrip(">").partition("<lafi:")
        given = {"image": CHARACTERS[name]} if name else None
        alone = webui.generate(given, prompt=rest, seed=int(found[1]), alwayson_scripts=off)
        assert picture == alone.picture
        if name:
            digest = webui.library("GET", name).body["hash"]
            assert f"LAFI characters: {name} {digest}" in text
        else:
            assert "LAFI" not in text + alone.infotexts[0]
        names.append(name)
    return names


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        (CHOICE, [ANNA, "", BOB]),
        (f"{PROMPT}, <lafi:lafi e2e {{anna|bob}}>", [ANNA, BOB]),  # within the tag
    ],
)
def test_every_choice_is_the_character_that_it_names(webui, prompt, names) -> None:
    made = webui.generate(prompt=prompt, alwayson_scripts=dynamic(webui, **{ALL: True}))
    assert [each["name"] for each in made.run["references"]] == [name for name in names if name]
    assert named(webui, made) == names


def test_what_is_chosen_at_random_is_the_character_that_it_names(webui) -> None:
    made = webui.generate(prompt=CHOICE, n_iter=6, alwayson_scripts=dynamic(webui))
    shown = [each["name"] for each in made.run["references"]]
    assert sorted(shown) == sorted(set(named(webui, made)) - {""})


def test_different_choices_in_one_batch_are_refused(webui, plain) -> None:
    asked = dynamic(webui, **{ALL: True})
    answer = webui.request(prompt=CHOICE, batch_size=2, alwayson_scripts=asked)
    assert answer.status == 422, answer
    assert "call different characters" in str(answer.body)
    assert webui.generate().picture == plain().picture
