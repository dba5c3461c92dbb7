"""The library of characters on the page of a running WebUI."""

from __future__ import annotations

import json
import re

from lafi.settings import BY_NAME


def save(page, name):
    page.set(f"{page.lafi('ui_character')} textarea, {page.lafi('ui_character')} input", name)
    page.click(page.lafi("ui_save"))
    page.wait(lambda: "Saved" in page.text(page.lafi("ui_note")), "the note that it is saved")


def test_a_saved_reference_is_a_card_and_a_tag(open_page, reference, screenshots, name):
    page = open_page()
    page.prepare("a knight")
    page.enable()
    page.upload(reference)
    save(page, name)
    page.screenshot(screenshots, "saved-character")
    (tab,) = [each for each in page.all("#txt2img_extra_tabs button") if each.text == "Characters"]
    page.driver.execute_script("arguments[0].click()", tab)
    page.click("#txt2img_characters_extra_refresh")
    card = f'#txt2img_characters_cards .card[data-name="{name}"]'
    page.wait(lambda: page.all(card), "the card")
    page.driver.execute_script("arguments[0].scrollIntoView()", page.one(card))
    page.wait(lambda: page.read(f"{card} img", "naturalWidth") == [160], "the card's picture")
    page.driver.save_screenshot(str(screenshots / "characters.png"))
    page.click(card)
    prompt = "#txt2img_prompt textarea"
    assert page.value(prompt).endswith(f"<lafi:{name}:{BY_NAME['strength'].default:g}>")
    page.click(card)
    assert "<lafi" not in page.value(prompt)
    page.click(card)
    page.click(f"{card} .edit-button")
    editor = "#txt2img_characters_edit_user_metadata"
    page.wait(lambda: page.one(editor).is_displayed(), "the editor")
    page.driver.save_screenshot(str(screenshots / "characters-editor.png"))
    page.click(".global-popup-close")
    assert not page.script_errors()

    page = open_page()
    page.prepare(f"a knight <lafi:{name}>")
    page.generate()
    assert page.error() == ""
    assert f"LAFI characters: {name}" in page.infotext()
    page.prepare(f"a knight <lafi:{name}x>")
    page.generate()
    assert f"did you mean {name}" in page.error()


def test_a_pasted_hash_finds_the_picture(open_page, reference, screenshots, name):
    page = open_page()
    page.prepare("a knight", steps=1)
    page.enable()
    page.upload(reference)
    page.generate()
    digest = re.search(r"LAFI reference: (\w+)", page.infotext()).group(1)
    save(page, name)
    page.clear_image()
    page.paste(
        "a knight\nSteps: 5, Sampler: Euler a, CFG scale: 6, Seed: 3, Size: 128x128, "
        f"LAFI reference: {digest}, LAFI depth: 100, LAFI cutoff: 80, LAFI version: 0.1.0"
    )
    page.wait(lambda: digest in page.text(page.lafi("ui_note")), "the note")
    page.click(page.lafi("ui_find"))
    page.wait(page.has_image, "the found picture")
    page.wait(lambda: name in page.text(page.lafi("ui_note")), "whose it is")
    page.screenshot(screenshots, "found-by-hash")
    assert not page.script_errors()


def test_the_figure_is_cut_out_at_a_press(open_page, reference, screenshots):
    page = open_page()
    page.enable()
    page.upload(reference)
    page.click(page.lafi("ui_cut_out"))
    page.wait(lambda: page.all(f"{page.lafi('mask')} img"), "the mask")
    assert "Cut out by" in page.text(page.lafi("ui_note"))
    page.click(f"{page.lafi('ui_advanced')} .label-wrap")
    page.screenshot(screenshots, "cut-out")
    assert not page.script_errors()


def test_pasted_tags_tell_that_the_character_is_another(open_page, name, reference):
    page = open_page()
    page.enable()
    page.upload(reference)
    save(page, name)
    said = json.dumps(f"{name} 000000000000, nobody 000000000000")
    page.paste(
        f"a knight <lafi:{name}>\nSteps: 5, Sampler: Euler a, CFG scale: 6, Seed: 3, "
        f"Size: 128x128, LAFI characters: {said}, LAFI depth: 100, LAFI cutoff: 80, "
        "LAFI version: 0.1.0"
    )
    page.wait(lambda: f"{name} has changed" in page.text(page.lafi("ui_note")), "the note")
    assert "nobody is not in the library" in page.text(page.lafi("ui_note"))
    page.wait(lambda: not page.enabled(), "LAFI's own accordion to be switched off")
    assert not page.script_errors()
