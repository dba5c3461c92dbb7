"""The storyboard's page, what it says and where it is saved; wrong input; the controls."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException
from modules import images, script_callbacks, shared
from modules.api.api import Api
from PIL import Image

from lafi.errors import LafiError
from lafi.storyboard.settings import FIELDS, arguments, parse
from lafi.webui import request, storyboard, storyboard_page

from .host import reference
from .stage import THREE, Stage, Watching, pixels, same

# ---- the page ------------------------------------------------------------------------------------


def test_the_page_is_saved_with_what_makes_it_again(stage: Stage) -> None:
    story = {"panels": 'a --caption "It\'s, me"\n# x\nb', "title": "12x34", "columns": 1}
    done = stage.make(story, {"enabled": False, "depth": 60})
    (file,) = stage.saved()
    with Image.open(file) as saved:
        assert same(saved, done.images[0])
        text = saved.info["parameters"]
    assert text == done.infotexts[0] == done.info == done.images[0].info["parameters"]
    assert text.startswith("a boy\n")
    for part in ("Script: LAFI storyboard", "LAFI depth: 60", "LAFI storyboard columns: 1"):
        assert part in text
    assert "LAFI reference" not in text
    assert "LAFI run" not in text
    assert '\\n# x\\nb"' in text


def test_a_loaded_references_hash_is_in_the_pages_text(stage: Stage) -> None:
    done = stage.make({"panels": "a\nb", "reference": "loaded"}, {"image": reference()})
    assert f"LAFI reference: {stage.shown()[0]}" in done.infotexts[0]


def test_a_page_of_plain_panels_says_nothing_of_lafis_settings(stage: Stage) -> None:
    done = stage.make({"panels": "a\nb", "reference": "loaded"})
    assert "LAFI version" not in done.infotexts[0]


def test_the_pages_text_is_the_requests_not_the_first_panels(stage: Stage) -> None:
    panels = "a --seed 99 --size 128x64 --steps 2\nb --depth 20"
    text = stage.make({"panels": panels}).infotexts[0]
    for part in ("Steps: 3", "Seed: 7", "Size: 64x64", "LAFI depth: 100"):
        assert part in text


def test_the_pages_text_knows_the_settings_that_the_request_overrides(stage: Stage) -> None:
    given = {"CLIP_stop_at_last_layers": 2}
    done = stage.make({"panels": "a\nb"}, override_settings=given)
    assert "Clip skip: 2" in done.infotexts[0]
    assert shared.opts.CLIP_stop_at_last_layers == 1


def test_pasting_a_page_sets_every_control(stage: Stage) -> None:
    story = {"panels": 'a --caption "It\'s, me"\n# x\nb', "title": "12x34", "pdf": True}
    settings = parse([{**story, "columns": 5, "ending": "at night", "reference": "last"}])
    params: dict[str, Any] = {"Script": "LAFI storyboard", **storyboard_page.describe(settings)}
    params = {key: _as_pasted(value) for key, value in params.items()}
    # The host takes such a text for a size.
    params |= {"LAFI storyboard title-1": "12", "LAFI storyboard title-2": "34"}
    script_callbacks.run("infotext_pasted", "", params)
    read = {each.name: each.kind.read(params[each.infotext]) for each in FIELDS}
    assert parse([read]) == settings


def _as_pasted(text: str) -> str:
    return json.loads(text) if text.startswith('"') else text


def test_pasting_anything_else_leaves_the_controls(stage: Stage) -> None:
    params = {"Script": "X/Y/Z plot", "LAFI storyboard columns": "99"}
    storyboard_page.on_infotext_pasted("", params)
    assert params == {"Script": "X/Y/Z plot", "LAFI storyboard columns": "99"}


def test_a_value_that_cannot_be_used_is_told_of(stage: Stage, caplog) -> None:
    params = {"Script": "LAFI storyboard", "LAFI storyboard columns": "99"}
    storyboard_page.on_infotext_pasted("", params)
    assert params["LAFI storyboard columns"] == "2"
    assert "LAFI storyboard columns: must be a whole number" in caplog.text


def test_the_same_again_gives_the_same_page(stage: Stage) -> None:
    one, other = stage.make({"panels": THREE}), stage.make({"panels": THREE})
    stage.host.kept.forget()
    third = stage.make({"panels": THREE})
    for trio in zip(one.images, other.images, third.images, strict=True):
        assert same(trio[0], trio[1])
        assert np.abs(pixels(trio[0]).astype(int) - pixels(trio[2])).max() <= 1


def test_a_pdf_stands_beside_the_page(stage: Stage) -> None:
    stage.make({"panels": "a\nb", "pdf": True, "title": "Ünï"})
    (file,) = stage.saved("pdf")
    assert file.stem == stage.saved()[0].stem
    assert file.read_bytes().startswith(b"%PDF")


def test_a_request_that_saves_nothing_gets_the_page_alone(stage: Stage) -> None:
    done = stage.make({"panels": "a\nb"}, do_not_save_grid=True)
    assert len(done.images) == 3
    assert stage.saved() == []
    with pytest.raises(LafiError, match=r"pdf: .* set save_images"):
        stage.make({"panels": "a\nb", "pdf": True}, do_not_save_grid=True)


def test_the_page_has_no_metadata_where_the_user_wants_none(stage: Stage) -> None:
    shared.opts.set("enable_pnginfo", False)
    assert "parameters" not in stage.make({"panels": "a\nb"}).images[0].info


def test_the_font_is_one_that_has_the_characters(stage: Stage, monkeypatch, caplog) -> None:
    """Pillow's own knows no Chinese."""
    monkeypatch.setattr(storyboard_page, "FALLBACKS", ("missing.ttf", "own.ttf"))
    found = images.get_font(20)
    files = SimpleNamespace(truetype=lambda name, size: _named(name, found))
    monkeypatch.setattr(storyboard_page, "ImageFont", files)
    assert storyboard_page._fonts("Morning.") is images.get_font
    assert "no picture" not in caplog.text
    monkeypatch.setattr(
        storyboard_page, "lacking", lambda font, text: "" if font is found else text
    )
    assert storyboard_page._fonts("\u4f60\u597d")(20) is found
    monkeypatch.setattr(storyboard_page, "lacking", lambda font, text: text)
    assert storyboard_page._fonts("\u4f60\u597d") is images.get_font
    assert "the font has no picture of \u4f60\u597d" in caplog.text


