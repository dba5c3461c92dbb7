"""The library of characters: what lies in it, and what a hostile name or file can do."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lafi.errors import LafiError

from .host import WebUI, reference
from .test_api import app_of_host, lafi_routes, picture

HOSTILE_NAMES = (
    "", " ", ".", "..", "../anna", "..\\anna", "/etc/passwd", "C:anna", "a/b", "a\\b", "a.b",
    ".anna", "anna.", " anna", "anna ", "anna\0", "anna\n", "an\u202ena", "\ud800", "con", "NUL",
    "com1", "Lpt9", "a:b", "a>b", "a<b", "a=b", "a,b", "a|b", "a*b", "a?b", 'a"b', "a'b", "a%2fb",
    "com\u00b9", "\uff23\uff2f\uff2e",
    "~", "$HOME", "a" * 65, "\u00e9" * 64 + "xx", "{a}", "[a]", "a;b", "a&b", "a`b", "\u200b",
)  # fmt: skip
GOOD_NAMES = ("anna", "Anna 2", "anna-side_view", "Änne", "\u82b1\u5b50", "bob (old)", "x+y!", "7")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The library's folder of this WebUI."""
    from modules import shared

    shared.cmd_opts.lafi_dir = str(tmp_path / "LAFI")
    yield tmp_path / "LAFI"
    shared.reset()


def library() -> Any:
    from lafi.webui.characters.folder import library as of_host

    return of_host()


def call(method: str, name: str = "", body: Any = None) -> tuple[int, Any]:
    """Status and answer of a route."""
    path = "/lafi/v1/characters" + ("/{name}" if name else "")
    endpoint = lafi_routes(app_of_host())[f"{method} {path}"].endpoint
    given = ([name] if name else []) + ([body] if method == "PUT" else [])
    answer = endpoint(*given)
    json.dumps(getattr(answer, "content", answer), ensure_ascii=False, allow_nan=False).encode()
    return getattr(answer, "status_code", 200), getattr(answer, "content", answer)


def add(folder: Path, path: str, colour: Any = (200, 40, 60)) -> Path:
    """A picture that a user puts there."""
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    reference(colour).save(place)
    return place


