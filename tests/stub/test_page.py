"""What the page is built of, and what its events answer."""

from __future__ import annotations

import base64
import io
from typing import Any

import gradio as gr
import pytest
from modules import shared
from PIL import Image

from .host import WebUI, reference

COUNT = "script_txt2img_LAFI_ui_count"
TITLE = "LAFI - character consistency"


@pytest.fixture
def built(a1111: WebUI, monkeypatch) -> list[Any]:
    """All components of the page, in the order in which they were made."""
    made: list[Any] = []
    original = gr.Component.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(gr.Component, "__init__", init)
    a1111.script.ui(False)
    return made


def test_the_hosts_page_defaults_keep_nothing_of_lafi(built: list[Any]) -> None:
    """Neither a range nor a default of today, nor LAFI switched on without a picture."""
    valued = gr.Slider, gr.Radio, gr.Checkbox, gr.Textbox, gr.Number, gr.Dropdown, gr.Image, gr.File
    saved = [each for each in built if isinstance(each, valued) and each.label]
    saved += [each for each in built if isinstance(each, gr.Accordion) and each.label == TITLE]
    assert len(saved) == 25
    assert [each.label for each in saved if not each.do_not_save_to_config] == []


def test_every_control_is_built_from_the_table(built: list[Any]) -> None:
    from lafi.settings import FIELDS

    by_label = {each.label: each for each in built if each.label}
    for field in FIELDS[1:]:
        name, arguments = field.kind.control(field.default)
        if not field.shown:
            continue
        control = by_label[field.caption]
        assert type(control).__name__ == name
        assert arguments.items() <= control.kwargs.items()


def test_send_to_hands_on_what_gradio_takes_back(a1111: WebUI) -> None:
    a1111.script.ui(False)
    names = a1111.script.paste_field_names
    assert "LAFI image" in names
    assert "LAFI region" in names
    assert not {"LAFI views", "LAFI references"} & set(names)


def test_pictures_reach_the_server_as_they_are(built: list[Any]) -> None:
    images = [each for each in built if isinstance(each, gr.Image)]
    assert [each.kwargs["image_mode"] for each in images] == [None, None]
    files = [each for each in built if isinstance(each, gr.File)]
    assert [each.kwargs["type"] for each in files] == ["binary"]


def test_requests_may_override_the_options_without_a_page(a1111: WebUI) -> None:
    from lafi.webui import options

    assert options.DEFAULTS.keys() <= shared.opts.data_labels.keys()
    made = a1111.txt2img({"depth": 50}, override_settings={"lafi_stop_on_error": False})
    assert made.infotexts[0]["LAFI error"] == "invalid_settings"
    assert shared.opts.lafi_stop_on_error is True


def test_an_option_that_was_saved_stays(a1111: WebUI) -> None:
    from lafi.webui import options

    shared.opts.lafi_bank_mb = 77
    options.register()
    assert options.value(options.BANK_MB) == 77


def test_the_gallery_button_takes_what_is_a_picture(a1111: WebUI) -> None:
    from lafi.webui import ui

    buffer = io.BytesIO()
    reference().save(buffer, "PNG")
    taken, note = ui._picture_from_gallery(base64.b64encode(buffer.getvalue()).decode())
    assert (taken.size, note) == ((128, 128), "")
    for data, text in {"": "gallery is empty", "/etc/hostname": "cannot be read"}.items():
        kept, note = ui._picture_from_gallery(data)
        assert kept == gr.update()
        assert text in note


WIDE = reference().resize((300, 100))
BUSY = Image.effect_noise((300, 100), 90).convert("RGB")


def hero_at_the_side() -> Image.Image:
    mask = Image.new("L", (300, 100))
    mask.paste(255, (0, 0, 80, 100))
    return mask