def _named(name: str, font: Any) -> Any:
    if name == "missing.ttf":
        raise OSError(name)
    return font


# ---- wrong input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("panels", "lafi", "said"),
    [
        ("a\nb --seed x", None, "line 2: --seed must be a whole number"),
        ("a\nb --sampler_name Nothing", None, "line 2: --sampler_name: the WebUI has no Nothing"),
        (
            "a\nb <lafi:nobody>",
            None,
            "line 2: prompt: <lafi:nobody>: there is no character 'nobody'",
        ),
        ("a\nb --negative_prompt <lafi:nobody>", None, "line 2: negative prompt: .* do nothing"),
        ("a\nb --start 90", None, "line 2: start: must be below cutoff"),
        ("a", {"enabled": False, "depth": 200}, "depth: must be a number"),
    ],
)
def test_wrong_input_is_named_before_anything_is_made(
    stage: Stage, panels: str, lafi: Any, said: str
) -> None:
    watch = Watching(stage)
    with pytest.raises(LafiError, match=said):
        stage.make({"panels": panels}, lafi)
    assert watch.seen == []


def test_a_loaded_reference_that_is_missing_is_named_with_the_first_line(stage: Stage) -> None:
    with pytest.raises(LafiError, match="line 1: image: is missing"):
        stage.make({"panels": "a\nb", "reference": "loaded"}, {"enabled": True})


def test_over_the_api_wrong_input_is_answered_with_422(stage: Stage) -> None:
    p = stage.host.processing()
    p.is_api = True
    with pytest.raises(HTTPException) as caught:
        stage.script.run(p, *arguments(parse([{"panels": "--foo 1\nb\n--bar 1"}])))
    assert caught.value.status_code == 422
    assert [each["loc"] for each in caught.value.detail] == [["line 1"], ["line 3"]]


def test_without_lafis_own_script_there_is_an_error(stage: Stage) -> None:
    p = stage.host.processing()
    stage.host.runner.alwayson_scripts.clear()
    with pytest.raises(LafiError) as caught:
        storyboard.run(p, ["a"])
    assert caught.value.code == "unsupported_host"


def asked(name: str | None, args: Any) -> Any:
    """A request that went through the look before the host's own reader."""
    sent = SimpleNamespace(alwayson_scripts={}, script_name=name, script_args=args)
    runner = SimpleNamespace(alwayson_scripts=[])
    request.guard(Api.init_script_args)(Api(), sent, [None], None, None, runner)
    return sent.script_args


@pytest.mark.parametrize("name", ["LAFI storyboard", "lafi storyboard"])
@pytest.mark.parametrize("args", [[{"panels": "a", "title": "T"}], ["a", "", "counted"]])
def test_a_requests_arguments_are_completed(name: str, args: list) -> None:
    given = asked(name, args)
    assert len(given) == len(FIELDS)
    assert given == arguments(parse(args))


@pytest.mark.parametrize("name", [None, "", "x/y/z plot"])
def test_other_scripts_arguments_stay(name: str | None) -> None:
    assert asked(name, [1, 2]) == [1, 2]


@pytest.mark.parametrize("args", [[], [{}], [{"panels": "a", "colums": 2}], {"panels": "a"}, None])
def test_a_request_that_says_nothing_is_refused(args: Any) -> None:
    with pytest.raises(HTTPException) as caught:
        asked("lafi storyboard", args)
    assert caught.value.status_code == 422


# ---- the controls --------------------------------------------------------------------------------


def test_there_is_a_control_for_every_setting_in_the_tables_order(stage: Stage) -> None:
    controls = stage.script.ui(False)
    assert [each.elem_id.rpartition("_")[2] for each in controls] == [each.name for each in FIELDS]
    assert parse([controls[0].value or "a", *(each.value for each in controls[1:])]).columns == 2
    assert [key for _, key in stage.script.infotext_fields] == [each.infotext for each in FIELDS]
    assert all(each.do_not_save_to_config for each in controls)
    assert stage.script.title() == "LAFI storyboard"


def test_the_page_can_be_read_as_a_png(stage: Stage) -> None:
    buffer = io.BytesIO()
    stage.make({"panels": "a\nb"}).images[0].save(buffer, "PNG")
    assert Image.open(io.BytesIO(buffer.getvalue())).format == "PNG"
