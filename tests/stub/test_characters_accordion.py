"""The accordion's part of the library: save as a character, find by hash, cut out."""

from __future__ import annotations

import base64
import io
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from lafi.errors import LafiError

from .host import reference
from .shelf import library
from .test_references import BUSY, data


def test_a_loaded_reference_is_saved_with_what_belongs_to_it(folder: Path) -> None:
    from lafi.webui.characters import controls

    mask = Image.new("L", (8, 8), 255)
    said = controls.save("anna", reference(), mask, 1.5, "left", "a boy", None, "")
    assert "write &lt;lafi:anna&gt; into the prompt" in said
    anna = library().find("anna")
    assert anna.metadata == {"preferred weight": 1.5, "lafi": {"region": "left", "prompt": "a boy"}}
    assert anna.views[0].mask is not None
    for name in ("anna", "Anna"):
        assert "is taken" in controls.save(name, BUSY, None, 2, "", "", None, "")


def test_all_views_are_saved(folder: Path) -> None:
    from lafi.webui.characters import controls

    more = [base64.b64decode(data(each)) for each in (BUSY, reference((1, 2, 3)))]
    mask = Image.new("L", (8, 8), 255)
    assert controls.save("anna", reference(), mask, 2, "", "", more, "").startswith("Saved")
    anna = library().find("anna")
    assert [each.mask is not None for each in anna.views] == [True, False, False]
    asked = [Image.open(io.BytesIO(image)).tobytes() for image, _ in library().pictures(anna)]
    assert asked == [each.tobytes() for each in (reference(), BUSY, reference((1, 2, 3)))]
    assert controls.save("bob", None, mask, 1.5, "left", "", more[:1], data(BUSY)) != ""
    bob = library().find("bob")
    assert (len(bob.views), bob.metadata["preferred weight"]) == (1, 1.5)
    assert "1 to 16 pictures" in controls.save("c", None, None, 2, "", "", more[:1] * 17, "")


def test_without_one_the_gallerys_picture_is_saved(folder: Path) -> None:
    from lafi.webui.characters import controls

    said = controls.save("anna", None, None, 0.5, "left", "of another", None, data(reference()))
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
    said = controls.save(name, None, None, 2, "", "", [], sent)
    assert words in said
    assert "<" not in said
    assert not folder.exists()


def test_a_pasted_hash_finds_the_picture(folder: Path) -> None:
    from lafi.webui.characters import controls

    controls.save("anna", reference(), Image.new("L", (8, 8), 255), 2, "", "", None, "")
    controls.save("bob", BUSY, None, 2, "", "", None, "")
    wanted = library().hash(library().find("anna"), "#ffffff", "auto")
    image, mask, said = controls.find(wanted, "auto")
    assert image.convert("RGB").tobytes() == reference().tobytes()
    assert mask.size == (8, 8)
    assert said == "Found: it is anna of the library."
    image, mask, said = controls.find(
        library().hash(library().find("bob"), "#ffffff", "off"), "off"
    )
    assert (mask, image.size) == (None, BUSY.size)
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
    rembg.__spec__ = ModuleSpec("rembg", None)
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

    def broken(*_: Any, **__: Any) -> None:
        raise SystemExit("no backend") if seen else RuntimeError("INVALID_PROTOBUF")

    for words in ("SystemExit: no backend", "RuntimeError: INVALID_PROTOBUF"):
        monkeypatch.setattr(rembg, "new_session", broken)
        with pytest.raises(LafiError, match=words) as caught:
            figure.find_figure(reference().convert("RGBA"))
        assert caught.value.code == "no_figure"
        assert "MODEL_CHECKSUM_DISABLED" not in os.environ
        seen.clear()


def test_the_accordion_has_the_controls(folder: Path, a1111: Any) -> None:
    controls = a1111.script.ui(False)
    assert len(controls) == len({id(each) for each in controls})
    fields = a1111.script.infotext_fields
    component, function = fields[-1]
    assert component.elem_id.endswith("ui_pasted")
    assert function({"LAFI reference": "abc"}) == "abc"
    assert function({}) == ""


def test_what_is_pasted_has_a_field_of_its_type(folder: Path, a1111: Any) -> None:
    """Hosts convert it to the type of the field's value, and pass over what has none (gradio 4)."""
    a1111.script.ui(False)
    fields = [each for each, _ in a1111.script.infotext_fields]
    shown = [each for each in fields if type(each).__name__ not in ("Image", "File")]
    assert len(shown) > 10
    assert [each.label or each.elem_id for each in shown if each.value is None] == []
