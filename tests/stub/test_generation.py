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


def test_the_figure_is_cut_out_by_default(webui: WebUI, caplog) -> None:
    caplog.set_level("INFO", "LAFI")
    made = webui.injected()
    share = 48 * 104 / 128**2
    [shown] = webui.last_run["references"]
    assert shown["figure"] == pytest.approx(share, abs=0.02)
    assert f"{shown['hash']} (the figure, {shown['figure'] * 100:.0f} % of it)" in caplog.text
    strict = webui.txt2img({"image": reference(), "cutout": "strict"})
    cut = webui.last_run["passes"][0]["reference_bytes"]
    whole = webui.txt2img({"image": reference(), "cutout": "off"})
    assert webui.last_run["references"][0]["figure"] is None
    assert webui.last_run["passes"][0]["reference_bytes"] > 2 * cut
    assert not torch.equal(whole.latents[0], made.latents[0])
    assert not torch.equal(strict.latents[0], made.latents[0])
    assert "LAFI cutout" in whole.infotexts[0]
    assert "LAFI cutout" not in made.infotexts[0]


def test_fidelity_goes_all_the_way(webui: WebUI) -> None:
    """Each makes another picture, and half of it lies in between."""
    none, half, whole = (
        webui.txt2img({"image": reference(), "fidelity": fidelity}).latents[0]
        for fidelity in (0, 0.5, 1)
    )
    assert webui.last_run["settings"] == {}
    assert 0 < (half - none).norm() < (whole - none).norm()
    assert 0 < (whole - half).norm() < (whole - none).norm()


def test_the_page_has_every_control(a1111: WebUI) -> None:
    from lafi.settings import FIELDS

    controls = a1111.script.ui(False)
    assert [each.label for each in controls[1:3]] == ["Reference image", "Injection depth (%)"]
    assert len(controls) == len(FIELDS)
