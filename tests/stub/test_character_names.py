"""Names of characters: good ones are taken, hostile ones reach no file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lafi.errors import LafiError

from .shelf import add, call, library
from .test_api import picture

HOSTILE_NAMES = (
    "", " ", ".", "..", "../anna", "..\\anna", "/etc/passwd", "C:anna", "a/b", "a\\b", "a.b",
    ".anna", "anna.", " anna", "anna ", "anna\0", "anna\n", "an\u202ena", "\ud800", "con", "NUL",
    "com1", "Lpt9", "a:b", "a>b", "a<b", "a=b", "a,b", "a|b", "a*b", "a?b", 'a"b', "a'b", "a%2fb",
    "com\u00b9", "\uff23\uff2f\uff2e",
    "~", "$HOME", "a" * 65, "\u00e9" * 64 + "xx", "{a}", "[a]", "a;b", "a&b", "a`b", "\u200b",
)  # fmt: skip
GOOD_NAMES = ("anna", "Anna 2", "anna-side_view", "Änne", "\u82b1\u5b50", "bob (old)", "x+y!", "7")


@pytest.mark.parametrize("name", GOOD_NAMES, ids=ascii)
def test_a_good_name_is_taken_and_found(folder: Path, name: str) -> None:
    assert call("PUT", name, {"image": picture()})[0] == 200
    assert [each.name for each in folder.iterdir()] == [f"{name}.png"]
    assert call("GET", name)[1]["name"] == name
    assert call("DELETE", name) == (200, {"deleted": name})
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_a_hostile_name_reaches_no_file(folder: Path, name: str, monkeypatch: Any) -> None:
    from lafi.webui.characters import api

    folder.mkdir()
    monkeypatch.setattr("builtins.open", None)
    for answer in (api.get(name), api.put(name, {"image": picture()}), api.delete(name)):
        assert answer.status_code == 422
        assert [each["loc"] for each in answer.content] == [["name"]]
        json.dumps(answer.content, ensure_ascii=False).encode()
    assert list(folder.iterdir()) == []
    assert [each.name for each in folder.parent.iterdir()] == ["LAFI"]


@given(name=st.text(st.characters(), max_size=80) | st.sampled_from(HOSTILE_NAMES))
@settings(max_examples=300, deadline=None)
def test_a_name_is_one_part_of_a_path_or_none(name: str) -> None:
    from lafi.webui.characters import names

    if names.check(name):
        return
    for end in (".png", ".json", ".mask.png", ".preview.png"):
        path = Path("/root") / (name + end)
        assert path.parent == Path("/root")
        assert path.name == name + end
        assert len(path.name.encode()) < 256
    assert not set(name) & set("/\\:<>=,.|*?\"'&%`\0")
    names.shown(name).encode()


@given(name=st.text(st.characters(), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_name_can_be_shown(name: str) -> None:
    from lafi.webui.characters import names

    names.shown(name).encode()


def test_near_names_are_told(folder: Path) -> None:
    for name in ("anna", "hannah", "bob"):
        add(folder, f"{name}.png")
    with pytest.raises(LafiError, match="did you mean anna or hannah") as failure:
        library().find("ana")
    assert failure.value.code == "unknown_character"
    with pytest.raises(LafiError, match="known are anna, bob, hannah"):
        library().find("zzzzzz")
