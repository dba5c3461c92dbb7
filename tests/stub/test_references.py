"""Several references in one run: each picture is opened, encoded and reported by itself."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
import torch
from modules import sd_samplers_common
from modules.processing import process_images
from PIL import Image

from lafi.errors import LafiError
from lafi.settings import BY_NAME, parse

from .host import WebUI, reference

RED, GREEN, BLUE = reference(), reference((30, 160, 60)), reference((40, 60, 220))
BUSY = Image.effect_noise((128, 128), 90).convert("RGB")
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3}
TWO = {"image": RED, "region": "left", "references": [{"image": GREEN, "region": "right"}]}


def data(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


# ---- opening ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "name"), [
    ({"image": [RED, "no picture"]}, "image[1]"), ({"image": RED, "views": [b"no"]}, "views[0]"),
    ({"image": [RED, GREEN], "mask": [None, "no"]}, "mask[1]"),
    ({"image": [RED, GREEN], "mask": [None, Image.new("L", (9, 9))]}, "mask[1]"),
    ({"references": [{"image": RED}, {"image": [GREEN, "no"]}]}, "references[1].image[1]"),
    ({"references": [{"image": RED, "mask": "no"}]}, "references[0].mask"),
    ({"image": RED, "references": [{"image": "/etc/hostname"}]}, "references[0].image"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_a_picture_that_cannot_be_used_is_named(a1111: WebUI, fields: Any, name: str) -> None:
    with pytest.raises(LafiError) as caught:
        a1111.txt2img(fields)
    assert [each["loc"] for each in caught.value.problems] == [[name]]


def test_validate_opens_all_pictures(a1111: WebUI) -> None:
    from lafi.webui import api

    good = {"image": [data(RED), data(GREEN)], "references": [{"image": data(BLUE)}]}
    assert api.check(good) == {"valid": True, "acts": True}
    assert api.check({"anchor": "batch"}) == {"valid": True, "acts": True}
    good["references"].append({"image": "no"})
    answer = api.check(good)
    assert answer.status_code == 422
    assert [each["loc"] for each in answer.content] == [["references[1].image"]]


def views(fields: dict[str, Any]) -> list[list[Any]]:
    from lafi.webui.views import open_views

    return open_views(parse([fields]))


def test_every_view_is_cut_out_and_masked_by_itself(a1111: WebUI) -> None:
    half = Image.new("L", (128, 128))
    half.paste(255, (0, 0, 64, 128))
    clear = GREEN.copy()
    clear.putalpha(half)
    [[first, second, third, fourth]] = views(
        {"image": [BUSY, GREEN, GREEN], "views": [clear], "mask": [half]}
    )
    assert first.picture.mask.tobytes() == half.tobytes()
    assert second.picture.figure == pytest.approx(48 * 104 / 128**2, abs=0.02)
    assert second.picture.hash == third.picture.hash
    assert (fourth.picture.figure, fourth.picture.mask.tobytes()) == (None, half.tobytes())


def test_a_file_from_the_page_is_the_picture_in_it(a1111: WebUI) -> None:
    [[one, other]] = views({"image": RED, "views": [base64.b64decode(data(RED))]})
    assert one.picture.hash == other.picture.hash


# ---- runs -------------------------------------------------------------------------------------


def test_every_picture_is_recorded_and_reported(webui: WebUI) -> None:
    made = webui.txt2img(TWO | {"views": [BLUE], "strength": 1.5}, **SMALL)
    report = webui.last_run
    hashes = [each["hash"] for each in report["references"]]
    assert len(set(hashes)) == 3
    assert [each["strength"] for each in report["references"]] == [1.5] * 3
    left, right = [0, 0.5, 0, 1], [0.5, 1, 0, 1]
    assert [list(each["region"]) for each in report["references"]] == [left, left, right]
    [one] = report["passes"]
    assert [each["name"] for each in one["references"]] == hashes
    assert all(each["recorded"] for each in one["references"])
    assert made.infotexts[0]["LAFI reference"] == f"{hashes[0]} {hashes[1]}"
    assert made.infotexts[0]["LAFI reference 2"] == hashes[2]
    assert (made.infotexts[0]["LAFI region"], made.infotexts[0]["LAFI region 2"]) == (
        "left", "right",
    )  # fmt: skip
    assert webui.swallowed() == []


def test_each_reference_and_each_region_has_its_part(webui: WebUI) -> None:
    variants = [
        TWO, {"image": RED}, {"image": RED, "region": "left"}, {"image": RED, "views": [GREEN]},
        {"image": RED, "references": [{"image": GREEN}]} | {"region": "right"},
        {**TWO, "references": [{"image": GREEN, "region": "right", "strength": 0.5}]},
    ]  # fmt: skip
    made = [webui.txt2img(each, **SMALL).latents[0] for each in variants]
    for index, one in enumerate(made):
        assert not any(torch.equal(one, other) for other in made[:index])
    assert torch.equal(webui.txt2img(TWO, **SMALL).latents[0], made[0])


def test_views_and_a_reference_of_its_own_are_the_same_without_a_region(webui: WebUI) -> None:
    one = webui.txt2img({"image": RED, "views": [GREEN]}, **SMALL).latents[0]
    for same in ({"image": [RED, GREEN]}, {"image": RED, "references": [{"image": GREEN}]},
                 {"references": [{"image": RED}, {"image": GREEN}]},
                 {"references": [{"image": [RED, GREEN]}]}):  # fmt: skip
        assert torch.equal(webui.txt2img(same, **SMALL).latents[0], one)


def test_a_reference_of_strength_0_is_left_out(webui: WebUI) -> None:
    alone = webui.txt2img({"image": RED}, **SMALL).latents[0]
    fields = {"image": RED, "references": [{"image": GREEN, "strength": 0}]}
    assert torch.equal(webui.txt2img(fields, **SMALL).latents[0], alone)


def test_each_picture_is_encoded_once(webui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[Any] = []
    original = sd_samplers_common.images_tensor_to_samples

    def encode(pixels: torch.Tensor, *args: Any) -> torch.Tensor:
        shapes.append(tuple(pixels.shape[-2:]))
        return original(pixels, *args)

    monkeypatch.setattr(sd_samplers_common, "images_tensor_to_samples", encode)
    fields = TWO | {"fit": "crop"}  # in both passes of another size
    for _ in range(2):
        webui.txt2img(fields | {"views": [BLUE]}, enable_hr=True, **SMALL)
    assert shapes == [(64, 64)] * 3 + [(128, 128)] * 3
    webui.txt2img(fields | {"views": [BUSY]}, **SMALL)
    assert len(shapes) == 7


def test_another_reference_leaves_the_first_ones_recordings(webui: WebUI) -> None:
    webui.txt2img({"image": RED}, **SMALL)
    webui.txt2img({"image": RED, "references": [{"image": GREEN}]}, **SMALL)
    first, second = webui.last_run["passes"][0]["references"]
    assert (first["recorded"], second["replayed"]) == (0, 0)
    assert first["replayed"]
    assert second["recorded"]


def test_each_reference_has_its_own_prompt(a1111: WebUI, monkeypatch) -> None:
    from modules import sd_models

    asked: list[str] = []
    model = sd_models.model_data.sd_model
    original = model.get_learned_conditioning
    monkeypatch.setattr(model, "get_learned_conditioning",
                        lambda texts: asked.extend(texts) or original(texts))  # fmt: skip
    fields = {
        "image": [RED, BLUE], "prompt": "a boy",
        "references": [{"image": GREEN, "prompt": "a girl"}, {"image": GREEN}],
    }  # fmt: skip
    a1111.txt2img(fields, **SMALL)
    assert [each for each in asked if each in ("a boy", "a girl")] == ["a boy", "a boy", "a girl"]
    assert "" in asked


def test_overrides_set_a_references_strength(a1111: WebUI) -> None:
    asked = a1111.processing(TWO, **SMALL)
    asked.lafi_overrides = {"references[0].strength": 0.5}
    made = process_images(asked)
    assert [each["strength"] for each in a1111.last_run["references"]] == [
        BY_NAME["strength"].default, 0.5,
    ]  # fmt: skip
    assert made.infotexts[0]["LAFI strength 2"] == "0.5"
