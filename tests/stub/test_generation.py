"""Pictures through the whole chain: script, run, host adapter, core."""

from __future__ import annotations

import pytest
import torch

from .host import WebUI, reference


def test_the_reference_changes_the_picture_and_nothing_is_left(webui: WebUI) -> None:
    plain = webui.txt2img().latents[0]
    made = webui.injected()
    assert not torch.equal(made.latents[0], plain)
    assert webui.last_run["passes"][0]["injected"] == 4
    assert "LAFI version" in made.infotexts[0]
    assert torch.equal(webui.txt2img().latents[0], plain)
    assert webui.swallowed() == []


@pytest.mark.parametrize("off", [
    {"enabled": False}, {"depth": 0}, {"cutoff": 0}, {"strength": 0},
], ids=str)  # fmt: skip
def test_off_is_a_run_without_the_extension(webui: WebUI, off: dict[str, object]) -> None:
    made = webui.txt2img({"image": reference(), **off}).latents[0]
    webui.runner.alwayson_scripts.clear()
    assert torch.equal(webui.txt2img().latents[0], made)


def test_the_page_has_every_control(a1111: WebUI) -> None:
    from lafi.settings import FIELDS

    controls = a1111.script.ui(False)
    assert [each.label for each in controls[1:3]] == ["Reference image", "Injection depth (%)"]
    assert len(controls) == len(FIELDS)
