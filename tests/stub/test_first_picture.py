"""The first picture of a batch, or of a batch count, as the reference of the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from modules.processing import process_images

from lafi.errors import LafiError
from lafi.hosts import find_host

from .host import WebUI
from .others import Sampling
from .test_references import RED, SMALL

ANCHOR: dict[str, Any] = {"anchor": "batch"}


def test_the_first_picture_of_a_batch_is_plain_and_the_others_see_it(webui: WebUI) -> None:
    plain = webui.txt2img(batch_size=3, **SMALL).latents
    made = webui.txt2img(ANCHOR, batch_size=3, **SMALL)
    assert torch.equal(made.latents[0], plain[0])
    assert not any(torch.equal(made.latents[k], plain[k]) for k in (1, 2))
    report = webui.last_run
    assert report["references"] == []
    [one] = report["passes"]
    assert [each["name"] for each in one["references"]] == ["own"]
    assert one["injected"] == one["anchored"] > 0
    assert [each.get("LAFI anchor") for each in made.infotexts] == [None, "batch", "batch"]
    assert made.infotexts[0] == {}
    assert not [key for key in made.infotexts[1] if key.startswith("LAFI reference")]
    again = webui.txt2img(batch_size=3, **SMALL).latents
    assert all(map(torch.equal, again, plain))
    assert webui.swallowed() == []


def test_with_a_batch_count_it_is_the_first_of_all(webui: WebUI) -> None:
    plain = webui.txt2img(n_iter=3, **SMALL).latents
    made = webui.txt2img(ANCHOR, n_iter=3, **SMALL)
    assert torch.equal(made.latents[0], plain[0])
    assert not any(torch.equal(made.latents[k], plain[k]) for k in (1, 2))
    assert ["LAFI anchor" in each for each in made.infotexts] == [False, True, True]
    assert [each["injected"] > 0 for each in webui.last_run["passes"]] == [False, True, True]
    assert webui.last_run["error"] is None


def test_both_passes_have_their_own_first_picture(webui: WebUI) -> None:
    plain = webui.txt2img(n_iter=2, batch_size=2, enable_hr=True, **SMALL).latents
    made = webui.txt2img(ANCHOR, n_iter=2, batch_size=2, enable_hr=True, **SMALL).latents
    assert [torch.equal(*pair) for pair in zip(made, plain, strict=True)] == [
        True, False, False, False,
    ]  # fmt: skip
    assert len(webui.last_run["passes"]) == 4


def test_a_reference_and_an_anchor_together(webui: WebUI) -> None:
    alone = webui.txt2img({"image": RED}, batch_size=2, **SMALL).latents
    made = webui.txt2img(ANCHOR | {"image": RED}, batch_size=2, **SMALL).latents
    torch.testing.assert_close(made[0], alone[0], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(made[1], alone[1], rtol=1e-3, atol=1e-3)
    [one] = webui.last_run["passes"]
    assert [each["name"] == "own" for each in one["references"]] == [False, True]


def test_the_first_picture_claims_the_reference_alone(a1111: WebUI) -> None:
    made = a1111.txt2img(ANCHOR | {"image": RED}, batch_size=2, n_iter=2, **SMALL)
    first, *others = made.infotexts
    assert "LAFI anchor" not in first
    assert [each["LAFI anchor"] for each in others] == ["batch"] * 3
    [digest] = {each["LAFI reference"] for each in made.infotexts}
    assert a1111.last_run["references"][0]["hash"] == digest


def test_a_checkpoint_that_is_read_anew_leaves_the_first_picture(webui: WebUI) -> None:
    """Some hosts make their model's object again for each batch."""
    whole = webui.txt2img(ANCHOR, n_iter=3, **SMALL).latents
    key, batch = type(find_host()).model_key, [0]

    def anew(self: Any) -> tuple:
        return (*key(self), batch[0])

    webui.add(Sampling("process_batch", lambda p: batch.__setitem__(0, p.iteration)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(find_host()), "model_key", anew)
        made = webui.txt2img(ANCHOR, n_iter=3, **SMALL)
    assert all(map(torch.equal, made.latents, whole))
    assert ["LAFI anchor" in each for each in made.infotexts] == [False, True, True]


def test_one_picture_has_no_others(webui: WebUI) -> None:
    for fields in (ANCHOR, ANCHOR | {"image": RED}):
        with pytest.raises(LafiError, match="anchor: needs at least two pictures") as caught:
            webui.txt2img(fields, **SMALL)
        assert [each["loc"] for each in caught.value.problems] == [["anchor"]]


def skipping(webui: WebUI, number: int) -> Any:
    """Three pictures of which one is skipped."""
    from modules import shared

    asked = webui.processing(ANCHOR, n_iter=3, **SMALL)
    done = False

    def skip(*_: object) -> None:
        nonlocal done
        if asked.iteration == number and not done:
            done = True
            shared.state.skip()

    handle = webui.unet.register_forward_hook(skip)
    made = process_images(asked)
    handle.remove()
    assert done
    return made


def test_a_later_picture_that_was_skipped_leaves_the_first_as_it_is(a1111: WebUI) -> None:
    whole = a1111.txt2img(ANCHOR, n_iter=3, **SMALL).latents
    made = skipping(a1111, 1).latents
    assert not torch.equal(made[1], whole[1])
    assert torch.equal(made[0], whole[0])
    assert torch.equal(made[2], whole[2])


def test_a_first_picture_that_was_skipped_is_none(a1111: WebUI) -> None:
    """The second takes its place: plain, and seen by the third."""
    plain = a1111.txt2img(n_iter=3, **SMALL).latents
    made = skipping(a1111, 0)
    assert torch.equal(made.latents[1], plain[1])
    assert not torch.equal(made.latents[2], plain[2])
    assert a1111.last_run["error"] is None


def test_a_picture_within_a_picture_has_no_batch(a1111: WebUI) -> None:
    from modules import scripts

    from .others import Detailer

    inside = scripts.ScriptRunner()
    inside.alwayson_scripts = [a1111.script]
    a1111.add(Detailer(inside))
    a1111.txt2img(ANCHOR, batch_size=2, **SMALL)
    assert a1111.last_run["inner"] == []
    a1111.txt2img(ANCHOR | {"image": RED}, batch_size=2, **SMALL)
    assert [each["error"] for each in a1111.last_run["inner"]] == [None, None]
    assert a1111.swallowed() == []