def white() -> str:
    """A mask that keeps all."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def problems() -> dict[str, str]:
    return {each["name"]: each["problem"] for each in call("GET")[1]}


# ---- what lies there --------------------------------------------------------------------------


def test_without_a_folder_the_library_is_empty(folder: Path) -> None:
    assert call("GET") == (200, [])
    status, answer = call("GET", "anna")
    assert (status, answer[0]["msg"]) == (
        404,
        "there is no character 'anna'; the library is empty.",
    )


def test_pictures_and_folders_of_views_are_characters(folder: Path) -> None:
    add(folder, "bob.jpg")
    add(folder, "anna/front.png")
    add(folder, "anna/side.webp")
    add(folder, "anna/front.mask.png", (255, 255, 255))
    add(folder, "comic/old ones/carl.png")
    add(folder, "comic/old ones/dora.jpeg")
    add(folder, "bob.preview.png")
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.png").write_text("not one")
    found = library().characters()
    # A folder with pictures in it is a character; one with folders only sorts them.
    assert {each.name: len(each.views) for each in found} == {"anna": 2, "bob": 1, "old ones": 2}
    assert set(problems().values()) == {""}
    anna = library().find("anna")
    assert [each.path.name for each in anna.views] == ["front.png", "side.webp"]
    assert [each.mask and each.mask.name for each in anna.views] == ["front.mask.png", None]
    assert library().find("bob").preview.name == "bob.preview.png"
    assert anna.preview.name == "front.png"


def test_names_differ_by_case_only_where_both_exist(folder: Path) -> None:
    add(folder, "anna.png")
    assert library().find("ANNA").name == "anna"
    add(folder, "Anna.png", (1, 2, 3))
    if len(list(folder.iterdir())) == 2:  # else the system takes both for one
        assert library().find("Anna").base.name == "Anna"


def test_an_accent_apart_from_its_letter_is_the_same_name(folder: Path) -> None:
    add(folder, "Ane\u0301.png")
    assert library().find("An\u00e9").name == "An\u00e9"


def test_a_bad_file_is_listed_and_the_others_work(folder: Path, tmp_path: Path) -> None:
    add(folder, "good.png")
    (folder / "text.png").write_text("no picture")
    whole = add(folder, "short.png").read_bytes()
    (folder / "short.png").write_bytes(whole[: len(whole) // 2])
    add(folder, "an.na.png")
    add(folder, "twice.png")
    add(folder, "twice.jpg")
    add(folder, "note.png")
    (folder / "note.json").write_text("{")
    add(folder, "heavy.png")
    (folder / "heavy.json").write_text('{"preferred weight": 9}')
    add(folder, "mask.png")
    (folder / "mask.mask.png").write_bytes(b"")
    outside = tmp_path / "secret.png"
    reference().save(outside)
    (folder / "link.png").symlink_to(outside)
    (folder / "far").symlink_to(tmp_path)
    (folder / "gone.png").symlink_to(tmp_path / "gone")
    os.mkfifo(folder / "pipe.png")
    (folder / "dir" / "front.png").mkdir(parents=True)
    (folder / "round.png").symlink_to("round.png")
    (folder / "circle").symlink_to("circle")
    said = problems()
    for name, words in {
        "text": "cannot be read", "short": "cannot be read", "an.na": "its name may hold",
        "twice": "more than one", "note": "is not JSON", "heavy": "preferred weight: must be",
        "mask": "mask.mask.png", "link": "leads out", "far": "leads out", "gone": "No such file",
        "pipe": "no file", "dir": "no file", "round": "symbolic links",
    }.items():  # fmt: skip
        assert words in said.pop(name)
    assert said == {"good": "", **dict.fromkeys(said.keys() - {"good"}, said.get("twice"))}
    assert call("GET", "good")[0] == 200
    for name in ("text", "link", "note", "pipe", "twice"):
        with pytest.raises(LafiError, match=name) as failure:
            library().find(name)
        assert failure.value.code == "bad_character"
        assert call("GET", name)[0] == 422


def test_a_file_that_is_mended_is_read_again(folder: Path) -> None:
    folder.mkdir()
    (folder / "anna.png").write_text("no picture")
    assert "cannot be read" in problems()["anna"]
    add(folder, "anna.png")
    assert problems() == {"anna": ""}


def test_the_library_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert call("PUT", "anna", {"image": picture()})[0] == 200
    assert (tmp_path / "elsewhere" / "anna.png").exists()


@pytest.mark.parametrize(("about", "field"), [
    ([], "metadata"), ({"description": 5}, "description"), ({"lafi": []}, None),
    ({"lafi": 3}, "lafi"), ({"lafi": {"depth": 5}}, "lafi.depth"), ({"notes": "\ud800"}, "notes"),
    ({"lafi": {"prompt": 3}}, "lafi.prompt"), ({"preferred weight": True}, "preferred weight"),
    ({"preferred weight": float("nan")}, "preferred weight"), ({"x": float("inf")}, "metadata"),
    ({"x": "\udfff"}, "metadata"), ({"x": 10**5000}, "metadata"),
    ({"x": json.loads("[" * 40 + "]" * 40)}, "metadata"), ({"notes": "x" * 2**20}, "metadata"),
    ({"preferred weight": 0, "activation text": None, "x": {"y": [1]}}, None),
], ids=lambda value: str(type(value).__name__))  # fmt: skip
def test_metadata_is_looked_at(folder: Path, about: Any, field: str | None) -> None:
    status, answer = call("PUT", "anna", {"image": picture(), "metadata": about})
    assert status == (200 if field is None else 422)
    if field is not None:
        assert [each["loc"] for each in answer] == [[field]]
        assert not folder.exists()


# ---- names ------------------------------------------------------------------------------------


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


# ---- put, get, delete -------------------------------------------------------------------------


def test_what_was_put_comes_back(folder: Path) -> None:
    about = {"activation text": "red coat", "preferred weight": 1.5, "lafi": {"region": "left"}}
    status, answer = call("PUT", "anna", {"image": picture(), "metadata": about})
    assert (status, answer) == (
        200, {"name": "anna", "views": 1, "metadata": about, "problem": ""},
    )  # fmt: skip
    got = call("GET", "anna")[1]
    assert got["metadata"] == about
    again = call("PUT", "copy", {key: got[key] for key in ("image", "mask", "metadata")})
    assert again[0] == 200
    assert call("GET", "copy")[1]["hash"] == got["hash"]


def test_the_hash_is_the_one_that_a_run_writes(folder: Path, a1111: WebUI) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (10, 10, 50, 60))
    from lafi.webui.characters import writing

    writing.save(library(), "anna", [(reference(), mask)], None)
    a1111.txt2img({"image": reference(), "mask": mask})
    assert call("GET", "anna")[1]["hash"] == a1111.last_run["references"][0]["hash"]


def test_metadata_and_pictures_change_by_themselves(folder: Path) -> None:
    call("PUT", "anna", {"image": picture(), "metadata": {"notes": "a"}})
    before = call("GET", "anna")[1]["hash"]
    assert call("PUT", "anna", {"metadata": {"notes": "b", "theirs": 1}})[0] == 200
    got = call("GET", "anna")[1]
    assert (got["hash"], got["metadata"]) == (before, {"notes": "b", "theirs": 1})
    assert call("PUT", "anna", {"image": [picture(), picture()], "mask": [None, white()]})[0] == 200
    got = call("GET", "anna")[1]
    assert (got["views"], got["metadata"]["notes"]) == (2, "b")
    assert got["hash"] != before
    assert not (folder / "anna.png").exists()
    assert call("PUT", "anna", {"image": picture()})[0] == 200
    assert sorted(each.name for each in folder.iterdir()) == ["anna.json", "anna.png"]


def test_a_sorted_character_stays_where_it_is(folder: Path) -> None:
    add(folder, "comic/anna/front.png")
    assert call("PUT", "anna", {"metadata": {"notes": "x"}})[0] == 200
    assert (folder / "comic" / "anna.json").exists()
    assert call("DELETE", "anna")[0] == 200
    assert list((folder / "comic").iterdir()) == []


def test_deleting_leaves_what_is_not_the_characters(folder: Path) -> None:
    add(folder, "anna/front.png")
    add(folder, "anna.preview.png")
    (folder / "anna" / "sketch.psd").write_text("mine")
    (folder / "anna.txt").write_text("mine")
    assert call("DELETE", "anna")[0] == 200
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*")) == [
        "anna", "anna.txt", "anna/sketch.psd",
    ]  # fmt: skip
    assert call("DELETE", "anna")[0] == 404


def test_nothing_is_written_through_a_link(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    add(outside, "front.png")
    add(tmp_path, "one.png")
    folder.mkdir()
    (folder / "anna").symlink_to(outside)
    (folder / "bob.png").symlink_to(tmp_path / "one.png")
    before = {each: each.read_bytes() for each in (outside / "front.png", tmp_path / "one.png")}
    assert call("PUT", "anna", {"image": [picture(), picture()]})[0] == 422
    assert call("DELETE", "anna")[0] == 422
    assert call("PUT", "bob", {"image": picture()})[0] == 200
    assert not (folder / "bob.png").is_symlink()
    assert {each: each.read_bytes() for each in before} == before


def test_a_name_of_another_case_is_refused(folder: Path) -> None:
    call("PUT", "anna", {"image": picture()})
    status, answer = call("PUT", "Anna", {"image": picture()})
    assert (status, answer[0]["msg"]) == (422, "differs from anna in upper and lower case only")


@pytest.mark.parametrize(("body", "field"), [
    (None, "body"), ([], "body"), ("text", "body"), ({}, "body"), ({"image": None}, "body"),
    ({"images": ""}, "images"), ({"image": ""}, "image"), ({"image": 5}, "image"),
    ({"image": []}, "image"), ({"image": {}}, "image"), ({"image": [""]}, "image"),
    ({"image": "/etc/passwd"}, "image"), ({"image": "http://127.0.0.1/x.png"}, "image"),
    ({"mask": "x"}, "mask"), ({"metadata": 5}, "metadata"), ({"\ud800": 1}, "\\ud800"),
    ({"metadata": {"notes": "new, without a picture"}}, "image"),
    ({"image": "PICTURE", "mask": 5}, "mask"), ({"image": "PICTURE", "mask": "x"}, "mask"),
    ({"image": "PICTURE", "mask": [None, None]}, "mask"), ({"image": ["PICTURE"] * 17}, "image"),
    ({"image": ["PICTURE", "x"]}, "image"), ({"image": "PICTURE", "mask": "PICTURE"}, "mask"),
], ids=ascii)  # fmt: skip
def test_a_bad_request_names_its_field_and_writes_nothing(
    folder: Path, body: Any, field: str
) -> None:
    if isinstance(body, dict):
        known = {"PICTURE": picture()}
        body = {
            key: [known.get(each, each) for each in value]
            if isinstance(value, list)
            else known.get(value, value)
            if isinstance(value, str)
            else value
            for key, value in body.items()
        }
    status, answer = call("PUT", "anna", body)
    assert status == 422
    assert [each["loc"] for each in answer] == [[field]]
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_picture_whole(folder: Path, monkeypatch: Any) -> None:
    call("PUT", "anna", {"image": picture()})
    before = (folder / "anna.png").read_bytes()

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    status, answer = call("PUT", "anna", {"image": picture()})
    assert status == 422
    assert "cannot be changed: No space left on device" in answer[0]["msg"]
    assert (folder / "anna.png").read_bytes() == before
    assert [each.name for each in folder.iterdir()] == ["anna.png"]


def test_a_picture_is_saved_without_what_else_its_file_held(folder: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    held = PngInfo()
    held.add_text("parameters", "a secret prompt")
    buffer = io.BytesIO()
    reference().save(buffer, "PNG", pnginfo=held)
    call("PUT", "anna", {"image": base64.b64encode(buffer.getvalue()).decode()})
    assert b"secret" not in (folder / "anna.png").read_bytes()


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["image", "mask", "metadata", "lafi", "preferred weight"]), inner
        )
    ),
    max_leaves=5,
)


@given(body=ANY_JSON, name=st.sampled_from(["anna", "..", "b b"]))
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_body_gets_an_answer(folder: Path, body: Any, name: str) -> None:
    assert call("PUT", name, body)[0] == 422
    assert not folder.exists() or list(folder.iterdir()) == []
