"""The adapters: which one, what they refuse, and the hosts' generators."""

from __future__ import annotations

import importlib.machinery
import random
import sys
import types
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from modules import scripts, sd_models, sd_samplers_common
from torch import Tensor

from lafi.errors import LafiError
from lafi.hosts import find_host
from lafi.hosts.identity import HYPERTILE
from lafi.webui import selftest, status

from .host import WebUI, reference
from .others import merged_by_size, regional_prompts

# ---- which host -------------------------------------------------------------------------------


@pytest.fixture
def modules_forge(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The package that only the Forge family has."""
    package = types.ModuleType("modules_forge")
    package.__spec__ = importlib.machinery.ModuleSpec("modules_forge", None)
    version = types.ModuleType("modules_forge.forge_version")
    monkeypatch.setitem(sys.modules, "modules_forge", package)
    monkeypatch.setitem(sys.modules, "modules_forge.forge_version", version)
    return version


STAND_INS = {
    "None": None,
    "Forge's": SimpleNamespace(cond_stage_model=None),
    "Forge Neo's": SimpleNamespace(cond_stage_model=None, first_stage_model=None),
}


@pytest.mark.parametrize("stand_in", STAND_INS.values(), ids=STAND_INS)
def test_before_a_first_picture_it_is_known_and_has_no_model(
    forge: WebUI, modules_forge: types.ModuleType, stand_in: object
) -> None:
    # Forge Neo has no such module; to import it would fail.
    sys.modules.pop("lafi.hosts.a1111", None)
    sd_models.model_data.sd_model = stand_in
    assert type(find_host()).__name__ == "ForgeHost"
    with pytest.raises(LafiError) as caught:
        selftest.run(1, "noise", 64)
    assert caught.value.code == "no_model"
    assert "no checkpoint is loaded" in status.describe({})
    assert "lafi.hosts.a1111" not in sys.modules


def test_a1111_before_a_first_picture(a1111: WebUI) -> None:
    sd_models.model_data.sd_model = None
    assert type(find_host()).__name__ == "A1111Host"
    with pytest.raises(LafiError) as caught:
        find_host().unet()
    assert caught.value.code == "no_model"


@pytest.mark.parametrize(("says", "name"), [
    ({"version": "neo", "release": "2.26"}, "Forge Neo 2.26"),
    ({"version": "classic"}, "Forge Classic"),
    ({"version": "2.0.1v1.10.1"}, "Forge family stub"),
    ({}, "Forge family stub"),
])  # fmt: skip
def test_its_name(
    forge: WebUI, modules_forge: types.ModuleType, says: dict[str, str], name: str
) -> None:
    vars(modules_forge).update(says)
    assert find_host().name == name


def test_another_webui_is_refused(a1111: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sd_samplers_common.Sampler, "launch_sampling")
    with pytest.raises(LafiError, match="Forge Neo") as caught:
        find_host()
    assert caught.value.code == "unsupported_host"


@pytest.mark.parametrize("version", ["2.0.0a0+gite9ebda2", "2.0.1", "1.13.1+cu117"])
def test_torch_that_is_too_old_is_named(
    webui: WebUI, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    with pytest.raises(LafiError, match="LAFI needs 2") as caught:
        webui.injected()
    assert caught.value.code == "unsupported_torch"
    assert version in str(caught.value)


@pytest.mark.parametrize("version", ["2.1.0", "2.10.0+cpu", "3.0.0"])
def test_torch_that_is_new_enough(
    a1111: WebUI, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    assert find_host()


# ---- generators -------------------------------------------------------------------------------


def test_encoding_touches_no_generator(webui: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    host, pixels = find_host(), torch.rand(1, 3, 64, 64)
    before, of_python = torch.get_rng_state(), random.getstate()
    first = host.encode(pixels)
    assert torch.equal(torch.get_rng_state(), before)
    torch.randn(5)
    assert torch.equal(host.encode(pixels), first)
    assert random.getstate() == of_python
    assert seeded == []


class HyperTile(scripts.Script):
    """The host's extension: layers of the encoder that see their tokens in a random order."""

    def __init__(self, webui: WebUI) -> None:
        super().__init__()
        self.generator = random.Random()
        blocks = webui.unet.input_blocks
        self.layers = [block[1].transformer_blocks[0].attn1 for block in blocks[1:3]]

    def process(self, p: Any, *args: Any) -> None:
        self.generator.seed(p.seed)

    def patch(self) -> None:
        for layer in self.layers:
            params = SimpleNamespace(enabled=True)
            setattr(layer, HYPERTILE, params)
            layer.forward = self._wrapped(layer.forward, params)

    def undo(self) -> None:
        for layer in self.layers:
            delattr(layer, HYPERTILE)
            del layer.forward

    def _wrapped(self, forward: Any, params: Any) -> Any:
        def tiled(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if not params.enabled:
                return forward(x, *args, **kwargs)
            half = x.shape[1] // self.generator.choice([2, 4])
            parts = [forward(part, *args, **kwargs) for part in (x[:, :half], x[:, half:])]
            return torch.cat(parts, 1)

        return tiled


@pytest.fixture
def hypertile(webui: WebUI) -> Iterator[HyperTile]:
    script = HyperTile(webui)
    script.patch()
    yield script
    script.undo()


@pytest.mark.parametrize("settings", [{}, {"refresh": 2}, {"layers": "all"}], ids=str)
def test_hypertile_gives_the_same_picture_again(
    webui: WebUI, hypertile: HyperTile, settings: dict[str, Any]
) -> None:
    webui.add(hypertile)
    lafi = {"image": reference(), **settings}
    first = webui.txt2img(lafi, seed=4)
    recorded = [each["replayed"] for each in webui.last_run["passes"]]
    again = webui.txt2img(lafi, seed=4)
    replayed = [each["replayed"] for each in webui.last_run["passes"]]
    assert torch.equal(torch.stack(list(again.latents)), torch.stack(list(first.latents)))
    assert recorded == [0]
    assert replayed[0] > 0
    webui.kept.bank.clear()
    anew = webui.txt2img(lafi, seed=4)
    assert torch.equal(torch.stack(list(anew.latents)), torch.stack(list(first.latents)))
    assert all(getattr(each, HYPERTILE).enabled for each in hypertile.layers)


# ---- what is made for the picture's size -------------------------------------------------------

WIDE = {"width": 128, "height": 64, "steps": 3}


@pytest.mark.parametrize("stream", ["noise", "inversion"])
def test_tokens_are_merged_by_each_ones_own_size(a1111: WebUI, stream: str) -> None:
    with merged_by_size(a1111.unet):
        plain = a1111.txt2img(**WIDE)
        made = a1111.txt2img({"image": reference(), "cutout": "off", "stream": stream}, **WIDE)
        assert torch.equal(a1111.txt2img(**WIDE).latents[0], plain.latents[0])
    assert a1111.last_run["passes"][0]["injected"] > 0
    assert not torch.equal(made.latents[0], plain.latents[0])


def test_regional_prompts_are_the_pictures_alone(webui: WebUI) -> None:
    with regional_prompts(webui.unet, tokens=128):
        plain = webui.txt2img(**WIDE)
        made = webui.txt2img({"image": reference()}, **WIDE)
        assert torch.equal(webui.txt2img(**WIDE).latents[0], plain.latents[0])
    assert webui.last_run["passes"][0]["injected"] > 0
    assert not torch.equal(made.latents[0], plain.latents[0])
