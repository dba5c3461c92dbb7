"""The adapters: which one, what they refuse, rows, generators, and what a replay's key sees."""

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
from torch import Tensor, nn

from lafi.core.injection import Row
from lafi.errors import LafiError
from lafi.hosts import find_host
from lafi.hosts.identity import HYPERTILE
from lafi.webui import selftest, status

from .host import WebUI

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


TRANSFORMERS = [
    ("Flux", "IntegratedFluxTransformer2DModel"),
    ("Flux2", "IntegratedFlux2Transformer2DModel"),
    ("Chroma", "IntegratedChromaTransformer2DModel"),
    ("StableDiffusion3", "MMDiTX"),
    ("Lumina2", "NextDiT"),
    ("ZImage", "NextDiT"),
    ("QwenImage", "QwenImageTransformer2DModel"),
    ("Anima", "Anima"),
    ("Krea2", "SingleStreamDiT"),
    ("ErnieImage", "ErnieImageModel"),
    ("Wan", "WanModel"),
    ("PiD", "PixelDiT"),
]


@pytest.mark.parametrize(("engine", "network"), TRANSFORMERS)
def test_transformers_are_refused_by_name(forge: WebUI, engine: str, network: str) -> None:
    model = sd_models.model_data.sd_model
    calls: list[object] = []
    kind = type(network, (nn.Module,), {"forward": lambda *args, **_: calls.append(args)})
    model.forge_objects_original.unet.model.diffusion_model = kind()
    model.__class__ = type(engine, (type(model),), {})
    with pytest.raises(LafiError) as caught:
        forge.injected()
    assert caught.value.code == "unsupported_model"
    assert f"{engine}, {network}" in str(caught.value)
    assert calls == []


# ---- rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "pictures", "tiles"), [
    ([1, 0], 1, 4), ([1, 0], 2, 3), ([0], 2, 2), ([1, 0, 0], 1, 2), ([0, 1], 1, 1),
])  # fmt: skip
def test_forges_rows_tile_by_tile(
    forge: WebUI, order: list[int], pictures: int, tiles: int
) -> None:
    options = {"cond_or_uncond": order, "sigmas": torch.zeros(pictures)}
    rows = tiles * len(order) * pictures
    found = find_host().row_kinds(None)(rows, {"transformer_options": options})
    assert found == [
        Row(chunk == 0, picture, (tile, order[:number].count(chunk)))
        for tile in range(tiles)
        for number, chunk in enumerate(order)
        for picture in range(pictures)
    ]


class Tiled(nn.Module):
    """A1111's denoiser under Tiled Diffusion: each call is made in tiles."""

    def __init__(self, tiles: list[int]) -> None:
        super().__init__()
        self.tiles = tiles
        self.kinds: Any = None
        self.seen: list[list[Row]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += [self.kinds(tiles * len(x), {}) for tiles in self.tiles]
        return x


@pytest.mark.parametrize("tiles", [[1], [4, 4], [4, 1], [1, 1, 1]], ids=str)
@pytest.mark.parametrize("calls", [[4], [2, 2], [3, 1], [1, 1, 1, 1], [2]], ids=str)
def test_a1111s_rows_in_every_call_and_tile(
    a1111: WebUI, tiles: list[int], calls: list[int]
) -> None:
    denoiser = Tiled(tiles)
    params = SimpleNamespace(
        x=torch.zeros(4, 4, 8, 8),
        text_cond=torch.zeros(2, 7, 32),
        denoiser=SimpleNamespace(inner_model=denoiser),
    )
    everything = [Row(True, 0), Row(True, 1), Row(False, 0), Row(False, 1)]
    for _ in range(2):  # evaluations
        denoiser.kinds, denoiser.seen = find_host().row_kinds(params), []
        assert len(denoiser._forward_pre_hooks) == 1
        expected, begun = [], 0
        for rows in calls:
            part = everything[begun : begun + rows]
            made = 0
            for count in tiles:
                expected.append([
                    row._replace(part=(made + tile, 0)) for tile in range(count) for row in part
                ])  # fmt: skip
                made += count
            denoiser(torch.zeros(rows, 1))
            begun += rows
        assert denoiser.seen == expected
    denoiser.kinds = None
    assert not denoiser._forward_pre_hooks


def test_a_call_in_parts_is_counted_on(a1111: WebUI) -> None:
    params = SimpleNamespace(
        x=torch.zeros(4, 4, 8, 8),
        text_cond=torch.zeros(2, 7, 32),
        denoiser=SimpleNamespace(inner_model=None),
    )
    kinds = find_host().row_kinds(params)
    seen = [[row[:2] for row in kinds(rows, {})] for rows in (1, 2, 1)]
    assert seen == [[(True, 0)], [(True, 1), (False, 0)], [(False, 1)]]


@pytest.mark.parametrize(("prompts", "known"), [([2, 1], True), ([2, 2], False), ([1, 3], True)])
def test_a1111s_rows_of_prompts_with_and(a1111: WebUI, prompts: list[int], known: bool) -> None:
    cond = SimpleNamespace(batch=[[None] * count for count in prompts])
    sampler = SimpleNamespace(sampler_extra_args={"cond": cond} if known else None)
    params = SimpleNamespace(
        x=torch.zeros(sum(prompts) + 2, 4, 8, 8),
        text_cond=torch.zeros(sum(prompts), 7, 32),
        denoiser=SimpleNamespace(inner_model=None, sampler=sampler),
    )
    rows = find_host().row_kinds(params)(sum(prompts) + 2, {})
    assert rows == [
        *(Row(True, picture, (0, part)) for picture in (0, 1) for part in range(prompts[picture])),
        *(Row(False, picture, (0, 0)) for picture in (0, 1)),
    ]


def test_after_a_picture_no_hook_is_left_on_the_denoiser(a1111: WebUI) -> None:
    seen: list[nn.Module] = []

    class Look(scripts.Script):
        def postprocess(self, p: Any, processed: Any, *args: Any) -> None:
            seen.append(p.sampler.model_wrap_cfg.inner_model)

    a1111.add(Look())
    a1111.injected()
    assert [len(each._forward_pre_hooks) for each in seen] == [0]


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
    from .host import reference

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


# ---- what a replay's key sees -----------------------------------------------------------------


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
    {"block_modifiers": [print]}, {"block_inner_modifiers": [print]},
], ids=str)  # fmt: skip
def test_forges_closures_are_unknown(forge: WebUI, options: dict[str, Any]) -> None:
    patcher = sd_models.model_data.sd_model.forge_objects.unet
    before = identity()
    assert before is not None
    patcher.model_options["transformer_options"].update(options)
    assert identity() is None
    patcher.model_options["transformer_options"].clear()
    # Patches of attention are not handed to the reference.
    patcher.model_options["transformer_options"]["patches"] = {"attn1_patch": [print]}
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
