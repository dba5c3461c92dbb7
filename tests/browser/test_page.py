"""LAFI on the page of a running WebUI."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from PIL import Image

WITH_LAFI = """a knight running
Negative prompt: blurry
Steps: 5, Sampler: Euler a, CFG scale: 6, Seed: 3, Size: 128x128, LAFI reference: 1a2b3c4d5e6f, \
LAFI depth: 40, LAFI cutoff: 70, LAFI start: 10, LAFI stream: noise, LAFI rows: both, \
LAFI prompt: "a knight, portrait", LAFI noise seed: 77, LAFI version: 0.1.0"""
WITHOUT_LAFI = """a knight
Steps: 5, Sampler: Euler a, CFG scale: 6, Seed: 3, Size: 128x128"""


@pytest.mark.parametrize("tab", ["txt2img", "img2img"])
def test_the_accordion_says_what_will_be_injected(open_page, screenshots, tab):
    page = open_page(tab)
    assert not page.enabled()
    assert page.badge() == ""
    page.enable()
    page.wait(lambda: "self-attention layers" in page.status(), "the status line")
    assert "from 0 % to 80 % of the run; 4 recordings of the reference" in page.status()
    assert page.badge() == "image missing"
    page.screenshot(screenshots, f"open-{tab}")
    assert not page.script_errors()


def test_the_status_line_follows_the_controls(open_page):
    page = open_page()
    page.enable()
    page.wait(lambda: "self-attention layers" in page.status(), "the status line")
    full = page.status()
    page.set_number("depth", 30)
    page.wait(lambda: page.status() != full, "another status line")
    assert "self-attention layers" in page.status()
    page.set_number("cutoff", 60)
    page.wait(lambda: "to 60 % of the run" in page.status(), "the cutoff in the status line")
    page.set_number("depth", 0)
    page.wait(lambda: "nothing is injected" in page.status(), "depth 0 in the status line")
    assert not page.script_errors()


def test_more_views_are_counted_and_used(open_page, reference, tmp_path, screenshots):
    page = open_page()
    page.prepare("a knight running")
    page.enable()
    page.upload(reference)
    page.wait(lambda: "of the reference in 20 steps" in page.status(), "the status line")
    views = [tmp_path / f"{colour}.png" for colour in ("red", "green")]
    for path in views:
        Image.new("RGB", (96, 96), path.stem).save(path)
    page.drop_views(*views)
    page.wait(lambda: "of each of 3 references" in page.status(), "the views in the status line")
    page.screenshot(screenshots, "views")
    page.generate()
    assert page.error() == ""
    assert re.search(r"LAFI reference: \w{12} \w{12} \w{12},", page.infotext())
    assert not page.script_errors()


def test_an_anchor_needs_no_picture(open_page):
    page = open_page()
    page.enable()
    page.wait(lambda: page.badge() == "image missing", "the badge")
    page.click(f"{page.lafi('anchor')} input[value=batch]")
    page.wait(lambda: page.badge() == "active", "the badge")
    page.wait(lambda: "the reference of the others" in page.status(), "the status line")
    assert not page.script_errors()


def test_generates_with_a_reference(open_page, reference, screenshots):
    page = open_page()
    page.prepare("a knight running")
    page.enable()
    page.upload(reference)
    page.wait(lambda: page.badge() == "active", "the badge")
    page.set_number("depth", 50)
    page.generate()
    assert page.error() == ""
    page.wait(page.pictures, "the picture")
    page.screenshot(screenshots, "generated")
    assert "LAFI depth: 50" in page.infotext()
    assert "LAFI error" not in page.infotext()

    page.clear_image()
    page.wait(lambda: page.badge() == "image missing", "the badge")
    page.script_errors()  # what the WebUI itself reports while generating
    page.click(page.lafi("ui_take"))
    page.wait(page.has_image, "the gallery's picture as the reference")
    page.screenshot(screenshots, "taken-from-gallery")
    assert not page.script_errors()
    page.prepare("a knight sitting", seed=2)
    page.generate()
    assert "Seed: 2" in page.infotext()
    assert "LAFI depth: 50" in page.infotext()


def test_the_gallery_button_passes_over_the_grid(open_page, screenshots):
    page = open_page()
    page.prepare("a knight running", steps=1)
    page.set("#txt2img_batch_size input[type=number]", 2)
    page.generate()
    page.wait(lambda: len(page.pictures()) >= 3, "the grid and both pictures")
    page.script_errors()  # what the WebUI itself reports while generating
    page.enable()
    page.click(page.lafi("ui_take"))
    page.wait(page.has_image, "the gallery's picture as the reference")
    page.screenshot(screenshots, "taken-from-batch")
    # The grid is twice as wide.
    shown = f"{page.lafi('image')} img"
    page.wait(lambda: set(page.read(shown, "naturalWidth")) == {128}, "its width")
    assert set(page.read(shown, "naturalHeight")) == {128}
    assert not page.script_errors()


def test_the_page_says_what_is_cut_away(open_page, reference, screenshots):
    page = open_page()
    page.prepare("a knight", size=128)
    page.enable()
    page.upload(reference)
    page.wait(lambda: "The figure is cut out" in page.text(page.lafi("ui_cut")), "the upload")
    page.set("#txt2img_width input[type=number]", 256)
    time.sleep(1)
    assert "cut away" not in page.text(page.lafi("ui_cut"))
    page.click(f"{page.lafi('fit')} input[value=crop]")
    page.wait(lambda: "At 256x128, 50 % of the reference" in page.text(page.lafi("ui_cut")), "it")
    page.screenshot(screenshots, "cut-away")
    page.set("#txt2img_height input[type=number]", 256)
    page.wait(lambda: "cut away" not in page.text(page.lafi("ui_cut")), "nothing to be cut away")
    assert not page.script_errors()


def test_greys_of_16_bits_are_shown_to_the_model_as_they_are(open_page, tmp_path):
    """gradio's own conversion would make them white."""
    ramp = np.tile(np.arange(0, 160, dtype=np.uint16), (160, 1))
    paths = {}
    for bits, factor in ((8, 1), (16, 257)):
        paths[bits] = tmp_path / f"grey-{bits}.png"
        Image.fromarray((ramp * factor).astype(np.uint8 if bits == 8 else np.uint16)).save(
            paths[bits]
        )
    hashes = set()
    for path in paths.values():
        page = open_page()
        page.prepare("a knight", steps=1)
        page.enable()
        page.upload(path)
        page.generate()
        assert page.error() == ""
        hashes.add(re.search(r"LAFI reference: (\w+)", page.infotext()).group(1))
    assert len(hashes) == 1


