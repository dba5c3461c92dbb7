"""The page *Characters*, its editor, and the accordion's part of the library."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from .host import reference

BUSY = Image.effect_noise((64, 64), 90).convert("RGB")


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


def library() -> Any:
    from lafi.webui.characters.folder import library as of_host

    return of_host()


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
    assert found["anna"]["prompt"] == '"<lafi:anna:2>"'
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


# ---- the accordion ----------------------------------------------------------------------------


def data(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_a_loaded_reference_is_saved_with_what_belongs_to_it(folder: Path) -> None:
    from lafi.webui.characters import controls

    mask = Image.new("L", (8, 8), 255)
    said = controls.save("anna", reference(), mask, 1.5, "left", "a boy", "")
    assert "write &lt;lafi:anna&gt; into the prompt" in said
    anna = library().find("anna")
    assert anna.metadata == {"preferred weight": 1.5, "lafi": {"region": "left", "prompt": "a boy"}}
    assert anna.views[0].mask is not None
    assert "is taken" in controls.save("anna", BUSY, None, 2, "", "", "")
    assert "upper and lower case" in controls.save("Anna", BUSY, None, 2, "", "", "")


def test_without_one_the_gallerys_picture_is_saved(folder: Path) -> None:
    from lafi.webui.characters import controls

    said = controls.save("anna", None, None, 0.5, "left", "of another", data(reference()))
    assert said.startswith("Saved")
    assert library().find("anna").metadata == {}


@pytest.mark.parametrize(("name", "picture", "words"), [
    ("", "PICTURE", "name of the character: must be a name"), ("a/b", "PICTURE", "may hold"),
    ("<b>", "PICTURE", "may hold"), ("anna", "", "image: is missing"),
    ("anna", "/etc/passwd", "image: cannot be read"),
])  # fmt: skip
def test_what_cannot_be_saved_is_told(folder: Path, name: str, picture: str, words: str) -> None:
    from lafi.webui.characters import controls

    sent = data(reference()) if picture == "PICTURE" else picture
    said = controls.save(name, None, None, 2, "", "", sent)
    assert words in said
    assert "<" not in said
    assert not folder.exists()


def test_a_pasted_hash_finds_the_picture(folder: Path) -> None:
    from lafi.webui.characters import controls

    controls.save("anna", reference(), Image.new("L", (8, 8), 255), 2, "", "", "")
    controls.save("bob", BUSY, None, 2, "", "", "")
    wanted = library().hash(library().find("anna"), "#ffffff", "auto")
    image, mask, said = controls.find(wanted, "auto")
    assert image.convert("RGB").tobytes() == reference().tobytes()
    assert mask.size == (8, 8)
    assert said == "Found: it is anna of the library."
    image, mask, said = controls.find(
        library().hash(library().find("bob"), "#ffffff", "off"), "off"
    )
    assert (mask, image.size) == (None, (64, 64))
    for hashes, words in {"": "Paste", "0" * 12: "No character"}.items():
        image, mask, said = controls.find(hashes, "auto")
        assert image == mask == gr.update()
        assert words in said


def test_a_mask_of_the_figure_at_a_press(folder: Path, monkeypatch: Any) -> None:
    from lafi.webui import figure
    from lafi.webui.characters import controls

    monkeypatch.setattr(figure, "_model", lambda: None)
    mask, said = controls.cut(reference())
    assert "its flat background" in said
    assert mask.getbbox() == (40, 16, 88, 120)
    assert controls.cut(None) == [gr.update(), "Load a reference first."]
    kept, said = controls.cut(BUSY)
    assert kept == gr.update()
    assert "background is not flat" in said


def test_rembg_is_used_where_a_model_lies_and_downloads_nothing(
    tmp_path: Path, monkeypatch: Any
) -> None:
    from lafi.webui import figure

    seen: list[Any] = []
    rembg: Any = ModuleType("rembg")
    rembg.__spec__ = importlib_spec("rembg")
    rembg.new_session = lambda model: seen.append((model, os.environ["MODEL_CHECKSUM_DISABLED"]))
    rembg.remove = lambda picture, session, only_mask: Image.new("L", picture.size, 200)
    monkeypatch.setitem(sys.modules, "rembg", rembg)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.delenv("MODEL_CHECKSUM_DISABLED", raising=False)
    assert figure.find_figure(reference().convert("RGBA"))[1] == "its flat background"
    (tmp_path / "u2net.onnx").write_bytes(b"")
    mask, maker = figure.find_figure(reference().convert("RGBA"))
    assert (maker, mask.getextrema()) == ("rembg (u2net)", (255, 255))
    assert seen == [("u2net", "1")]
    assert "MODEL_CHECKSUM_DISABLED" not in os.environ


def importlib_spec(name: str) -> Any:
    from importlib.machinery import ModuleSpec

    return ModuleSpec(name, None)


def test_the_accordion_has_the_controls(folder: Path, a1111: Any) -> None:
    controls = a1111.script.ui(False)
    assert len(controls) == len({id(each) for each in controls})
    fields = a1111.script.infotext_fields
    component, function = fields[-1]
    assert component.elem_id.endswith("ui_pasted")
    assert function({"LAFI reference": "abc"}) == "abc"
    assert function({}) == ""


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
