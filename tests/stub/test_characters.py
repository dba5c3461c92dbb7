"""The library of characters: what lies in it, and what a hostile file can do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lafi.errors import LafiError

from .host import reference
from .shelf import add, call, library, problems
from .test_api import picture


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
    assert library().preview(library().find("bob")).name == "bob.preview.png"
    assert library().preview(anna).name == "front.png"


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


def test_a_preview_that_leads_out_is_not_shown(folder: Path, tmp_path: Path) -> None:
    add(folder, "anna.png")
    (tmp_path / "secret.png").write_bytes(b"")
    (folder / "anna.preview.png").symlink_to(tmp_path / "secret.png")
    (folder / "anna.preview.txt").write_text("no picture")
    (folder / "anna.preview.gone.png").symlink_to(tmp_path / "gone")
    assert library().preview(library().find("anna")).name == "anna.png"
    assert problems()["anna"] == ""
    add(folder, "anna.preview.webp")
    assert library().preview(library().find("anna")).name == "anna.preview.webp"


@pytest.mark.parametrize("what", ["is_dir", "exists", "stat", "resolve", "read_bytes"])
def test_one_file_that_the_system_withholds_leaves_the_others(
    folder: Path, monkeypatch: Any, what: str
) -> None:
    for name in ("anna", "bob"):
        add(folder, f"{name}.png")
    add(folder, "carl.png", (1, 2, 3))
    add(folder, "dora/front.png")
    whole = library().hash(library().find("carl"), "#ffffff", "off")
    plain = getattr(Path, what)

    def withheld(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name in ("bob.png", "bob.mask.png"):
            raise PermissionError(13, "Permission denied")
        return plain(path, *args, **kwargs)

    monkeypatch.setattr(Path, what, withheld)
    said = problems()
    assert "Permission denied" in said.pop("bob")
    assert said == {"anna": "", "carl": "", "dora": ""}
    assert library().by_hash([whole], "#ffffff", "off")[0].name == "carl"
    assert call("GET", "bob")[0] == 422


def test_a_file_that_goes_between_two_looks_is_told(folder: Path, monkeypatch: Any) -> None:
    from lafi.webui.characters import pasting

    for name in ("anna", "bob"):
        add(folder, f"{name}.png", (200, 40, len(name)))
    anna = library().find("anna")
    of_bob = library().hash(library().find("bob"), "#ffffff", "auto")
    with monkeypatch.context() as patch:
        patch.setattr(type(library()), "find", lambda *_: anna)
        (folder / "anna.png").unlink()
        for failing in (lambda: library().hash(anna, "#ffffff", "auto"),
                        lambda: library().pictures(anna)):  # fmt: skip
            with pytest.raises(
                LafiError, match=r"character anna: anna\.png: No such file"
            ) as caught:
                failing()
            assert caught.value.code == "bad_character"
        assert "cannot be used any more" in pasting.note({"LAFI characters": "anna 0123"})
        patch.setattr(type(library()), "characters", lambda self: [anna, *self.entries()])
        assert library().by_hash([of_bob], "#ffffff", "auto")[0].name == "bob"


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
