"""What outlives a run: encoded references and reports. And the one part of a run that takes long by
itself, the inversion: it can be interrupted, and shows how far it is."""

from __future__ import annotations

from typing import Any

import fastapi
import pytest
import torch
from modules import sd_samplers_common, shared

from lafi.webui import api, options
from lafi.webui.latents import Latents
from lafi.webui.reports import KEPT, Reports

from .host import WebUI, reference

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}
GIVEN = {"image": reference()}


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what was encoded, in order."""
    shapes: list[tuple[int, ...]] = []
    original = sd_samplers_common.images_tensor_to_samples

    def encode(pixels: torch.Tensor, *args: Any) -> torch.Tensor:
        shapes.append(tuple(pixels.shape[-2:]))
        return original(pixels, *args)

    monkeypatch.setattr(sd_samplers_common, "images_tensor_to_samples", encode)
    return shapes


def test_a_size_is_encoded_once(webui: WebUI, encodings: list[tuple[int, ...]]) -> None:
    for _ in range(2):
        webui.txt2img(GIVEN, enable_hr=True, n_iter=2, **SMALL)
    assert encodings == [(64, 64), (128, 128)]
    webui.kept.forget()
    webui.txt2img(GIVEN, **SMALL)
    assert len(encodings) == 3


@pytest.mark.parametrize("change", [
    "picture", "mask", "fit", "checkpoint", "vae", "method", "tiling",
])  # fmt: skip
def test_what_decides_a_latent_encodes_anew(
    a1111: WebUI, encodings: list[tuple[int, ...]], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modules import sd_models, sd_vae
    from modules.processing import process_images

    a1111.txt2img(GIVEN, **SMALL)
    given = dict(GIVEN)
    if change == "picture":
        given["image"] = reference((0, 200, 0))
    elif change == "mask":
        given["mask"] = reference((255, 255, 255)).convert("L").rotate(90)
    elif change == "fit":
        given["fit"] = "stretch"
    elif change == "checkpoint":
        sd_models.model_data.sd_model.sd_model_hash = "another"
    elif change == "vae":
        monkeypatch.setattr(sd_vae, "loaded_vae_file", "another")
    elif change == "method":
        shared.opts.data["sd_vae_encode_method"] = "TAESD"
    asked = a1111.processing(given, **SMALL)
    asked.tiling = True if change == "tiling" else None
    process_images(asked)
    assert len(encodings) == 2


def test_without_replay_nothing_is_kept(a1111: WebUI) -> None:
    shared.opts.data[options.REPLAY] = False
    a1111.txt2img(GIVEN, **SMALL)
    assert (len(a1111.kept.bank), a1111.kept.latents.nbytes) == (0, 0)


def test_a_loaded_model_forgets(a1111: WebUI) -> None:
    from modules import script_callbacks

    a1111.txt2img(GIVEN, **SMALL)
    assert a1111.kept.latents.nbytes > 0
    script_callbacks.model_loaded_callback(None)
    assert (len(a1111.kept.bank), a1111.kept.latents.nbytes) == (0, 0)


def test_latents_keep_to_their_budget() -> None:
    latents = Latents(budget=2 * 4 * 16)
    made = []

    def get(key: int) -> torch.Tensor:
        return latents.get(key, lambda: made.append(key) or torch.full((16,), float(key)))

    for key in (1, 2, 1, 3, 1, 2):  # 3 pushes out 2, which was used longest ago
        assert get(key)[0] == key
    assert made == [1, 2, 3, 2]
    assert latents.nbytes == 2 * 4 * 16


# ---- the inversion ----------------------------------------------------------------------------


def test_an_inversion_shows_how_far_it_is(a1111: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str | None] = []
    monkeypatch.setattr(
        type(shared.state),
        "textinfo",
        property(lambda self: None, lambda self, text: told.append(text)),
    )
    a1111.txt2img(GIVEN | {"stream": "inversion"}, **SMALL)
    assert told == [*(f"LAFI: the reference's path, {done} of 2" for done in range(2)), None]


@pytest.mark.parametrize("stop", ["interrupt", "skip"])
def test_an_inversion_can_be_interrupted(webui: WebUI, stop: str) -> None:
    plain = webui.txt2img(**SMALL)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            getattr(shared.state, stop)()

    handle = webui.unet.middle_block.register_forward_hook(count)
    steps = SMALL | {"steps": 12}
    made = webui.txt2img(GIVEN | {"stream": "inversion"}, **steps)
    handle.remove()
    assert calls == 3
    assert shared.state.textinfo is None
    assert webui.last_run["error"] is None
    assert not any(key.startswith("LAFI") for key in made.infotexts[0])
    shared.state.interrupted = False
    assert torch.equal(webui.txt2img(**SMALL).latents[0], plain.latents[0])


# ---- reports ----------------------------------------------------------------------------------


def test_a_pictures_infotext_finds_its_run(a1111: WebUI) -> None:
    first = a1111.txt2img(GIVEN, **SMALL).infotexts[0]["LAFI run"]
    second = a1111.txt2img(GIVEN | {"depth": 50}, **SMALL).infotexts[0]["LAFI run"]
    assert api.last_run()["id"] == second != first
    assert api.last_run(first)["settings"] == {}
    assert api.last_run(second)["settings"] == {"depth": 50}
    with pytest.raises(fastapi.HTTPException) as caught:
        api.last_run("feed")
    assert caught.value.status_code == 404
    assert "'feed'" in caught.value.detail


def test_only_the_latest_reports_are_kept() -> None:
    reports = Reports()
    assert reports.latest() == {}
    for index in range(KEPT + 1):
        reports.add({"id": str(index)})
    assert reports.find("0") is None
    assert reports.find("1") == {"id": "1"}
    assert reports.latest() == {"id": str(KEPT)}
