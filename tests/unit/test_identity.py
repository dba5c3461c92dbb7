"""What a replay's key sees of a UNet: a part changes it, or nothing is known, or it stays."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lafi.hosts.alone import alone
from lafi.hosts.identity import (
    HYPERTILE,
    Weights,
    sample,
    structure,
    switch_hypertile_off,
    tensors_of,
)


class Block(nn.Module):
    """A block of a UNet."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(self.norm(x))
        return result


Block.__module__ = "ldm.modules.attention"


class Scaler(nn.Module):
    """What Kohya HRFix puts around a block."""

    def __init__(self, scale: float, block: nn.Module) -> None:
        super().__init__()
        self.scale, self.block = scale, block


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.input_blocks[1](x)
        return result


def unet() -> UNet:
    torch.manual_seed(0)
    return UNet()


def elsewhere(self: nn.Module, x: Tensor) -> Tensor:
    return x


def scaled(model: UNet, scale: float) -> None:
    model.input_blocks[0] = Scaler(scale, model.input_blocks[0])


def merging(model: UNet, **options: Any) -> None:
    class ToMeBlock(Block):  # another class for every picture
        pass

    ToMeBlock.__module__ = "tomesd.patch"
    model.input_blocks[0].__class__ = ToMeBlock
    model._tome_info = {"args": {"ratio": 0.5, "generator": torch.Generator(), **options}}


def patched_class(model: UNet) -> None:
    class Other(Block):
        def forward(self, x: Tensor) -> Tensor:
            return x

    Other.__name__, Other.__module__ = "Block", Block.__module__
    model.input_blocks[1].__class__ = Other


CHANGES: dict[str, Callable[[UNet], object]] = {
    "a wrapped block": lambda model: scaled(model, 0.5),
    "merged tokens": merging,
    "a class's forward": patched_class,
    "a layer more": lambda model: model.input_blocks.append(nn.Identity()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_others_put_into_the_unet_changes_it(change: str) -> None:
    model, before = unet(), structure(unet())
    assert before is not None
    CHANGES[change](model)
    assert structure(model) not in (None, before)


def test_the_settings_of_what_they_put_there() -> None:
    found = []
    for scale in (0.5, 0.5, 0.6):
        model = unet()
        scaled(model, scale)
        found.append(structure(model))
    assert found[0] == found[1] != found[2]


def test_another_picture_with_the_same_settings_is_the_same() -> None:
    found = []
    for ratio in (0.5, 0.5, 0.3):
        model = unet()
        # ControlNet binds another function to the UNet itself for every picture.
        model.forward = types.MethodType(lambda self, x: x, model)  # type: ignore[method-assign]
        merging(model, ratio=ratio)
        found.append(structure(model))
    assert found[0] == found[1] != found[2]
    assert None not in found


UNKNOWN: dict[str, Callable[[UNet], object]] = {
    "a closure in a block": lambda model: setattr(
        model.input_blocks[0], "_forward", types.MethodType(elsewhere, model.input_blocks[0])
    ),
    "a closure in a layer": lambda model: setattr(
        model.input_blocks[0].norm, "forward", lambda x: x
    ),
    "tokens merged at random": lambda model: merging(model, use_rand=True),
}


@pytest.mark.parametrize("change", UNKNOWN)
def test_what_does_not_tell_makes_it_unknown(change: str) -> None:
    model = unet()
    UNKNOWN[change](model)
    assert structure(model) is None


def test_a_function_that_was_put_back_is_no_patch() -> None:
    model = unet()
    model.input_blocks[0]._forward = model.input_blocks[0]._forward
    assert structure(model) == structure(unet())


@pytest.mark.parametrize("enabled", [True, False])
def test_hypertile_is_switched_off_and_no_part_of_it(enabled: bool) -> None:
    model = unet()
    layer = model.input_blocks[0].layer
    params = types.SimpleNamespace(enabled=enabled)
    setattr(layer, HYPERTILE, params)
    layer.forward = lambda x: x
    assert structure(model) == structure(unet())
    restore = switch_hypertile_off(model.modules())
    assert not params.enabled
    restore()
    assert params.enabled is enabled


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_k = nn.Identity()


def test_the_references_pass_meets_the_models_own_attention_and_its_own_size() -> None:
    model, other = unet(), elsewhere.__get__(object())
    model.attention = Attention()
    model.attention.forward = model.input_blocks[0].layer.forward = other
    merging(model)
    model._tome_info["size"] = (64, 48)
    before = dict(model._tome_info)
    latents = torch.ones(2, 4, 56, 72)
    with alone(model, latents):
        assert model._tome_info["size"] == (56, 72)
        assert "forward" not in vars(model.attention)
        # What stands around blocks and layers of other kinds changes the model itself.
        assert model.input_blocks[0].layer.forward is other
    with pytest.raises(RuntimeError), alone(model, latents):
        model(latents)
    assert model._tome_info == before
    assert model.attention.forward is other


def test_forges_swapped_layers_are_the_same_layers() -> None:
    model = unet()
    layer = model.input_blocks[0].layer
    layer.__class__ = type("DynamicSwap_Linear", (nn.Linear,), {"__module__": "backend.operations"})
    seen = structure(model)
    assert seen is not None
    assert Weights()(model) == Weights()(unet())


# ---- weights ----------------------------------------------------------------------------------


def written(model: UNet) -> None:
    with torch.no_grad():
        model.input_blocks[1].layer.weight.add_(0)


def through_data(model: UNet) -> None:
    model.input_blocks[1].layer.weight.data.mul_(0.9)


def replaced(model: UNet) -> None:
    layer = model.input_blocks[1].layer
    layer.weight = nn.Parameter(layer.weight.detach() * 0.9)


@pytest.mark.parametrize("change", [written, through_data, replaced])
def test_weights_that_changed(change: Callable[[UNet], None]) -> None:
    model = unet()
    before = Weights()(model)
    assert Weights()(model) == before
    change(model)
    assert Weights()(model) != before


def test_weights_that_are_merged_while_they_run() -> None:
    model, weights = unet(), Weights()
    before = weights(model)
    with torch.no_grad():
        model.input_blocks[0].layer.weight.mul_(2)
    merged = weights(model)
    assert merged != before
    assert Weights()(model) == merged  # the next picture, with all of it merged already


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.uint8])
def test_weights_of_every_type(dtype: torch.dtype) -> None:
    one, other = torch.ones(3, 4).to(dtype), torch.full((3, 4), 2.0).to(dtype)
    assert sample([one, other]) == sample([one.clone(), other.clone()])
    assert sample([one, other]) != sample([other, one])
    assert sample([torch.empty(3, device="meta"), torch.empty(0), one]) != sample([one])


def test_weights_without_versions() -> None:
    with torch.inference_mode():
        model = unet()
        before = Weights()(model)
        model.input_blocks[0].layer.weight.mul_(2)
        assert Weights()(model) != before


def test_the_tensors_of_a_networks_part_without_the_layer_it_is_for() -> None:
    layer = nn.Linear(2, 2)
    part = types.SimpleNamespace(
        up_model=nn.Linear(2, 1, bias=False), w1=torch.ones(1), alpha=1.0, sd_module=layer
    )
    found = list(tensors_of(part))
    assert [tuple(each.shape) for each in found] == [(1, 2), (1,)]
