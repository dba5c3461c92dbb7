"""Transformers on the Forge family: a run on a stand-in, and what is refused by name."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from backend.patcher.unet import KModel, UnetPatcher
from modules import sd_models
from torch import Tensor, nn

from lab.host.model import RandomText
from lafi.core.joint.seam import is_ours
from lafi.core.reference import Conditioning
from lafi.errors import LafiError
from lafi.hosts import find_host
from lafi.hosts.forge import forge_forward
from tests.joint.flux_shape import FluxShape
from tests.joint.parts import TEXT, VECTOR

from .host import WebUI, reference

LEVELS = torch.arange(1, 1001) / 1000
LAFI = {"image": reference(), "cutout": "off"}


class Network(FluxShape):
    """Called as Chroma is: without a text vector."""

    def forward(self, x: Tensor, timestep: Tensor, context: Tensor, **kwargs: Any) -> Tensor:
        kwargs.setdefault("y", torch.zeros(len(x), VECTOR))
        answer: Tensor = super().forward(x, timestep, context, **kwargs)
        return answer


class FlowPrediction(nn.Module):
    """The host's `PredictionFlux`."""

    prediction_type = "const"

    def __init__(self, multiplier: float = 1.0) -> None:
        super().__init__()
        self.sigmas, self.multiplier = LEVELS, multiplier

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        return noise

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        return x - output * sigma.view(-1, 1, 1, 1)


@pytest.fixture
def flux(forge: WebUI) -> Iterator[WebUI]:
    """Forge with a transformer of flow matching."""
    torch.manual_seed(5)
    model: Any = sd_models.model_data.sd_model
    holder = KModel(Network(), FlowPrediction())  # type: ignore[arg-type]
    model.forge_objects_original.unet = UnetPatcher(holder)
    model.forge_objects = model.forge_objects_original.shallow_copy()
    model._text = RandomText(TEXT)
    # The levels that the sampler walks down.
    model.alphas_cumprod = 1 / (1 + LEVELS**2)
    model.__class__ = type("Flux", (type(model),), {"is_sd1": False})
    yield forge
    assert not any(map(is_ours, _methods(holder)))


def _methods(holder: nn.Module) -> list[Any]:
    return [each for module in holder.modules() for each in vars(module).values()]


def holder_of() -> Any:
    """The host's holder of the network."""
    model: Any = sd_models.model_data.sd_model
    return model.forge_objects_original.unet.model


def picture(webui: WebUI, lafi: dict[str, Any] | None = None, **fields: Any) -> Tensor:
    """The latents (B, C, h, w) of a request."""
    return torch.stack(list(webui.txt2img(lafi, **fields).latents))


# ---- a run ------------------------------------------------------------------------------------


def test_the_reference_acts_and_is_replayed(flux: WebUI) -> None:
    plain = picture(flux)
    first = picture(flux, LAFI)
    made = flux.last_run["passes"][0]
    again = picture(flux, LAFI)
    replayed = flux.last_run["passes"][0]
    assert not torch.allclose(first, plain, atol=1e-3)
    assert torch.equal(again, first)
    assert (made["replayed"], replayed["recorded"]) == (0, 0)
    assert made["injected"] == replayed["injected"] == replayed["replayed"] + replayed["reused"]
    assert made["sites"] == [f"single_blocks.{number}.attn" for number in range(4)]
    assert torch.equal(picture(flux), plain)
    assert flux.swallowed() == []


def test_the_evaluation_that_is_noise_alone_is_left_out(flux: WebUI) -> None:
    picture(flux, LAFI | {"cutoff": 100}, steps=5)
    made = flux.last_run["passes"][0]
    assert (made["evaluations"], made["skipped"], made["injected"]) == (5, 1, 4)


@pytest.mark.parametrize("stream", ["noise", "inversion", "denoise"])
def test_every_stream_gives_a_picture_and_gives_it_again(flux: WebUI, stream: str) -> None:
    lafi = LAFI | {"stream": stream}
    first = picture(flux, lafi)
    flux.kept.clear()
    assert first.isfinite().all()
    assert torch.equal(picture(flux, lafi), first)