@pytest.mark.parametrize(("given", "text"), [
    ((BUSY, None, "crop", "auto", "512x512"), "At 512x512, 67 % of the reference is cut away."),
    ((WIDE, None, "crop", "off", "512x512"), "At 512x512, 67 % of the reference is cut away."),
    ((WIDE, None, "crop", "auto", "768x256"), "The figure is cut out: 31 % of the reference."),
    ((WIDE, None, "pad", "auto", ""), "The figure is cut out: 31 % of the reference."),
    ((WIDE, None, "crop", "auto", "512x512"),
     "The figure is cut out: 31 % of the reference. At 512x512, 67 % of the reference is cut away, "
     "12 % of the part that the mask keeps."),
    ((WIDE, hero_at_the_side(), "crop", "auto", "512x512"),
     "At 512x512, 67 % of the reference is cut away, 0 % of the part that the mask keeps."),
    ((BUSY, None, "pad", "auto", "512x512"), ""), ((BUSY, None, "crop", "auto", "768x256"), ""),
    ((WIDE, None, "whole", "auto", "512x512"), "The figure is cut out: 31 % of the reference."),
    ((BUSY, None, "whole", "auto", "64x64"),
     "At 64x64, 67 % of the reference is cut away."),
    ((None, None, "crop", "auto", "512x512"), ""), ((BUSY, None, "crop", "auto", ""), ""),
    ((BUSY, None, "crop", "auto", "0x512"), ""), ((BUSY, None, "crop", "auto", None), ""),
    ((WIDE, Image.new("L", (9, 9)), "crop", "auto", "512x512"),
     "LAFI: mask: keeps nothing of the reference; at least a part must be visible."),
])  # fmt: skip
def test_the_page_says_what_is_cut_away(a1111: WebUI, given: Any, text: str) -> None:
    from lafi.webui import status

    *fields, size = given
    values = dict(zip(("image", "mask", "fit", "cutout"), fields, strict=True))
    assert status.describe_fit(values, size) == text


def test_the_page_says_what_is_cut_away_of_each_view(a1111: WebUI) -> None:
    from lafi.webui import status

    values = {"image": WIDE, "mask": None, "fit": "crop", "cutout": "auto"}
    assert status.describe_fit(values | {"views": [BUSY, WIDE]}, "768x256") == (
        "View 1: The figure is cut out: 31 % of the reference. "
        "View 3: The figure is cut out: 31 % of the reference."
    )
    named = status.describe_fit(values | {"views": [b"no picture"]}, "768x256")
    assert named.startswith("LAFI: views[0]: cannot be read as a picture")


def test_the_dial_and_both_numbers_move_each_other(built: list[Any]) -> None:
    """The user's hand alone moves both numbers, so that none of it goes round."""
    dial, strength, fidelity = (
        next(each for each in built if each.label == label)
        for label in ("Likeness (%)", "Strength", "Fidelity")
    )
    assert dial.value == 75
    ((name, event),) = dial.events
    assert name == "input"
    assert (event["inputs"], event["outputs"]) == ([dial], [strength, fidelity])
    for number in (strength, fidelity):
        following = [each for _, each in number.events if each.get("outputs") == [dial]]
        assert [each["inputs"] for each in following] == [[strength, fidelity]]
        assert [name for name, each in number.events if each in following] == ["change"]
        assert {each["fn"] for each in (event, *following)} == {None}


def status_line(pictures: int = 1, **fields: Any) -> str:
    from lafi.settings import BY_NAME
    from lafi.webui import status

    values = {name: BY_NAME[name].default for name in status.STATUS} | fields
    return status.describe(values, pictures)


@pytest.mark.parametrize(("fields", "text"), [
    ({}, "4 recordings of the reference in 20 steps, about 18 % more work for the first picture, "
         "5 % for later ones."),
    ({"fidelity": 0.5}, "about 20 % more work for the first picture, 8 % for later ones."),
    ({"stream": "noise"}, "4 recordings of the reference in 20 steps, about 15 %"),
    ({"refresh": 1}, "16 recordings of the reference in 20 steps, about 95 %"),
    ({"stream": "noise", "refresh": 1}, "16 recordings of the reference in 20 steps, about 45 %"),
    ({"stream": "denoise"}, "about 45 % more work for each picture."),
    ({"cutoff": 5, "refresh": 8}, "1 recording of the reference in 20 steps"),
    ({"cutoff": 60, "start": 10}, "from 10 % to 60 % of the run; 4 recordings"),
    ({"depth": 0}, "nothing is injected at depth 0 %"),
    ({"strength": 0}, "nothing is injected at strength 0."),
    ({"start": 80}, "nothing is injected; the cutoff must be above the start."),
    ({"pictures": 3}, "4 recordings of each of 3 references in 20 steps, about 53 % more work for "
                      "the first picture, 16 % for later ones."),
    ({"region": "left"}, "4 recordings of the reference in 20 steps, about 8 % more work for the "
                         "first picture, 1 % for later ones."),
    ({"region": "left", "fit": "crop"}, "about 15 % more work for the first picture, 3 % for"),
    ({"region": "0-10%"}, "about 3 % more work for the first picture, 0 % for later ones."),
    ({"anchor": "batch"}, "5 % for later ones; the first picture of a batch is the reference of "
                          "the others, about 5 % more work."),
    ({"anchor": "batch", "pictures": 0}, "of the run; the first picture of a batch is the "
                                         "reference of the others, about 5 % more work."),
    ({"region": "sky"}, "region: is no region"),
    ({"strength": 9}, "strength: must be a number from 0 to 4"),
], ids=str)  # fmt: skip
def test_the_status_line_says_what_is_done_and_what_it_costs(a1111, fields, text) -> None:
    assert text in status_line(**fields)


