"""Pictures within pictures: what counts as their pass, what reaches them, and their errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from modules import processing, scripts, shared

from lafi.webui import options

from .host import WebUI, reference
from .models import FirstStage
from .others import Detailer

GIVEN = {"image": reference()}
SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3}
# Holds an evaluation of ten, and none of three.
NARROW = {"image": reference(), "start": 70, "cutoff": 80}
TEN: dict[str, Any] = {"width": 64, "height": 64, "steps": 10}


def detailed(webui: WebUI, **changes: Any) -> None:
    """Adds a detailer that has LAFI's script within."""
    inside = scripts.ScriptRunner()
    inside.alwayson_scripts = [webui.script]
    webui.add(Detailer(inside, **changes))


@pytest.mark.parametrize(
    ("passes", "outer", "inner"),
    [
        ("both", ["first", "hires"], ["first"]),
        ("first", ["first"], ["first"]),
        ("hires", ["hires"], []),
    ],
)
def test_an_inner_pass_is_a_first_one(
    webui: WebUI, passes: str, outer: list[str], inner: list[str]
) -> None:
    detailed(webui)
    webui.txt2img(GIVEN | {"passes": passes}, enable_hr=True, **SMALL)
    report = webui.last_run
    assert webui.swallowed() == []
    assert [each["name"] for each in report["passes"] if each["injected"]] == outer
    assert [p["name"] for each in report["inner"] for p in each["passes"]] == inner
    assert report["error"] is None


def test_the_inner_picture_changes(a1111: WebUI) -> None:
    a1111.add(Detailer())
    without = a1111.txt2img(GIVEN, **SMALL).images[0]
    a1111.runner.alwayson_scripts[1:] = []
    detailed(a1111)
    assert a1111.txt2img(GIVEN, **SMALL).images[0].tobytes() != without.tobytes()


def test_overrides_reach_the_inner_picture(a1111: WebUI) -> None:
    detailed(a1111)
    request = a1111.processing(GIVEN, **SMALL)
    request.lafi_overrides = {"depth": 30.0}
    from modules.processing import process_images

    process_images(request)
    report = a1111.last_run
    assert report["settings"]["depth"] == 30
    assert [each["settings"]["depth"] for each in report["inner"]] == [30]


def test_an_inner_error_is_told(webui: WebUI, caplog: pytest.LogCaptureFixture) -> None:
    """The host swallows it: the face stays as it was."""
    detailed(webui)
    made = webui.txt2img(NARROW, **TEN)
    report = webui.last_run
    assert report["error"] is None
    assert [each["error"]["code"] for each in report["inner"]] == ["empty_window"]
    assert made.infotexts[0]["LAFI inner error"] == "empty_window"
    assert "LAFI version" in made.infotexts[0]
    assert "empty_window" in caplog.text
    assert len(webui.swallowed()) == 1


def test_an_inner_error_after_sampling_is_told(
    webui: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    detailed(webui)
    decode, sizes = FirstStage.decode, []

    def fail_the_second(self: FirstStage, latent: torch.Tensor) -> torch.Tensor:
        sizes.append(latent.shape)
        if len(sizes) == 2:
            raise MemoryError("while decoding")
        return decode(self, latent)

    monkeypatch.setattr(FirstStage, "decode", fail_the_second)
    made = webui.txt2img(GIVEN, **SMALL)
    [inner] = webui.last_run["inner"]
    assert inner["error"] == {"code": "MemoryError", "message": "while decoding"}
    assert made.infotexts[0]["LAFI inner error"] == "MemoryError"
    assert webui.last_run["error"] is None
    assert len(webui.swallowed()) == 1


def test_an_inner_error_is_told_where_the_main_loop_was_put_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ControlNet replaces the host's main loop, before LAFI if it is loaded before; ADetailer makes
    its pictures with what ControlNet has put aside."""
    plain = processing.process_images_inner
    monkeypatch.setattr(processing, "__aside", plain, raising=False)
    monkeypatch.setattr(
        processing, "process_images_inner", lambda p: getattr(processing, "__aside")(p)
    )
    host = WebUI("a1111")
    detailed(host)
    detailer = host.runner.alwayson_scripts[1]
    hijacked = processing.process_images_inner
    original, decode = Detailer.postprocess_image, FirstStage.decode

    def restored(p: Any, pp: Any, *args: Any) -> None:
        def fail(*_: object) -> None:
            raise MemoryError("while decoding")

        processing.process_images_inner = getattr(processing, "__aside")
        FirstStage.decode = fail  # type: ignore[assignment,method-assign]
        try:
            original(detailer, p, pp, *args)
        finally:
            processing.process_images_inner = hijacked
            FirstStage.decode = decode  # type: ignore[method-assign]

    detailer.postprocess_image = restored
    made = host.txt2img(GIVEN, **SMALL)
    [inner] = host.last_run["inner"]
    assert inner["error"] == {"code": "MemoryError", "message": "while decoding"}
    assert made.infotexts[0]["LAFI inner error"] == "MemoryError"
    host.close()
    assert processing.process_images_inner is not plain
    assert getattr(processing, "__aside") is plain


def test_an_inner_error_is_of_its_picture_in_the_batch(a1111: WebUI) -> None:
    """Whichever script's hook comes first: the next picture's has none, also without a face."""
    for listed_first in (True, False):
        detailed(a1111)
        detailer = a1111.runner.alwayson_scripts[1]

        def one_face(p: Any, pp: Any, *args: Any, detailer: Any = detailer) -> None:
            if p.batch_index == 0:
                Detailer.postprocess_image(detailer, p, pp, *args)

        detailer.postprocess_image = one_face
        asked = a1111.processing(dict(NARROW), batch_size=2, **TEN)
        if listed_first:
            a1111.runner.alwayson_scripts.reverse()
        made = processing.process_images(asked)
        assert [each.get("LAFI inner error") for each in made.infotexts] == ["empty_window", None]
        assert all("LAFI version" in each for each in made.infotexts)
        a1111.runner.alwayson_scripts[:] = [a1111.script]


def test_an_inner_error_is_of_its_picture_alone(a1111: WebUI) -> None:
    detailed(a1111)
    detailer = a1111.runner.alwayson_scripts[1]

    def good_steps(p: Any, pp: Any, *args: Any) -> None:
        p.script_args[0]["start"] = 70 if p.iteration == 0 else 0
        Detailer.postprocess_image(detailer, p, pp, *args)

    detailer.postprocess_image = good_steps
    made = a1111.txt2img(dict(NARROW), n_iter=2, **TEN)
    assert [each.get("LAFI inner error") for each in made.infotexts] == ["empty_window", None]


def test_without_stopping_the_inner_picture_is_plain(a1111: WebUI) -> None:
    shared.opts.data[options.STOP_ON_ERROR] = False
    detailed(a1111)
    plain = a1111.txt2img(**TEN).images[0]
    made = a1111.txt2img(NARROW, **TEN)
    assert a1111.swallowed() == []
    assert [each["error"]["code"] for each in a1111.last_run["inner"]] == ["empty_window"]
    assert plain.tobytes() != made.images[0].tobytes()
    assert not torch.equal(made.latents[0], a1111.txt2img(**TEN).latents[0])