def test_the_host_is_told_of_the_memory(flux: WebUI) -> None:
    seen: list[int] = []
    holder_of().diffusion_model.register_forward_pre_hook(
        lambda *_: seen.append(_objects().unet.extra_preserved_memory_during_sampling)
    )
    picture(flux, LAFI)
    sites = flux.last_run["passes"][0]["sites"]
    # Keys and values of 64 tokens 32 wide, in float32.
    assert set(seen) == {len(sites) * 2 * 64 * 32 * 4}


def _objects() -> Any:
    model: Any = sd_models.model_data.sd_model
    return model.forge_objects


def test_levels_that_are_none_are_refused(flux: WebUI) -> None:
    """Forge's schedule type Automatic takes Flux's timesteps for levels."""
    model: Any = sd_models.model_data.sd_model
    model.alphas_cumprod = 1 / (1 + (1000 * LEVELS) ** 2)
    with pytest.raises(LafiError, match="Simple") as caught:
        picture(flux, LAFI)
    assert caught.value.code == "unsupported_sampler"


def test_what_the_network_reads_at_a_level(flux: WebUI) -> None:
    holder_of().predictor.multiplier = 1000.0
    host = find_host()
    schedule = host.schedule()
    assert host.prediction() == "flow"
    assert schedule.reads(schedule.timestep(host.sigma(None, torch.tensor([0.25])))) == (
        pytest.approx(250, rel=1e-2)
    )


def test_distilled_guidance_reaches_the_references_pass() -> None:
    seen: dict[str, Any] = {}

    class Reader(nn.Module):
        def forward(self, x: Tensor, timestep: Tensor, **kwargs: Any) -> Tensor:
            seen.update(kwargs)
            return x

    x, options = torch.zeros(2, 4, 8, 8), {"sigmas": torch.ones(3), "patches_replace": {"dit": {}}}
    kwargs = {"guidance": torch.full((3,), 3.5), "transformer_options": options, "control": "some"}
    conditioning = Conditioning(torch.zeros(2, 5, 6), torch.zeros(2, 7))
    forge_forward(Reader(), x, torch.ones(2), conditioning, kwargs)
    assert seen["guidance"].tolist() == [3.5, 3.5]
    assert seen["y"].shape == (2, 7)
    assert seen["control"] is None
    assert "patches_replace" not in seen["transformer_options"]


# ---- what is refused --------------------------------------------------------------------------


def refused(webui: WebUI) -> str:
    """The message of the refusal; no network may have been called."""
    calls: list[Any] = []
    holder_of().diffusion_model.register_forward_pre_hook(lambda *_: calls.append(1))
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
    holder_of().diffusion_model = type(network, (nn.Module,), {})()
    model.__class__ = type(engine, (type(model),), {})
    message = refused(forge)
    assert f"({engine}, {network})" in message
    assert "does not know" in message


@pytest.mark.parametrize("network", ["WanModel", "HunyuanVideo"])
def test_video_is_refused(flux: WebUI, network: str) -> None:
    kind = type(holder_of().diffusion_model)
    holder_of().diffusion_model.__class__ = type(network, (kind,), {})
    assert "makes videos" in refused(flux)


def test_nunchaku_is_refused(flux: WebUI) -> None:
    kind = type("NunchakuZImageAttention", (nn.Module,), {})
    holder_of().diffusion_model.single_blocks[1].stream.out = kind()
    assert "Nunchaku" in refused(flux)


def test_a_compiled_model_is_refused(flux: WebUI) -> None:
    holder = holder_of()
    holder._orig_apply_model = holder.apply_model
    assert "is compiled" in refused(flux)


def test_a_compiled_block_is_refused(flux: WebUI) -> None:
    block = holder_of().diffusion_model.single_blocks[3]
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
    network = holder_of().diffusion_model
    network.img_in = nn.Linear(384, 32)
    if packed:
        network.in_channels = 384
        network.img_in.weight = nn.Parameter(torch.zeros(6144, 1).byte(), requires_grad=False)
    assert "Fill" in refused(flux)


def test_flux_2_is_refused(flux: WebUI) -> None:
    holder_of().diffusion_model.patch_size = 1
    assert "does not know" in refused(flux)


def test_flow_on_a_unet_is_refused(forge: WebUI) -> None:
    holder_of().predictor = FlowPrediction()
    assert "predicts neither" in refused(forge)
