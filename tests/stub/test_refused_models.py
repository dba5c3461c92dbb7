"""Checkpoints of the Forge family that are refused by name."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from modules import sd_models
from torch import nn

from lafi.errors import LafiError

from .flow import FlowPrediction, holder
from .host import WebUI


def refused(webui: WebUI) -> str:
    """The message of the refusal; no network may have been called."""
    calls: list[Any] = []
    holder().diffusion_model.register_forward_pre_hook(lambda *_: calls.append(1))
    with pytest.raises(LafiError) as caught:
        webui.injected()
    assert caught.value.code == "unsupported_model"
    assert webui.last_run["error"]["code"] == "unsupported_model"
    assert calls == []
    return str(caught.value)


@pytest.mark.parametrize(("engine", "network"), [
    ("QwenImage", "QwenImageTransformer2DModel"),
    ("Anima", "Anima"),
    ("Krea2", "SingleStreamDiT"),
    ("ErnieImage", "ErnieImageModel"),
    ("PiD", "PidNet"),
    ("AuraFlow", "MMDiT"),
])  # fmt: skip
def test_transformers_that_are_not_known_are_named(forge: WebUI, engine: str, network: str) -> None:
    model: Any = sd_models.model_data.sd_model
    holder().diffusion_model = type(network, (nn.Module,), {})()
    model.__class__ = type(engine, (type(model),), {})
    message = refused(forge)
    assert f"({engine}, {network})" in message
    assert "does not know" in message


@pytest.mark.parametrize("network", ["WanModel", "HunyuanVideo"])
def test_video_is_refused(flux: WebUI, network: str) -> None:
    kind = type(holder().diffusion_model)
    holder().diffusion_model.__class__ = type(network, (kind,), {})
    assert "makes videos" in refused(flux)


def test_nunchaku_is_refused(flux: WebUI) -> None:
    kind = type("NunchakuZImageAttention", (nn.Module,), {})
    holder().diffusion_model.single_blocks[1].stream.out = kind()
    assert "Nunchaku" in refused(flux)


def test_a_compiled_model_is_refused(flux: WebUI) -> None:
    made = holder()
    made._orig_apply_model = made.apply_model
    assert "is compiled" in refused(flux)


def test_a_compiled_block_is_refused(flux: WebUI) -> None:
    block = holder().diffusion_model.single_blocks[3]
    block._compiled_call_impl = lambda *args, **_: args[0]
    assert "compiled" in refused(flux)


@pytest.mark.parametrize("said", ["kontext", "edit", "ref_latents"])
@pytest.mark.parametrize("as_class", [False, True], ids=["Forge", "Forge Neo"])
def test_pictures_of_its_own_are_refused(
    flux: WebUI, monkeypatch: pytest.MonkeyPatch, said: str, as_class: bool
) -> None:
    given: Any = {said: [torch.zeros(1)]}
    if as_class:
        given = type("Meta", (type,), {"get": lambda cls, name: getattr(cls, name, None)})(
            "dynamic_args", (), given
        )
    args = types.ModuleType("backend.args")
    args.dynamic_args = given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "backend.args", args)
    assert "Kontext" in refused(flux)


@pytest.mark.parametrize("packed", [False, True])
def test_fill_and_depth_are_refused(flux: WebUI, packed: bool) -> None:
    """Forge builds all alike, so that the weight tells; a packed weight does not."""
    network = holder().diffusion_model
    network.img_in = nn.Linear(384, 32)
    if packed:
        network.in_channels = 384
        network.img_in.weight = nn.Parameter(torch.zeros(6144, 1).byte(), requires_grad=False)
    assert "Fill" in refused(flux)


def test_flux_2_is_refused(flux: WebUI) -> None:
    holder().diffusion_model.patch_size = 1
    assert "does not know" in refused(flux)


def test_flow_on_a_unet_is_refused(forge: WebUI) -> None:
    holder().predictor = FlowPrediction()
    assert "predicts neither" in refused(forge)
