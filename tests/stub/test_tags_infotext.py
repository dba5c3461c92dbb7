"""What a picture made with tags says of them, and what pasting that text answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lafi.errors import LafiError

from .host import WebUI, reference
from .tagging import GREEN, RED, digest, made

pytestmark = pytest.mark.usefixtures("anna")


def test_the_infotext_names_characters_and_no_reference(a1111: WebUI) -> None:
    said = made(a1111, "x <lafi:anna>").infotexts[0]
    assert said["LAFI characters"] == f"anna {digest('anna')}"
    assert "LAFI reference" not in said
    both = made(a1111, "x <lafi:anna:0>", {"image": reference(GREEN)}).infotexts[0]
    assert both["LAFI reference"] == digest("bob")
    assert "LAFI characters" not in both


def test_the_hash_is_of_the_picture_as_it_is_used(a1111: WebUI) -> None:
    said = made(a1111, "x <lafi:anna>", {"enabled": False, "cutout": "off"}).infotexts[0]
    assert said["LAFI characters"] == f"anna {digest('anna', 'off')}"
    assert digest("anna", "off") != digest("anna")


def pasted(params: dict[str, str]) -> dict[str, Any]:
    from lafi.webui import infotext

    params = dict(params)
    infotext.on_infotext_pasted("", params)
    return params


def test_pasting_a_picture_of_tags_leaves_the_accordion_off(a1111: WebUI) -> None:
    assert pasted(made(a1111, "x <lafi:anna>").infotexts[0])["LAFI enabled"] == "False"
    loaded = made(a1111, "x", {"image": reference(RED)}).infotexts[0]
    assert pasted(loaded)["LAFI enabled"] == "True"


@pytest.mark.parametrize(("change", "words"), [
    (lambda folder: None, ""),
    (lambda folder: reference(GREEN).save(folder / "anna.png"), "anna has changed since"),
    (lambda folder: (folder / "anna.png").unlink(), "anna is not in the library any more"),
    (lambda folder: (folder / "anna.png").write_bytes(b"x"), "anna cannot be used any more"),
])  # fmt: skip
def test_pasting_tells_what_has_changed(a1111: WebUI, anna: Path, change: Any, words: str) -> None:
    from lafi.webui.characters import pasting

    params = made(a1111, "x <lafi:anna>").infotexts[0]
    change(anna)
    note = pasting.note(params)
    assert words in note
    assert bool(note) == bool(words)


def test_pasting_tells_whose_picture_the_reference_is(a1111: WebUI) -> None:
    from lafi.webui.characters import pasting

    params = {"LAFI version": "1", "LAFI reference": digest("bob")}
    assert pasting.note(params) == "It is bob of the library: press Find by hash."
    assert pasting.note(params | {"LAFI cutout": "off"}) == ""


def test_any_pasted_text_is_answered(a1111: WebUI) -> None:
    from lafi.webui.characters import pasting

    for text in ("", "anna", " ", ",", "anna 1, ", "../x 1", "a b c", "\0 \0"):
        pasting.note({"LAFI characters": text, "LAFI version": "1"})


def test_a_tag_parses_from_any_text() -> None:
    from lafi.webui.characters import tags

    for text in ("=", "a=b=c", "::::", "1:2:3", "strength=x:region=", "a:\ud800"):
        with pytest.raises(LafiError):
            tags.parse(text.split(":"))
    assert tags.parse([""]).name == tags.parse(["strength=", "region="]).name == ""


def test_the_network_is_registered_once_for_each_start(a1111: WebUI) -> None:
    from modules import extra_networks, script_callbacks

    script_callbacks.run("before_ui")
    assert list(extra_networks.extra_network_registry) == ["lafi"]
    network = extra_networks.extra_network_registry["lafi"]
    network.activate(SimpleNamespace(), [])
    network.deactivate(SimpleNamespace())


@pytest.mark.parametrize(("text", "called"), [
    ("a knight", False), ("<lafi:anna>", True), ("x <LAFI:anna:0> y", False),
    ("<lafi:anna:strength=0:left>", False), ("<lafi:anna:0> <lafi:bob:1>", True),
    ("<lafi:anna:0.0:left> <lora:x:1>", False), ("<lafi", True), ("<lafi:anna:high>", True),
])  # fmt: skip
def test_whether_a_text_calls_anyone(text: str, called: bool) -> None:
    from lafi.webui.characters import tags

    assert tags.calls(text) is called