@pytest.mark.parametrize(("stream", "refresh"), [
    ("inversion", 0), ("inversion", 3), ("noise", 0), ("noise", 5), ("denoise", 0),
])  # fmt: skip
def test_the_status_line_counts_what_a_run_does(a1111: WebUI, stream: str, refresh: int) -> None:
    from lafi.webui import status

    given = {"image": reference(), "stream": stream, "refresh": refresh}
    a1111.txt2img(given, steps=status.EVALUATIONS, width=64, height=64)
    (made,) = a1111.last_run["passes"]
    said = status.reference_work(stream, refresh, made["injected"])
    assert (made["evaluations"], made["recorded"]) == (status.EVALUATIONS, said[0])


def test_the_run_says_what_was_cut_away(webui: WebUI, caplog) -> None:
    caplog.set_level("INFO", "LAFI")
    webui.txt2img({"image": WIDE, "mask": hero_at_the_side(), "fit": "crop"})
    [shown] = webui.last_run["references"]
    assert shown["cut"] == {"reference": pytest.approx(2 / 3), "subject": 0}
    assert "67 % of the reference is cut away, 0 % of the part that the mask keeps" in caplog.text
    assert shown["figure"] is None
    webui.txt2img({"image": reference(), "cutout": "off"})
    assert webui.last_run["references"][0]["cut"] == {"reference": 0, "subject": None}
    assert caplog.text.count("cut away") == 1


def test_the_page_counts_its_pictures_for_the_line_about_the_cost(built: list[Any]) -> None:
    from lafi.webui import ui

    image, views = (
        next(each for each in built if each.label == label)
        for label in ("Reference image", "More views")
    )
    for each in (image, views):
        counting = [event for _, event in each.events if "lafi.count" in event.get("_js", "")]
        assert [event["inputs"] for event in counting] == [[image, views]]
        assert [event["outputs"][0].elem_id for event in counting] == [COUNT]
    assert "each of 2 references" in ui._status_line(*status_values(), "2")
    for count in ("1", "", None, "-1", "many"):
        assert "of the reference in" in ui._status_line(*status_values(), count)


def status_values() -> list[Any]:
    from lafi.settings import BY_NAME
    from lafi.webui import status

    return [BY_NAME[name].default for name in status.STATUS]


def test_views_region_and_anchor_stand_in_a_group_of_their_own(built: list[Any]) -> None:
    from lafi.webui import ui

    labels = [each.label for each in built if each.label]
    first = labels.index(ui.GROUP) + 1
    assert labels[first : first + 3] == ["More views", "Region", "Batch anchor"]
    region = next(each for each in built if each.label == "Region")
    assert region.kwargs["allow_custom_value"] is True
    assert region.kwargs["choices"][:3] == ["", "left", "right"]


def test_only_the_users_own_picture_empties_the_note(built: list[Any]) -> None:
    """What finds a picture in the library puts it there and says whose it is: the change of the
    picture that follows must not take the words away."""
    image = next(each for each in built if each.label == "Reference image")
    note = next(each for each in built if (each.elem_id or "").endswith("ui_note"))
    emptying = [name for name, event in image.events if note in (event.get("outputs") or ())]
    assert emptying == ["upload", "clear"]
    marking = [name for name, event in image.events if "lafi.mark" in event.get("_js", "")]
    assert marking == ["change"]
