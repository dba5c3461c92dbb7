"""What goes wrong is raised where the user sees it, or the picture is made without LAFI; nothing is
claimed that did not happen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi import FastAPI, HTTPException
from modules import script_callbacks, shared
from modules.api.api import Api
from modules.processing import process_images

from lafi.errors import LafiError
from lafi.webui import options, request
from lafi.webui.run import run_of

from .host import WebUI, reference
from .models import FirstStage
from .others import Sampling

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 3}
GIVEN = {"image": reference()}


def fail_in_decoder(webui: WebUI, call: int) -> Any:
    """An error of ours in the given call (from 1) of the UNet's last block."""
    calls = 0

    def fail(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise LafiError("attention_replaced", "a layer does not fit.", "Leave it out.")

    return webui.unet.output_blocks[-1].register_forward_pre_hook(fail)


# In the first pass of the reference, in the picture's own call, and after some evaluations.
@pytest.mark.parametrize("call", [1, 2, 4])
def test_an_error_inside_the_unet(webui: WebUI, call: int) -> None:
    plain = webui.txt2img(**SMALL)
    handle = fail_in_decoder(webui, call)
    with pytest.raises(LafiError, match=r"LAFI: a layer does not fit\. Leave it out\."):
        webui.txt2img(GIVEN, **SMALL)
    handle.remove()
    assert webui.last_run["error"] == {
        "code": "attention_replaced",
        "message": "a layer does not fit. Leave it out.",
    }
    webui.kept.clear()
    shared.opts.data[options.STOP_ON_ERROR] = False
    handle = fail_in_decoder(webui, call)
    made = webui.txt2img(GIVEN, **SMALL)
    handle.remove()
    assert torch.equal(made.latents[0], plain.latents[0])
    assert made.infotexts[0]["LAFI error"] == "attention_replaced"
    assert "LAFI version" not in made.infotexts[0]
    assert made.infotexts[0]["LAFI run"] == webui.last_run["id"]


def test_what_a_path_told_is_taken_back_when_it_fails(a1111: WebUI) -> None:
    shared.opts.data[options.STOP_ON_ERROR] = False
    told: list[str | None] = []
    handle = a1111.unet.output_blocks[-1].register_forward_pre_hook(
        lambda *_: told.append(shared.state.textinfo)
    )
    failing = fail_in_decoder(a1111, 2)
    a1111.txt2img(GIVEN | {"stream": "inversion"}, **SMALL)
    handle.remove()
    failing.remove()
    assert "path" in (told[0] or "")
    assert "path" in (told[1] or "")
    assert set(told[2:]) == {None}


def test_an_error_of_the_hosts_own_comes_again(a1111: WebUI) -> None:
    shared.opts.data[options.STOP_ON_ERROR] = False

    def fail(*_: object) -> None:
        raise SystemError("the host's own")

    handle = a1111.unet.register_forward_pre_hook(fail)
    with pytest.raises(SystemError, match="the host's own"):
        a1111.txt2img(GIVEN, **SMALL)
    handle.remove()


@pytest.mark.parametrize("stop", [True, False])
def test_a_unet_that_runs_outside_its_module(
    a1111: WebUI, stop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.opts.data[options.STOP_ON_ERROR] = stop
    plain = a1111.txt2img(**SMALL)
    monkeypatch.setattr(type(a1111.unet), "__call__", lambda self, *a, **kw: self.forward(*a, **kw))
    text = "the UNet never called the layers that inject"
    if stop:
        with pytest.raises(LafiError, match=text):
            a1111.txt2img(GIVEN, **SMALL)
    else:
        made = a1111.txt2img(GIVEN, **SMALL)
        assert torch.equal(made.latents[0], plain.latents[0])
        assert made.infotexts[0]["LAFI error"] == "nothing_injected"
    assert text in a1111.last_run["error"]["message"]


def test_an_empty_window_is_refused_before_others_change_the_unet(webui: WebUI) -> None:
    """What they change in the first evaluation, only their later hooks put back."""

    begun: list[int] = []
    script_callbacks.on_cfg_denoiser(lambda params: begun.append(params.denoiser.step))
    with pytest.raises(LafiError, match="none of the run's 3 model evaluations") as caught:
        webui.txt2img(GIVEN | {"start": 40, "cutoff": 60}, **SMALL)
    assert caught.value.code == "empty_window"
    assert begun == []


@pytest.mark.parametrize(("field", "value", "says"), [
    ("blocks", "19-56", "is for transformers"), ("position", "none", "Flux and Chroma"),
])  # fmt: skip
def test_what_only_transformers_have_is_refused_on_a_unet(
    a1111: WebUI, field: str, value: str, says: str
) -> None:
    with pytest.raises(LafiError, match=says) as caught:
        a1111.txt2img(GIVEN | {field: value}, **SMALL)
    assert [each["loc"] for each in caught.value.problems] == [[field]]


def test_an_api_request_gets_the_text(a1111: WebUI) -> None:
    asked = a1111.processing({"depth": 50}, **SMALL)
    asked.is_api = True
    with pytest.raises(HTTPException) as caught:
        process_images(asked)
    assert caught.value.status_code == 422
    assert caught.value.detail[0]["loc"] == ["image"]


def fail_in_vae(*_: object) -> None:
    raise MemoryError("while decoding")


DECODING = {"code": "MemoryError", "message": "while decoding"}


def test_an_error_after_sampling_is_reported(
    webui: WebUI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    webui.injected(**SMALL)
    before = webui.last_run["id"]
    asked = webui.processing(GIVEN, **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(FirstStage, "decode", fail_in_vae)
        with pytest.raises(MemoryError, match="while decoding"):
            process_images(asked)
    report = webui.last_run
    assert report["id"] == asked.extra_generation_params["LAFI run"] != before
    assert report["error"] == DECODING
    assert report["passes"][0]["injected"] > 0
    assert "MemoryError" in caplog.text
    assert run_of(asked) is None
    assert webui.injected(**SMALL).infotexts[0]["LAFI run"] == webui.last_run["id"] != report["id"]
    assert webui.last_run["error"] is None


def test_the_error_that_ended_a_run_is_the_one_that_is_reported(
    a1111: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that it had gone on after."""
    shared.opts.data[options.STOP_ON_ERROR] = False
    monkeypatch.setattr(FirstStage, "decode", fail_in_vae)
    handle = fail_in_decoder(a1111, 1)
    with pytest.raises(MemoryError, match="while decoding"):
        a1111.txt2img(GIVEN, **SMALL)
    handle.remove()
    assert a1111.last_run["error"] == DECODING


def test_a_plain_picture_that_fails_reports_nothing(
    a1111: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = a1111.last_run
    monkeypatch.setattr(FirstStage, "decode", fail_in_vae)
    with pytest.raises(MemoryError, match="while decoding"):
        a1111.txt2img(**SMALL)
    assert a1111.last_run is reported


# ---- claims -----------------------------------------------------------------------------------


def lafi_keys(made: Any, index: int = 0) -> list[str]:
    return [key for key in made.infotexts[index] if key.startswith("LAFI")]


def test_an_interrupt_before_the_pass_that_was_asked_for_claims_nothing(webui: WebUI) -> None:
    webui.unet.register_forward_hook(lambda *_: shared.state.interrupt())
    try:
        made = webui.txt2img(GIVEN | {"passes": "hires"}, enable_hr=True, **SMALL)
    finally:
        webui.unet._forward_hooks.clear()
    assert lafi_keys(made) == []


def test_only_the_batches_that_saw_the_reference_claim_it(a1111: WebUI) -> None:
    """Skipped before its first evaluation, the second picture of three is a plain one."""

    def skip(p: Any) -> None:
        if p.iteration == 1:
            shared.state.skip()

    a1111.add(Sampling("process_before_every_sampling", skip))
    made = a1111.txt2img(GIVEN, n_iter=3, **SMALL)
    assert [bool(lafi_keys(made, index)) for index in range(3)] == [True, False, True]


def test_a_sampler_of_anothers_own_claims_nothing(a1111: WebUI) -> None:
    asked = a1111.processing(GIVEN, **SMALL)
    asked.sample = lambda x, c, uc: torch.zeros_like(x)
    assert lafi_keys(process_images(asked)) == []


def test_the_last_prompt_says_what_was_asked_for(a1111: WebUI) -> None:
    """Hosts write it before they sample, and read it back at a press of a button."""
    seen: list[dict[str, Any]] = []

    def look(p: Any) -> None:
        seen.append(dict(p.extra_generation_params))

    a1111.add(Sampling("process_batch", look))
    a1111.txt2img(GIVEN | {"depth": 40}, **SMALL)
    assert seen[0]["LAFI depth"] == "40"


def test_the_hosts_random_state_is_left_alone(webui: WebUI) -> None:
    """The VAE's encoder draws from it."""
    webui.txt2img(**SMALL)
    before = torch.get_rng_state()
    webui.txt2img(GIVEN, **SMALL)
    assert torch.equal(torch.get_rng_state(), before)


# ---- requests ---------------------------------------------------------------------------------


def ask(webui: WebUI, scripts: Any) -> Any:
    guarded = request.guard(Api.init_script_args)
    asked = SimpleNamespace(alwayson_scripts=scripts)
    return guarded(Api(), asked, [None], None, None, webui.runner)


@pytest.mark.parametrize(
    ("given", "field", "text"),
    [
        ({}, "image", "is missing"),
        ({"args": []}, "image", "is missing"),
        ({"args": None}, "args", "must be a list"),
        ({"args": {"image": "x"}}, "args", "must be a list"),
        ({"args": "x"}, "args", "must be a list"),
        (None, "LAFI", "must be an object"),
        ([{"image": "x"}], "LAFI", "must be an object"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["LAFI", "lafi"])
def test_who_names_lafi_gets_lafi_or_an_error(
    a1111: WebUI, name: str, given: Any, field: str, text: str
) -> None:
    with pytest.raises(HTTPException) as caught:
        ask(a1111, {name: given})
    assert caught.value.status_code == 422
    [problem] = caught.value.detail
    assert problem["loc"] == [field]
    assert text in problem["msg"]


@pytest.mark.parametrize("args", [[{"image": "x"}], [False], [{"enabled": False}]])
def test_a_request_that_says_something_is_handed_on(a1111: WebUI, args: list[Any]) -> None:
    assert ask(a1111, {"LAFI": {"args": args}}) == args
    assert ask(a1111, {}) == [None]
    assert ask(a1111, None) == [None]


def test_requests_are_looked_at_where_the_host_has_its_api(a1111: WebUI) -> None:
    original = Api.init_script_args
    app = FastAPI()
    script_callbacks.run("app_started", None, app)
    assert Api.init_script_args is original
    app.add_api_route("/sdapi/v1/txt2img", lambda: None, methods=["POST"])
    script_callbacks.run("app_started", None, app)
    asked = SimpleNamespace(alwayson_scripts={"LAFI": {}})
    with pytest.raises(HTTPException):
        Api().init_script_args(asked, [None], None, None, a1111.runner)
    script_callbacks.script_unloaded_callback()
    script_callbacks.callbacks.clear()
    assert Api.init_script_args is original
    assert a1111.swallowed() == []
