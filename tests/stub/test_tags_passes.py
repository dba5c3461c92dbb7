"""Tags in batches, passes and other scripts: whoever makes the picture, its own prompt counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from modules import scripts
from modules.processing import StableDiffusionProcessingImg2Img, process_images
from PIL import Image

from .host import WebUI, reference
from .others import Detailer, Sampling
from .tagging import GREEN, RED, digest, failing, made, same, shown

pytestmark = pytest.mark.usefixtures("anna")


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
