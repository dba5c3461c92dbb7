"""What a replay's key sees of what others do to the UNet."""

from __future__ import annotations

import sys
import types
from types import SimpleNamespace
from typing import Any

import pytest
from modules import scripts, sd_models, sd_samplers_common
from torch import nn

from lafi.hosts import find_host

from .host import WebUI


def replays(webui: WebUI) -> bool:
    """Whether a picture was made without recording the reference."""
    webui.injected()
    done = webui.last_run["passes"][0]
    assert done["injected"] > 0
    return bool(done["replayed"] and not done["recorded"])


def test_weights_that_were_changed_without_a_trace(webui: WebUI) -> None:
    weight: Any = webui.unet.middle_block[1].transformer_blocks[0].attn1.to_q.weight
    before = weight.detach().clone()
    assert [replays(webui), replays(webui)] == [False, True]
    weight.data.mul_(1.01)
    try:
        assert [replays(webui), replays(webui)] == [False, True]
    finally:
        weight.data.copy_(before)
    assert replays(webui)


class Late(scripts.Script):
    """Wraps a block after LAFI has prepared its run, and takes it away again."""

    def __init__(self, webui: WebUI, scale: float = 1.0) -> None:
        super().__init__()
        self.webui, self.scale = webui, scale

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        blocks: Any = self.webui.unet.input_blocks
        self.kept = blocks[4]
        blocks[4] = wrapped(self.scale, self.kept)

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        self.webui.unet.input_blocks[4] = self.kept  # type: ignore[index, operator]


def wrapped(scale: float, block: nn.Module) -> nn.Module:
    """Another extension's module, with a setting, in the place of a block."""
    kind = type("Scaler", (type(block),), {"__module__": "khrfix"})
    wrapper: nn.Module = kind(*block.children())
    wrapper.scale = scale
    return wrapper


def test_a_block_that_is_wrapped_by_a_script_that_runs_later(webui: WebUI) -> None:
    assert [replays(webui), replays(webui)] == [False, True]
    late = Late(webui)
    webui.add(late)
    assert [replays(webui), replays(webui)] == [False, True]
    late.scale = 0.5
    assert [replays(webui), replays(webui)] == [False, True]


class Controlled(scripts.Script):
    """ControlNet: another forward of the whole UNet for every picture."""

    def __init__(self, webui: WebUI) -> None:
        super().__init__()
        self.webui = webui

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        unet = self.webui.unet
        original = type(unet).forward
        unet.forward = types.MethodType(lambda *a, **k: original(*a, **k), unet)  # type: ignore[method-assign]

    def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
        del self.webui.unet.forward


def test_a_forward_of_the_whole_unet_is_no_part_of_it(webui: WebUI) -> None:
    webui.add(Controlled(webui))
    assert [replays(webui), replays(webui)] == [False, True]


def identity() -> Any:
    return find_host().identity()()


@pytest.mark.parametrize("options", [
    {"patches": {"output_block_patch": [print]}}, {"patches": {"input_block_patch": [print]}},
    {"group_norm_wrapper": print},
], ids=str)  # fmt: skip
def test_forges_closures_are_unknown(forge: WebUI, options: dict[str, Any]) -> None:
    patcher = sd_models.model_data.sd_model.forge_objects.unet
    before = identity()
    assert before is not None
    patcher.model_options["transformer_options"].update(options)
    assert identity() is None
    patcher.model_options["transformer_options"].clear()
    # These are not handed to the reference.
    patcher.model_options["transformer_options"] |= {"patches": {"attn1_patch": [print]}}
    patcher.model_options["transformer_options"] |= {"block_modifiers": [print]}
    assert identity() == before


def test_under_forges_closures_nothing_is_kept(forge: WebUI) -> None:
    model = sd_models.model_data.sd_model
    options = model.forge_objects_original.unet.model_options["transformer_options"]
    options["patches"] = {"output_block_patch": [lambda h, skip, extra: (h, skip)]}
    assert [replays(forge), replays(forge)] == [False, False]
    assert len(forge.kept.bank) == 0


def test_forges_patches_of_others_and_its_refiner(
    forge: WebUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    patcher = sd_models.model_data.sd_model.forge_objects.unet
    seen = [identity()]
    for lora in (("a.safetensors", 1.0, 1.0, False), ("a.safetensors", 0.5, 1.0, False)):
        patcher.lora_patches = {lora: {}}
        seen.append(identity())
    key = find_host().model_key()
    monkeypatch.setattr(sd_samplers_common, "ORIGINAL_CHECKPOINT", "base.ckpt", raising=False)
    assert find_host().model_key() != key  # so that a pass is split where its weights change
    seen.append(identity())
    assert None not in seen
    assert len(set(seen)) == len(seen)


def test_a1111s_block_weights_and_free_u(a1111: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    part = SimpleNamespace(up_model=nn.Linear(2, 2), sd_module=nn.Linear(2, 2))
    network = SimpleNamespace(name="hero", unet_multiplier=1.0, dyn_dim=None, modules={"a": part})
    networks = types.ModuleType("networks")
    networks.loaded_networks = []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "networks", networks)
    seen = [identity()]
    networks.loaded_networks = [network]  # type: ignore[attr-defined]
    seen.append(identity())
    assert identity() == seen[-1]
    # LoRA Block Weight: the same multiplier, other tensors.
    part.up_model.weight = nn.Parameter(part.up_model.weight * 0.5)
    seen.append(identity())
    free_u = types.ModuleType("lib_free_u.global_state")
    monkeypatch.setitem(sys.modules, "lib_free_u.global_state", free_u)
    for backbone in (1.2, 1.4):
        free_u.instance = SimpleNamespace(enable=True, backbone=backbone)  # type: ignore[attr-defined]
        seen.append(identity())
    free_u.current_sampling_step = 0.5  # type: ignore[attr-defined]
    seen.append(identity())
    assert len(set(seen)) == len(seen)