def test_the_gallery_button_says_that_the_gallery_is_empty(open_page):
    page = open_page()
    page.enable()
    page.click(page.lafi("ui_take"))
    page.wait(lambda: "gallery is empty" in page.text(page.lafi("ui_note")), "the note")
    assert not page.has_image()
    assert not page.script_errors()


def test_a_missing_reference_is_shown_as_an_error(open_page, screenshots):
    page = open_page()
    page.prepare("a knight")
    page.enable()
    page.generate()
    page.screenshot(screenshots, "error")
    assert "LAFI" in page.error()
    assert "image" in page.error()
    assert not page.pictures()


def test_presets_set_the_controls(open_page):
    page = open_page()
    page.enable()
    page.set_number("cutoff", 40)
    page.click(page.lafi("ui_preset_free_pose"))
    page.wait(lambda: page.number("fidelity") == 0.5, "the preset")
    page.wait(lambda: page.number("strength") == 1.5, "its strength")
    page.wait(lambda: page.number("ui_likeness") == 50, "the dial")
    assert (page.number("start"), page.number("cutoff")) == (10, 80)
    page.click(page.lafi("ui_preset_strong_likeness"))
    page.wait(lambda: page.number("strength") == 4, "the strong preset")
    page.wait(lambda: page.number("ui_likeness") == 100, "the dial")
    assert (page.number("start"), page.number("fidelity")) == (0, 1)
    page.click(page.lafi("ui_preset_fast"))
    page.wait(lambda: page.choice("stream") == "noise", "the fast preset")
    page.click(page.lafi("ui_preset_balanced"))
    page.wait(lambda: page.choice("stream") == "inversion", "the defaults again")
    page.wait(lambda: page.number("ui_likeness") == 75, "the dial where it began")
    assert not page.script_errors()


