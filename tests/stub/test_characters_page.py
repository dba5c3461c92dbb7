"""The page *Characters* and its editor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from lafi.settings import BY_NAME

from .host import reference
from .shelf import library
from .test_references import data


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty library."""
    from modules import shared, ui_extra_networks

    shared.cmd_opts.lafi_dir = str(tmp_path / "LAFI")
    yield tmp_path / "LAFI"
    shared.reset()
    ui_extra_networks.extra_pages.clear()


@pytest.fixture
def page(folder: Path) -> Any:
    """The page as the host has it."""
    from modules import ui_extra_networks

    from lafi.webui.characters import page

    page.register()
    return ui_extra_networks.extra_pages[0]


def cards(page: Any) -> dict[str, dict[str, Any]]:
    page.items = {each["name"]: each for each in page.list_items()}
    return dict(page.items)


def test_the_folder_is_there_from_the_start(page: Any, folder: Path) -> None:
    assert folder.is_dir()
    assert (page.title, cards(page)) == ("Characters", {})
    assert page.allowed_directories_for_previews() == [str(folder)]


def test_a_folder_that_cannot_be_made_stops_nothing(folder: Path) -> None:
    from modules import ui_extra_networks

    from lafi.webui.characters import page

    folder.write_text("a file")
    page.register()
    (said,) = cards(ui_extra_networks.extra_pages[0]).values()
    assert said["description"] == "Cannot be used: Not a directory."


def test_a_click_gives_tag_and_activation_text(page: Any, folder: Path) -> None:
    reference().save(folder / "anna.png")
    reference().save(folder / "bob.png")
    about = {"activation text": 'red\ncoat "x" \\', "preferred weight": 1.25,
             "negative text": "hat", "description": "the hero"}  # fmt: skip
    (folder / "bob.json").write_text(json.dumps(about))
    found = cards(page)
    assert found["anna"]["prompt"] == f'"<lafi:anna:{BY_NAME["strength"].default:g}>"'
    assert found["anna"]["negative_prompt"] == '""'
    assert json.loads(found["bob"]["prompt"]) == '<lafi:bob:1.25> red coat "x" \\'
    assert json.loads(found["bob"]["negative_prompt"]) == "(hat:1)"
    assert found["bob"]["description"] == "the hero"
    assert found["bob"]["filename"] == str(folder / "bob.png")
    assert found["bob"]["preview"].endswith("bob.png")
    assert found["bob"]["shorthash"] in found["bob"]["search_terms"]
    assert found["bob"] == page.create_item("bob", 1, enable_filter=False)


def test_what_cannot_be_used_says_why(page: Any, folder: Path) -> None:
    (folder / "text.png").write_text("no picture")
    reference().save(folder / 'a"b<script>.png')
    reference().save(folder / "good.png")
    found = cards(page)
    assert found["text"]["description"].startswith("Cannot be used: text.png: cannot be read")
    assert found["a_b_script_"]["description"].startswith("Cannot be used: its name")
    assert found["good"]["description"] == ""
    assert page.create_item("nobody") is None
    for each in (found["text"], found["a_b_script_"]):
        assert each["prompt"] == '""'
        assert each["filename"] == str(folder)
    assert not any('"b' in str(each) or "<script" in str(each) for each in found)


def test_a_card_whose_file_is_gone_leaves_the_others(
    page: Any, folder: Path, monkeypatch: Any
) -> None:
    from lafi.webui.characters.library import Library

    for name in ("anna", "bob"):
        reference().save(folder / f"{name}.png")
    listed = library().characters()
    monkeypatch.setattr(Library, "characters", lambda self: listed)
    (folder / "anna.png").unlink()
    found = cards(page)
    assert found["anna"]["description"].startswith("Cannot be used: character anna: anna.png")
    assert found["bob"]["description"] == ""


def test_a_background_that_is_no_colour_is_told_where_it_matters(
    page: Any, folder: Path, a1111: Any
) -> None:
    from modules import shared

    from lafi.webui import api

    shared.opts.data["img2img_background_color"] = "blurple"
    clear = reference()
    clear.putalpha(Image.new("L", clear.size, 0))
    clear.paste(reference().crop((0, 0, 64, 64)), (0, 0))
    clear.save(folder / "clear.png")
    reference().save(folder / "whole.png")
    said = "is no colour: 'blurple'; it lies behind transparent parts"
    answer = api.check({"image": data(clear)})
    assert (answer.status_code, answer.content) == (
        422, [{"loc": ["img2img_background_color"], "msg": said}],
    )  # fmt: skip
    assert api.check({"image": data(reference())})["valid"] is True
    found = cards(page)
    assert said in found["clear"]["description"]
    assert found["whole"]["description"] == ""


def test_views_lie_in_a_folder_and_metadata_beside_it(page: Any, folder: Path) -> None:
    (folder / "anna").mkdir()
    reference().save(folder / "anna" / "side.png")
    reference().save(folder / "anna" / "front.png")
    (folder / "anna.json").write_text('{"description": "two views"}')
    reference().save(folder / "anna.preview.jpg")
    item = cards(page)["anna"]
    assert item["filename"] == str(folder / "anna" / "front.png")
    assert item["preview"].endswith("anna.preview.jpg")
    page.read_user_metadata(item, use_cache=False)
    assert item["user_metadata"] == {"description": "two views"}
    gone = {"name": "nobody"}
    page.read_user_metadata(gone)
    assert gone["user_metadata"] == {}


def test_the_editor_shows_and_writes_what_the_host_would(page: Any, folder: Path) -> None:
    reference().save(folder / "anna.png")
    (folder / "anna.json").write_text('{"notes": "old", "theirs": 1}')
    cards(page)
    editor = page.create_user_metadata_editor(None, "txt2img")
    editor.create_ui()
    (_, opened), _ = editor.button_edit.events
    shown = opened["fn"]("anna")
    assert len(shown) == len(opened["outputs"])
    assert shown[-1] == "old"
    ((_, saving),) = editor.button_save.events
    values = ("the hero", "red coat", "", 1.5, "a boy", "left", "new")
    assert len(saving["inputs"]) == 1 + len(values)
    saving["fn"]("anna", *values)
    assert json.loads((folder / "anna.json").read_text()) == {
        "notes": "new", "theirs": 1, "description": "the hero", "activation text": "red coat",
        "negative text": "", "preferred weight": 1.5,
        "lafi": {"prompt": "a boy", "region": "left"},
    }  # fmt: skip
    assert opened["fn"]("anna")[3:] == ["the hero", "red coat", "", 1.5, "a boy", "left", "new"]
    before = (folder / "anna.json").read_bytes()
    with pytest.raises(gr.Error, match=r"lafi\.region: is no region"):
        saving["fn"]("anna", *values[:5], "nowhere", "new")
    assert (folder / "anna.json").read_bytes() == before


def test_what_the_page_shows_is_translated(page: Any, a1111: Any, monkeypatch: Any) -> None:
    made: list[Any] = []
    original = gr.Component.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(gr.Component, "__init__", init)
    page.create_user_metadata_editor(None, "txt2img").create_ui()
    a1111.script.ui(False)
    root = Path(__file__).resolve().parents[2]
    for path in (root / "localizations").glob("*.json"):
        known = json.loads(path.read_text("utf-8"))
        shown = {each.label for each in made} | {each.kwargs.get("info") for each in made}
        shown |= {each.value for each in made if isinstance(each, gr.Button)}
        hosts = {"Description", "Save"}  # the host's own
        assert {each for each in shown if each} - set(known) - hosts == set()
