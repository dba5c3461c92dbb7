"""Adding, changing and removing characters: over the API, whole or not at all."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from .host import WebUI, reference
from .shelf import add, call, library, white
from .test_api import picture


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


def test_a_name_of_another_case_is_the_same_for_all_methods(folder: Path) -> None:
    call("PUT", "anna", {"image": picture()})
    status, answer = call("PUT", "ANNA", {"image": [picture(), picture()]})
    assert (status, answer["name"], answer["views"]) == (200, "anna", 2)
    assert call("GET", "Anna")[1]["views"] == 2
    assert [each.name for each in folder.iterdir()] == ["anna"]
    assert call("DELETE", "aNNa") == (200, {"deleted": "anna"})
    assert list(folder.iterdir()) == []


def test_two_names_that_differ_by_case_are_two(folder: Path) -> None:
    add(folder, "anna.png")
    add(folder, "Anna.png", (1, 2, 3))
    if len(list(folder.iterdir())) < 2:
        return  # the system takes both for one
    for method in ("GET", "PUT", "DELETE"):
        status, answer = call(method, "ANNA", {"image": picture()})
        assert (status, "more than one" in answer[0]["msg"]) == (422, True)
    assert call("DELETE", "Anna") == (200, {"deleted": "Anna"})
    assert [each.name for each in folder.iterdir()] == ["anna.png"]


def test_an_old_file_that_only_differs_by_case_does_not_take_the_new_one_along(
    folder: Path, monkeypatch: Any
) -> None:
    """Where upper and lower case are the same, ``anna.PNG`` and ``anna.png`` are one file."""
    add(folder, "anna.PNG")
    rename, replace, unlink = Path.rename, Path.replace, Path.unlink

    def alike(path: Path) -> Path:
        there = {each.name.casefold(): each for each in path.parent.iterdir()}
        return there.get(path.name.casefold(), path)

    monkeypatch.setattr(Path, "rename", lambda path, to: rename(alike(path), alike(to)))
    monkeypatch.setattr(Path, "replace", lambda path, to: replace(alike(path), alike(to)))
    monkeypatch.setattr(Path, "unlink", lambda path, **kwargs: unlink(alike(path), **kwargs))
    about = call("PUT", "anna", {"image": picture()})[1]
    assert (about["views"], about["problem"]) == (1, "")
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_sorts_others_is_not_made_a_character(folder: Path) -> None:
    add(folder, "comic/heroes/front.png")
    add(folder, "comic.png")
    for name in ("comic", "COMIC"):
        status, answer = call("PUT", name, {"image": [picture(), picture()]})
        assert status == 422
        assert answer[0]["msg"] == "is a folder that sorts other characters (heroes)"
    assert {each["name"] for each in call("GET")[1]} >= {"comic", "heroes"}
    assert call("PUT", "comic", {"image": picture()})[0] == 200
    (folder / "empty").mkdir()
    assert call("PUT", "empty", {"image": [picture(), picture()]})[1]["views"] == 2


def test_old_views_that_cannot_be_removed_stay_and_no_second_one_comes(
    folder: Path, monkeypatch: Any
) -> None:
    add(folder, "anna/front.png")
    add(folder, "anna/side.png", (1, 2, 3))
    before = call("GET", "anna")[1]
    rename = Path.rename

    def held(path: Path, to: Path) -> Path:
        if path.name == "side.png":
            raise PermissionError(13, "Permission denied")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", held)
    status, answer = call("PUT", "anna", {"image": picture()})
    assert (status, "Permission denied" in answer[0]["msg"]) == (422, True)
    assert call("GET", "anna")[1] == before
    assert [each.name for each in folder.iterdir()] == ["anna"]


def test_an_empty_folder_that_stays_is_no_second_character(
    folder: Path, monkeypatch: Any, caplog: Any
) -> None:
    add(folder, "anna/front.png")

    def busy(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rmdir", busy)
    assert call("PUT", "anna", {"image": picture()})[1]["problem"] == ""
    assert [each["name"] for each in call("GET")[1]] == ["anna"]
    assert "the empty folder of a character stays" in caplog.text


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