def numbers(page):
    """The dial and the two numbers that it moves."""
    return tuple(page.number(name) for name in ("ui_likeness", "strength", "fidelity"))


def test_the_likeness_moves_both_numbers_and_follows_them(open_page, screenshots):
    page = open_page()
    page.enable()
    assert numbers(page) == (75, 3, 1)
    page.set_number("ui_likeness", 60)
    page.wait(lambda: numbers(page) == (60, 2.1, 0.7), "both numbers")
    # The nearest point of the dial, and the number stays what the user made it.
    page.set_number("strength", 3)
    page.wait(lambda: page.number("ui_likeness") == 75, "the dial")
    time.sleep(1)
    assert numbers(page) == (75, 3, 0.7)
    page.set_number("strength", 0.5)
    page.wait(lambda: page.number("ui_likeness") == 15, "the dial again")
    time.sleep(1)
    assert numbers(page) == (15, 0.5, 0.7)
    page.set_number("ui_likeness", 100)
    page.wait(lambda: numbers(page) == (100, 4, 1), "the end of the dial")
    page.screenshot(screenshots, "likeness")
    assert not page.script_errors()


def test_the_page_says_that_the_figure_is_cut_out(open_page, reference):
    page = open_page()
    page.enable()
    page.upload(reference)
    page.wait(lambda: "The figure is cut out" in page.text(page.lafi("ui_cut")), "it")
    page.click(f'{page.lafi("cutout")} input[value="off"]')
    page.wait(lambda: "cut out" not in page.text(page.lafi("ui_cut")), "the whole picture")
    assert not page.script_errors()


def test_pasted_infotext_sets_the_controls(open_page, screenshots):
    page = open_page()
    page.set_number("strength", 2)
    page.paste(WITH_LAFI)
    page.wait(page.enabled, "LAFI to be switched on")
    page.wait(lambda: page.number("depth") == 40, "the pasted depth")
    assert page.number("cutoff") == 70
    assert page.number("start") == 10
    assert page.number("strength") == 3
    assert page.number("noise_seed") == 77
    assert page.choice("stream") == "noise"
    assert page.number("fidelity") == 0
    page.wait(lambda: page.number("ui_likeness") == 70, "the dial near strength 3 and fidelity 0")
    assert page.value(f"{page.lafi('prompt')} textarea") == "a knight, portrait"
    page.wait(lambda: "1a2b3c4d5e6f" in page.text(page.lafi("ui_note")), "the note")
    page.click(f"{page.lafi('ui_advanced')} .label-wrap")
    page.screenshot(screenshots, "pasted")

    page.paste(WITHOUT_LAFI)
    page.wait(lambda: "nothing of LAFI" in page.text(page.lafi("ui_note")), "the other note")
    assert page.enabled()
    assert page.number("depth") == 40
    assert not page.script_errors()


def test_send_to_img2img_takes_the_reference_along(open_page, reference):
    page = open_page()
    page.prepare("a knight")
    page.enable()
    page.upload(reference)
    page.set_number("depth", 60)
    page.generate()
    assert page.error() == ""
    page.click("#txt2img_send_to_img2img")
    page.switch_to("img2img")
    page.wait(lambda: page.number("depth") == 60, "the depth in the other tab")
    page.wait(page.enabled, "LAFI to be switched on in the other tab")
    page.wait(page.has_image, "the reference in the other tab")
