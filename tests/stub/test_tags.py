"""Tags in prompts: a character acts, whoever makes the picture, or there is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import scripts
from modules.processing import StableDiffusionProcessingImg2Img, process_images
from PIL import Image

from lafi.errors import LafiError

from .host import WebUI, reference
from .others import Detailer, Sampling

RED, GREEN = (200, 40, 60), (40, 200, 60)


@pytest.fixture(autouse=True)
def anna(tmp_path: Path) -> Iterator[Path]:
    """A library with anna and bob."""
    from modules import shared

    shared.cmd_opts.lafi_dir = str(tmp_path)
    reference(RED).save(tmp_path / "anna.png")
    reference(GREEN).save(tmp_path / "bob.png")
    yield tmp_path
    shared.reset()


def made(webui: WebUI, prompt: Any, lafi: Any = None, **fields: Any) -> Any:
    """Pictures of a prompt; LAFI is off unless it is given."""
    return webui.txt2img(lafi, prompt=prompt, **fields)


def digest(name: str, cutout: str = "auto") -> str:
    from lafi.webui.characters.folder import library

    return library().hash(library().find(name), "#ffffff", cutout)


def same(one: Any, two: Any) -> bool:
    return torch.equal(torch.stack(list(one.latents)), torch.stack(list(two.latents)))


def shown(run: dict[str, Any]) -> list[str]:
    """Whom a run showed; the hashes are those of the library."""
    hashes = {name: digest(name) for name in ("anna", "bob")}
    assert all(each["hash"] == hashes[each["name"]] for each in run["references"])
    return [each["name"] for each in run["references"]]


def failing(webui: WebUI, prompt: Any, match: str, **fields: Any) -> LafiError:
    with pytest.raises(LafiError, match=match) as failure:
        made(webui, prompt, **fields)
    return failure.value


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


def test_a_tag_without_strength_is_none(a1111: WebUI) -> None:
    plain = made(a1111, "x ")
    off = made(a1111, "x <lafi:anna:0>")
    assert same(off, plain)
    assert not any(key.startswith("LAFI") for key in off.infotexts[0])


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


# ---- batches, passes, other scripts -----------------------------------------------------------


def test_batches_may_call_different_characters(webui: WebUI) -> None:
    prompts = ["x <lafi:anna>", "x ", "x <lafi:bob>", "x <lafi:anna>"]
    found = made(webui, prompts, n_iter=4)
    alone = [made(webui, prompt, seed=1 + n).latents[0] for n, prompt in enumerate(prompts)]
    assert torch.equal(torch.stack(list(found.latents)), torch.stack(alone))
    said = [each.get("LAFI characters") for each in found.infotexts]
    assert said == [
        f"anna {digest('anna')}", None, f"bob {digest('bob')}", f"anna {digest('anna')}",
    ]  # fmt: skip
    assert found.infotexts[1] == {}


def passes(webui: WebUI) -> list[tuple[str, bool]]:
    return [(each["name"], each["injected"] > 0) for each in webui.last_run["passes"]]


@pytest.mark.parametrize(("prompt", "hires", "acted", "said"), [
    ("x <lafi:anna>", "", [("first", True), ("hires", True)], ["anna"]),
    ("x <lafi:anna>", "y", [("first", True)], ["anna"]),
    ("x", "y <lafi:bob>", [("hires", True)], ["bob"]),
    ("x <lafi:anna>", "y <lafi:bob>", [("first", True), ("hires", True)], ["anna", "bob"]),
])  # fmt: skip
def test_each_pass_has_its_own_prompts_tags(
    webui: WebUI, prompt: str, hires: str, acted: Any, said: list[str]
) -> None:
    found = made(webui, prompt, enable_hr=True, hr_prompt=hires)
    assert passes(webui) == acted
    pairs = ", ".join(f"{name} {digest(name)}" for name in said)
    assert found.infotexts[0]["LAFI characters"] == pairs
    assert webui.swallowed() == []


def test_a_wrong_tag_of_the_hires_prompt_is_told_before_the_first_pass(a1111: WebUI) -> None:
    failing(a1111, "x", "no character 'ana'", enable_hr=True, hr_prompt="y <lafi:ana>")
    assert a1111.last_run["passes"] == []


def test_img2img_has_tags(a1111: WebUI) -> None:
    kind = {"kind": StableDiffusionProcessingImg2Img, "init_images": [reference(GREEN)]}
    by_tag = made(a1111, "x <lafi:anna>", **kind)
    assert same(by_tag, made(a1111, "x ", {"image": reference(RED)}, **kind))


class Words(scripts.Script):
    """Dynamic prompts: other prompts than the user wrote, after LAFI has begun."""

    def process(self, p: Any, *args: Any) -> None:
        p.all_prompts = ["x <lafi:bob>" for _ in p.all_prompts]


def test_a_script_may_bring_the_tag(a1111: WebUI) -> None:
    wanted = made(a1111, "x <lafi:bob>")
    a1111.add(Words())
    assert same(made(a1111, "__hero__"), wanted)
    assert same(made(a1111, "x <lafi:anna>"), wanted)


@pytest.mark.parametrize("listed", [True, False])
def test_the_detailers_own_prompt_calls_its_own(webui: WebUI, listed: bool) -> None:
    inside = webui.runner if listed else scripts.ScriptRunner()
    webui.add(Detailer(inside, prompt="a face <lafi:bob>"))
    found = made(webui, "x <lafi:anna>")
    (inner,) = webui.last_run["inner"]
    assert shown(inner) == ["bob"]
    assert shown(webui.last_run) == ["anna"]
    assert found.infotexts[0]["LAFI characters"] == f"anna {digest('anna')}"
    assert webui.swallowed() == []


@pytest.mark.parametrize("listed", [True, False])
def test_only_the_detailers_prompt_has_a_tag(webui: WebUI, listed: bool) -> None:
    inside = webui.runner if listed else scripts.ScriptRunner()
    plain = made(webui, "x")
    webui.add(Detailer(inside, prompt="a face <lafi:bob>"))
    found = made(webui, "x")
    assert same(found, plain)  # latents before the detailer
    assert shown(webui.last_run) == ["bob"]
    assert found.images[0].tobytes() != plain.images[0].tobytes()


@pytest.mark.parametrize(("left", "injected"), [(0, True), (64, False)])
def test_a_face_outside_of_the_region_is_redrawn_without(
    a1111: WebUI, left: int, injected: bool
) -> None:
    a1111.add(Detailer(a1111.runner, prompt="a face <lafi:anna:1:left>"))
    a1111.add(Sampling("process", lambda p: face(p, left)))
    made(a1111, "x <lafi:anna:1:left>")
    (inner,) = a1111.last_run["inner"]
    assert inner["error"] is None
    assert any(each["injected"] for each in inner["passes"]) == injected


def face(p: Any, left: int) -> None:
    """What inpainting a part alone sets, where a picture is made within a picture."""
    if isinstance(p, StableDiffusionProcessingImg2Img):
        p.paste_to, p.mask_for_overlay = (left, 0, 64, 64), Image.new("L", (128, 128))


def test_what_x_y_z_sets_holds_for_tags(a1111: WebUI) -> None:
    p = a1111.processing(None, prompt="x <lafi:anna>")
    p.lafi_overrides = {"depth": 40}
    by_tag = process_images(p)
    loaded = made(a1111, "x ", {"image": reference(RED), "depth": 40})
    assert torch.equal(by_tag.latents[0], loaded.latents[0])


# ---- infotext ---------------------------------------------------------------------------------


def test_the_infotext_names_characters_and_no_reference(a1111: WebUI) -> None:
    said = made(a1111, "x <lafi:anna>").infotexts[0]
    assert said["LAFI characters"] == f"anna {digest('anna')}"
    assert "LAFI reference" not in said
    both = made(a1111, "x <lafi:anna:0>", {"image": reference(GREEN)}).infotexts[0]
    assert both["LAFI reference"] == digest("bob")
    assert "LAFI characters" not in both


def test_the_hash_is_of_the_picture_as_it_is_used(a1111: WebUI) -> None:
    said = made(a1111, "x <lafi:anna>", {"enabled": False, "cutout": "off"}).infotexts[0]
    assert said["LAFI characters"] == f"anna {digest('anna', 'off')}"
    assert digest("anna", "off") != digest("anna")


def pasted(params: dict[str, str]) -> dict[str, Any]:
    from lafi.webui import infotext

    params = dict(params)
    infotext.on_infotext_pasted("", params)
    return params


def test_pasting_a_picture_of_tags_leaves_the_accordion_off(a1111: WebUI) -> None:
    assert pasted(made(a1111, "x <lafi:anna>").infotexts[0])["LAFI enabled"] == "False"
    loaded = made(a1111, "x", {"image": reference(RED)}).infotexts[0]
    assert pasted(loaded)["LAFI enabled"] == "True"


@pytest.mark.parametrize(("change", "words"), [
    (lambda folder: None, ""),
    (lambda folder: reference(GREEN).save(folder / "anna.png"), "anna has changed since"),
    (lambda folder: (folder / "anna.png").unlink(), "anna is not in the library any more"),
    (lambda folder: (folder / "anna.png").write_bytes(b"x"), "anna cannot be used any more"),
])  # fmt: skip
def test_pasting_tells_what_has_changed(a1111: WebUI, anna: Path, change: Any, words: str) -> None:
    from lafi.webui.characters import pasting

    params = made(a1111, "x <lafi:anna>").infotexts[0]
    change(anna)
    note = pasting.note(params)
    assert words in note
    assert bool(note) == bool(words)


def test_pasting_tells_whose_picture_the_reference_is(a1111: WebUI) -> None:
    from lafi.webui.characters import pasting

    params = {"LAFI version": "1", "LAFI reference": digest("bob")}
    assert pasting.note(params) == "It is bob of the library: press Find by hash."
    assert pasting.note(params | {"LAFI cutout": "off"}) == ""


def test_any_pasted_text_is_answered(a1111: WebUI) -> None:
    from lafi.webui.characters import pasting

    for text in ("", "anna", " ", ",", "anna 1, ", "../x 1", "a b c", "\0 \0"):
        pasting.note({"LAFI characters": text, "LAFI version": "1"})


def test_a_tag_parses_from_any_text() -> None:
    from lafi.webui.characters import tags

    for text in ("=", "a=b=c", "::::", "1:2:3", "strength=x:region=", "a:\ud800"):
        with pytest.raises(LafiError):
            tags.parse(text.split(":"))
    assert tags.parse([""]).name == tags.parse(["strength=", "region="]).name == ""


def test_the_network_is_registered_once_for_each_start(a1111: WebUI) -> None:
    from modules import extra_networks, script_callbacks

    script_callbacks.run("before_ui")
    assert list(extra_networks.extra_network_registry) == ["lafi"]
    network = extra_networks.extra_network_registry["lafi"]
    network.activate(SimpleNamespace(), [])
    network.deactivate(SimpleNamespace())
