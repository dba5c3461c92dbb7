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
    valued = (gr.Slider, gr.Radio, gr.Checkbox, gr.Textbox, gr.Number, gr.Dropdown, gr.Image)
    saved = [each for each in built if isinstance(each, valued) and each.label]
    saved += [each for each in built if isinstance(each, gr.Accordion) and each.label == TITLE]
    assert len(saved) == 16
    assert [each.label for each in saved if not each.do_not_save_to_config] == []


def test_every_control_is_built_from_the_table(built: list[Any]) -> None:
    from lafi.settings import FIELDS

    by_label = {each.label: each for each in built if each.label}
    for field in FIELDS[1:]:
        name, arguments = field.kind.control(field.default)
        control = by_label[field.caption]
        assert type(control).__name__ == name
        assert arguments.items() <= control.kwargs.items()


def test_pictures_reach_the_server_as_they_are(built: list[Any]) -> None:
    images = [each for each in built if isinstance(each, gr.Image)]
    assert [each.kwargs["image_mode"] for each in images] == [None, None]


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


def hero_at_the_side() -> Image.Image:
    mask = Image.new("L", (300, 100))
    mask.paste(255, (0, 0, 80, 100))
    return mask


@pytest.mark.parametrize(("given", "text"), [
    ((WIDE, None, "crop", "512x512"), "At 512x512, 67 % of the reference is cut away."),
    ((WIDE, hero_at_the_side(), "crop", "512x512"),
     "At 512x512, 67 % of the reference is cut away, 0 % of the part that the mask keeps."),
    ((WIDE, None, "pad", "512x512"), ""), ((WIDE, None, "crop", "768x256"), ""),
    ((None, None, "crop", "512x512"), ""), ((WIDE, None, "crop", ""), ""),
    ((WIDE, None, "crop", "0x512"), ""), ((WIDE, None, "crop", None), ""),
    ((WIDE, Image.new("L", (9, 9)), "crop", "512x512"),
     "LAFI: mask: keeps nothing of the reference; at least a part must be visible."),
], ids=lambda value: str(value)[-30:])  # fmt: skip
def test_the_page_says_what_is_cut_away(a1111: WebUI, given: Any, text: str) -> None:
    from lafi.webui import status

    assert status.describe_fit(*given) == text


def test_the_run_says_what_was_cut_away(webui: WebUI, caplog) -> None:
    caplog.set_level("INFO", "LAFI")
    webui.txt2img({"image": WIDE, "mask": hero_at_the_side()})
    cut = webui.last_run["cut"]
    assert cut == {"reference": pytest.approx(2 / 3), "subject": 0}
    assert "67 % of the reference is cut away, 0 % of the part that the mask keeps" in caplog.text
    webui.injected()
    assert webui.last_run["cut"] == {"reference": 0, "subject": None}
    assert caplog.text.count("cut away") == 1
