"""A run belongs to one processing object: whatever others do with copies of it, every picture of a
batch count keeps the character, and says so."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from modules.processing import Processed, process_images

from .host import WebUI, reference
from .others import Detailer, Sampling

COUNT, STEPS = 3, 1
GIVEN = {"image": reference(), "cutoff": 100}
SMALL: dict[str, Any] = {"n_iter": COUNT, "steps": STEPS, "width": 64, "height": 64}


def nest(p: Any) -> None:
    """A picture without LAFI inside of another, from a copy."""
    inner = copy.copy(p)
    inner.scripts, inner.n_iter, inner.enable_hr = None, 1, False
    process_images(inner)


def nest_begun(p: Any) -> None:
    """A picture inside of another from a copy that begins a run of its own."""
    if not getattr(p, "is_inner", False):
        inner = copy.copy(p)
        inner.is_inner, inner.n_iter = True, 1
        process_images(inner)


def end_copy(p: Any) -> None:
    p.scripts.postprocess(copy.copy(p), Processed(p))


def end_deep_copy(p: Any) -> None:
    memo = {id(each): each for each in (p.scripts, p.sampler, p.script_args)}
    p.scripts.postprocess(copy.deepcopy(p, memo), Processed(p))


def begin_copy(p: Any) -> None:
    p.scripts.process(copy.copy(p))


def begin_copy_off(p: Any) -> None:
    copied = copy.copy(p)
    copied.script_args = [{"enabled": False}, *p.script_args[1:]]
    p.scripts.process(copied)


def begin_copy_wrong(p: Any) -> None:
    copied = copy.copy(p)
    copied.script_args = [{"image": reference(), "depth": 500}, *p.script_args[1:]]
    p.scripts.process(copied)


IMAGE, BEFORE = "postprocess_image", "process_before_every_sampling"


def name(part: Any) -> str:
    """Of an action or a hook, for pytest."""
    return getattr(part, "__name__", part)


CASES = [
    *((nest, hook) for hook in ("process_batch", BEFORE, "postprocess_batch", IMAGE)),
    *((action, IMAGE) for action in (nest_begun, end_copy, end_deep_copy, begin_copy)),
    *((begin_copy_off, hook) for hook in (BEFORE, IMAGE)),
    (begin_copy_wrong, IMAGE),
]


def check(webui: WebUI, made: Processed) -> None:
    """Against the same pictures without the other script."""
    assert webui.swallowed() == []
    assert [each["injected"] for each in webui.last_run["passes"]] == [STEPS] * COUNT
    assert webui.last_run["error"] is None
    webui.runner.alwayson_scripts[1:] = []
    alone = webui.txt2img(GIVEN, **SMALL)
    for index in range(COUNT):
        assert torch.allclose(made.latents[index], alone.latents[index], rtol=1e-3, atol=1e-4)
        assert "LAFI version" in made.infotexts[index]
        # One run for all of them.
        assert made.infotexts[index]["LAFI run"] == made.infotexts[0]["LAFI run"]
    for latent, plain in zip(made.latents, webui.txt2img(**SMALL).latents, strict=True):
        assert not torch.allclose(latent, plain, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("action", "hook"), CASES, ids=name)
def test_what_others_do_with_a_copy(a1111: WebUI, action: Any, hook: str) -> None:
    a1111.add(Sampling(hook, action))
    check(a1111, a1111.txt2img(GIVEN, **SMALL))


def test_detailer(webui: WebUI) -> None:
    webui.add(Detailer())
    made = webui.txt2img(GIVEN, **SMALL)
    assert webui.last_run["inner"] == []
    check(webui, made)


def test_cells_of_a_grid_are_copies_that_run_by_themselves(a1111: WebUI) -> None:
    """X/Y/Z: one request, a shallow copy of it for each cell."""
    request = a1111.processing(GIVEN, **SMALL | {"n_iter": 1})
    cells = []
    for overrides in ({}, {"enabled": False}, {"depth": 30}, {"strength": 9}, {}):
        cell = copy.copy(request)
        cell.lafi_overrides = overrides
        try:
            made = process_images(cell)
        except Exception as error:
            cells.append(error)
        else:
            cells.append(made.infotexts[0])
    assert [isinstance(each, dict) and each.get("LAFI depth") for each in cells] == [
        "100", None, "30", False, "100",
    ]  # fmt: skip
    assert "strength" in str(cells[3])
    assert not any(key.startswith("LAFI") for key in request.extra_generation_params)


def test_a_request_that_is_made_again_begins_anew(a1111: WebUI) -> None:
    """img2img batch and loopback hand one object to process_images again and again."""
    request = a1111.processing(GIVEN, **SMALL | {"n_iter": 1})
    first = process_images(request)
    second = process_images(request)
    assert torch.equal(first.latents[0], second.latents[0])
    assert first.infotexts[0]["LAFI run"] != second.infotexts[0]["LAFI run"]
    request.script_args = [{"enabled": False}]
    assert not any(key.startswith("LAFI") for key in process_images(request).infotexts[0])


def test_a_run_that_is_begun_again_before_its_end_is_reported(a1111: WebUI) -> None:
    begun: list[str] = []

    def begin_again(p: Any) -> None:
        begun.append(p.extra_generation_params["LAFI run"])
        if len(begun) == 1:
            p.scripts.process(p)

    a1111.add(Sampling("postprocess_batch", begin_again))
    made = a1111.txt2img(GIVEN, **SMALL | {"n_iter": 2})
    assert a1111.kept.reports.find(begun[0])["passes"][0]["injected"] == STEPS
    assert a1111.last_run["id"] == made.infotexts[1]["LAFI run"] == begun[1] != begun[0]
