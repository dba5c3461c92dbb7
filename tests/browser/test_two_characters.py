"""Two characters in one picture on a running WebUI's page: the loaded one, and one by its tag."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

LEFT, RIGHT = [0, 0.5, 0, 1], [0.5, 1, 0, 1]


@pytest.fixture
def other(character, tmp_path):
    """Another character, in the library."""
    path = tmp_path / "other.png"
    picture = Image.new("RGB", (160, 160), "#f0e8c0")
    ImageDraw.Draw(picture).rectangle((50, 20, 110, 150), fill="#2050a0")
    picture.save(path)
    return character(path)


def acted(api):
    """The references that acted, by their region, and in how many evaluations of the one pass."""
    answer = api.ask("GET", "/lafi/v1/last-run")
    assert answer.status == 200, answer
    report = answer.body
    [made] = report["passes"]
    counts = {each["name"]: each["injected"] for each in made["references"]}
    return {
        tuple(each["region"]): (each["name"], counts[each["hash"]])
        for each in report["references"]
        if each["acted"]
    }


def test_each_acts_in_its_own_region(api, open_page, reference, other, screenshots):
    page = open_page()
    page.prepare(f"two boys in a street, <lafi:{other}:1:right>")
    page.set("#txt2img_width input[type=number]", 256)
    page.enable()
    page.upload(reference)
    page.open_group()
    page.choose("region", "left")
    page.screenshot(screenshots, "two-characters")
    page.generate()
    assert page.error() == ""
    assert "LAFI region: left" in page.infotext()
    assert f"LAFI characters: {other}" in page.infotext()
    found = acted(api)
    assert found.keys() == {tuple(LEFT), tuple(RIGHT)}
    assert [found[tuple(each)][0] for each in (LEFT, RIGHT)] == ["", other]
    assert all(count > 0 for _, count in found.values())
    assert not page.script_errors()


def test_without_the_tag_only_the_loaded_one_acts(api, open_page, reference):
    page = open_page()
    page.prepare("two boys in a street")
    page.enable()
    page.upload(reference)
    page.open_group()
    page.choose("region", "left")
    page.generate()
    assert page.error() == ""
    assert acted(api).keys() == {tuple(LEFT)}
    assert "LAFI characters" not in page.infotext()
