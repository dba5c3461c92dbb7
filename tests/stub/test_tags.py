"""Tags in prompts: a character acts, or there is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from modules.processing import process_images
from PIL import Image

from .host import WebUI, reference
from .tagging import GREEN, RED, digest, failing, made, same, shown

pytestmark = pytest.mark.usefixtures("anna")


# ---- what a tag does --------------------------------------------------------------------------


def test_a_tag_is_the_loaded_picture(webui: WebUI) -> None:
    by_tag = made(webui, "a knight runs <lafi:anna>")
    loaded = made(webui, "a knight runs ", {"image": reference(RED)})
    assert same(by_tag, loaded)
    assert not same(by_tag, made(webui, "a knight runs "))
    assert webui.swallowed() == []


@pytest.mark.parametrize(("tag", "fields"), [
    ("<lafi:anna:1.5>", {"strength": 1.5}), ("<lafi:anna:strength=0.5>", {"strength": 0.5}),
    ("<lafi:name=anna:1>", {"strength": 1}), ("<LAFI: anna : 1 >", {"strength": 1}),
    ("<lafi:anna:>", {}), ("<lafi:ANNA>", {}),
])  # fmt: skip
def test_forms_of_a_tag(a1111: WebUI, tag: str, fields: dict[str, Any]) -> None:
    by_tag = made(a1111, f"a knight runs {tag}")
    assert same(by_tag, made(a1111, "a knight runs ", {"image": reference(RED), **fields}))


def test_the_accordions_other_settings_hold(a1111: WebUI) -> None:
    fields = {"depth": 50, "cutoff": 60, "strength": 1}
    off = {"enabled": False, "image": reference(GREEN), **fields}
    by_tag = made(a1111, "x <lafi:anna>", off)
    assert same(by_tag, made(a1111, "x ", {"image": reference(RED), **fields}))


def test_metadata_of_the_character_holds_where_the_tag_says_nothing(
    a1111: WebUI, anna: Path
) -> None:
    (anna / "anna.json").write_text('{"preferred weight": 1, "lafi": {"prompt": "a boy"}}')
    asked = {"image": reference(RED), "prompt": "a boy"}
    assert same(made(a1111, "x <lafi:anna>"), made(a1111, "x ", asked | {"strength": 1}))
    assert same(made(a1111, "x <lafi:anna:0.5>"), made(a1111, "x ", asked | {"strength": 0.5}))


def test_a_mask_of_the_library_is_used(a1111: WebUI, anna: Path) -> None:
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 0, 64, 128))
    mask.save(anna / "anna.mask.png")
    loaded = made(a1111, "x ", {"image": reference(RED), "mask": mask})
    assert same(made(a1111, "x <lafi:anna>"), loaded)


def test_several_tags_are_several_references(webui: WebUI) -> None:
    by_tag = made(webui, "x <lafi:anna:1:left> <lafi:bob:region=right>")
    assert shown(webui.last_run) == ["anna", "bob"]
    assert [each["region"] for each in webui.last_run["references"]] == [
        (0, 0.5, 0, 1), (0.5, 1, 0, 1),
    ]  # fmt: skip
    entries = [
        {"image": reference(RED), "strength": 1, "region": "left"},
        {"image": reference(GREEN), "region": "right"},
    ]
    assert same(by_tag, made(webui, "x  ", {"references": entries}))
    said = by_tag.infotexts[0]
    assert said["LAFI characters"] == f"anna {digest('anna')}, bob {digest('bob')}"
    assert not any(key.startswith("LAFI reference") for key in said)


def test_views_of_a_character_act_together(a1111: WebUI, anna: Path) -> None:
    (anna / "carl").mkdir()
    reference(RED).save(anna / "carl" / "front.png")
    reference(GREEN).save(anna / "carl" / "side.png")
    by_tag = made(a1111, "x <lafi:carl>")
    assert same(by_tag, made(a1111, "x ", {"image": [reference(RED), reference(GREEN)]}))
    assert by_tag.infotexts[0]["LAFI characters"] == f"carl {digest('carl')}"


def test_a_tag_acts_beside_the_loaded_reference(a1111: WebUI) -> None:
    both = made(a1111, "x <lafi:bob>", {"image": reference(RED)})
    given = {"image": reference(RED), "references": [{"image": reference(GREEN)}]}
    assert same(both, made(a1111, "x ", given))
    assert both.infotexts[0]["LAFI reference"] == digest("anna")
    assert both.infotexts[0]["LAFI characters"] == f"bob {digest('bob')}"
    assert "LAFI reference 2" not in both.infotexts[0]


def test_the_first_picture_stays_the_anchor_whoever_is_called(a1111: WebUI) -> None:
    anchored = {"anchor": "batch"}
    prompts = ["x ", "x <lafi:anna:0.001>"]
    found = made(a1111, prompts, anchored, n_iter=2)
    near = made(a1111, ["x ", "x "], anchored, n_iter=2)
    plain = made(a1111, ["x ", "x "], n_iter=2)
    assert torch.allclose(found.latents[1], near.latents[1], atol=1e-2)
    assert not torch.allclose(found.latents[1], plain.latents[1], atol=1e-2)


def test_a_tag_without_strength_is_none(a1111: WebUI, caplog: Any) -> None:
    caplog.set_level("INFO", "LAFI")
    plain = made(a1111, "x ")
    off = made(a1111, "x <lafi:anna:0>")
    assert same(off, plain)
    assert not any(key.startswith("LAFI") for key in off.infotexts[0])
    beside = made(a1111, "x <lafi:anna:0> <lafi:bob>")
    assert same(beside, made(a1111, "x  <lafi:bob>"))
    assert beside.infotexts[0]["LAFI characters"] == f"bob {digest('bob')}"
    assert "<lafi:anna:0> has strength 0: it is off" in caplog.text
    # LAFI is on, and nobody is left to keep.
    failing(a1111, "x <lafi:anna:0>", "image: is missing", lafi={})


def test_where_the_accordions_strength_is_0_a_tag_that_says_nothing_is_off(a1111: WebUI) -> None:
    plain, off = made(a1111, "x "), {"enabled": False, "strength": 0}
    found = made(a1111, "x <lafi:anna>", off)
    assert same(found, plain)
    assert found.infotexts == [{}]
    said = made(a1111, "x <lafi:anna> <lafi:bob:1>", off).infotexts[0]
    assert said["LAFI characters"] == f"bob {digest('bob')}"


@pytest.mark.parametrize("fields", [{"depth": 0}, {"cutoff": 0}], ids=str)
def test_where_nothing_acts_nothing_is_claimed(a1111: WebUI, fields: dict[str, Any]) -> None:
    found = made(a1111, "x <lafi:anna>", {"enabled": False, **fields})
    assert same(found, made(a1111, "x "))
    assert not any(key.startswith("LAFI") for key in found.infotexts[0])


def test_with_extra_networks_off_a_tag_is_only_text(a1111: WebUI) -> None:
    found = made(a1111, "x <lafi:nobody>", disable_extra_networks=True)
    assert found.infotexts == [{}]


# ---- what is wrong is told --------------------------------------------------------------------


@pytest.mark.parametrize(("prompt", "words"), [
    ("<lafi:ana>", r"<lafi:ana>: there is no character 'ana'; did you mean anna\?"),
    ("<lafi:../anna>", "<lafi:../anna>: .*may hold letters"),
    ("<lafi:anna:high>", "<lafi:anna:high>: strength must be a number"),
    ("<lafi:anna:9>", "strength must be a number from 0 to 4"),
    ("<lafi:anna:-1>", "strength must be a number"), ("<lafi:anna:nan>", "strength must be"),
    ("<lafi:anna:1:lefft>", "region is no region; did you mean left"),
    ("<lafi:anna:1:left:more>", "<lafi:anna:1:left:more>: is no tag; a tag is <lafi:NAME"),
    ("<lafi:anna:colour=red>", "is no tag"), ("<lafi:anna:1:strength=2>", "region must be"),
    ("<lafi:anna:strength=2:strength=2>", "is no tag"),
    ("<lafi: >", "must be a name"), ("<lafi>", "'<lafi>' is no tag"),
    ("<lafi anna>", "is no tag"), ("<lafi:>", "is no tag"), ("x <lafi:anna", "is no tag"),
])  # fmt: skip
def test_a_wrong_tag_is_an_error(a1111: WebUI, prompt: str, words: str) -> None:
    failing(a1111, f"a knight {prompt}", words)
    assert a1111.last_run["error"] is not None
    assert made(a1111, "a knight").infotexts == [{}]


def test_an_unknown_name_answers_over_the_api(a1111: WebUI) -> None:
    from fastapi import HTTPException

    p = a1111.processing(None, prompt="<lafi:ana>")
    p.is_api = True
    with pytest.raises(HTTPException) as failure:
        process_images(p)
    assert failure.value.status_code == 422
    assert failure.value.detail[0]["loc"] == ["prompt"]


def test_a_bad_picture_of_the_library_is_an_error(a1111: WebUI, anna: Path) -> None:
    (anna / "anna.png").write_bytes(b"no picture")
    error = failing(a1111, "<lafi:anna>", "anna.png: cannot be read")
    assert error.code == "bad_character"


def test_a_tag_in_the_negative_prompt_is_an_error(a1111: WebUI) -> None:
    failing(a1111, "x", "negative prompt: '<lafi:anna>'", negative_prompt="ugly <lafi:anna>")


def test_pictures_of_a_batch_that_differ_are_an_error(a1111: WebUI) -> None:
    prompts = ["x <lafi:anna>", "x <lafi:bob>"]
    failing(a1111, prompts, "batch count instead of batch size", batch_size=2)
    failing(a1111, ["x", "x <lafi:bob>"], "batch count", batch_size=2)
    assert len(made(a1111, ["a <lafi:anna>", "b <lafi:anna>"], batch_size=2).latents) == 2


def test_if_the_user_wants_the_picture_is_made_without(a1111: WebUI) -> None:
    going_on = {"lafi_stop_on_error": False}
    found = made(a1111, "x <lafi:ana>", override_settings=going_on)
    assert found.infotexts[0]["LAFI error"] == "unknown_character"
    assert same(found, made(a1111, "x "))


def test_a_tag_serves_where_lafi_is_on_without_a_picture(a1111: WebUI) -> None:
    assert same(made(a1111, "x <lafi:anna>", {}), made(a1111, "x <lafi:anna>"))
    failing(a1111, "x", "image: is missing", lafi={})
    failing(a1111, ["x <lafi:anna>", "x"], "image: is missing", lafi={}, n_iter=2)
