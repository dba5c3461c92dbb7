"""Transformers on the Forge family: runs on a stand-in, and what they take of memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from modules import sd_models
from torch import Tensor, nn

from lafi.core.reference import Conditioning
from lafi.errors import LafiError
from lafi.hosts import find_host
from lafi.hosts.forge import ForgeHost, forge_forward
from lafi.webui import status

from .flow import LEVELS, holder
from .host import WebUI, reference

LAFI = {"image": reference(), "cutout": "off"}


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
    assert not any("forward" in vars(module) for module in holder().modules())
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
    holder().diffusion_model.register_forward_pre_hook(
        lambda *_: seen.append(_objects().unet.extra_preserved_memory_during_sampling)
    )
    picture(flux, LAFI)
    assert set(seen) == {RECORDING}
    seen.clear()
    picture(flux, LAFI | {"reference_size": 50})
    assert set(seen) == {RECORDING // 4}


# Keys and values at four sites, 64 tokens 32 wide, in float32.
RECORDING = 4 * 2 * 64 * 32 * 4


@pytest.mark.parametrize(("given", "memory", "size"), [
    ({}, 4 * RECORDING, 100),
    ({}, 4 * RECORDING - 1, 50),
    ({"reference_size": 50}, 4 * RECORDING, 50),
])  # fmt: skip
def test_a_reference_is_shown_smaller(
    flux: WebUI, monkeypatch: pytest.MonkeyPatch, given: dict[str, int], memory: int, size: int
) -> None:
    monkeypatch.setattr(ForgeHost, "memory", lambda host: memory)
    plain, made = picture(flux), picture(flux, LAFI | given)
    [told] = flux.last_run["references"]
    assert told["size"] == size
    assert flux.last_run["passes"][0]["reference_bytes"] == _recorded(size)
    assert not torch.allclose(made, plain, atol=1e-3)
    assert torch.equal(picture(flux, LAFI | given), made)
    assert flux.swallowed() == []


def _recorded(size: int) -> int:
    tokens = 64 * size**2 // 10000
    # Beside keys and values each token's place is kept.
    return RECORDING * size**2 // 10000 + 4 * tokens * 4 * 4


def test_a_region_with_a_smaller_reference(flux: WebUI) -> None:
    whole = picture(flux, LAFI | {"reference_size": 50})
    left = picture(flux, LAFI | {"reference_size": 50, "region": "left"})
    assert flux.last_run["error"] is None
    assert not torch.equal(left, whole)


def test_the_page_tells_of_the_memory(flux: WebUI, monkeypatch: pytest.MonkeyPatch) -> None:
    # 64 times the tokens of the tests' pictures.
    whole = 64 * RECORDING
    for given, memory, said in (
        ({}, 4 * whole, f"takes about {whole >> 20} MiB."),
        ({"reference_size": 50}, 4 * whole, f"takes about {whole >> 22} MiB."),
        ({"region": "left"}, 2 * whole, f"takes about {whole >> 21} MiB."),
        ({"region": "left", "fit": "crop"}, 4 * whole, f"takes about {whole >> 20} MiB."),
        ({}, 4 * whole - 1, f"takes about {whole >> 22} MiB, shown at 50 % of its size to fit."),
    ):
        monkeypatch.setattr(ForgeHost, "memory", lambda host, memory=memory: memory)
        assert status.describe(given).endswith(f" At 1024x1024 the reference {said}")


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
    holder().predictor.multiplier = 1000.0
    host = find_host()
    schedule = host.schedule()
    assert host.prediction() == "flow"
    assert schedule.reads(schedule.timestep(host.sigma(None, torch.tensor([0.25])))) == (
        pytest.approx(250, rel=1e-2)
    )


def test_what_reaches_the_references_pass() -> None:
    seen: dict[str, Any] = {}

    class Reader(nn.Module):
        def forward(self, x: Tensor, timestep: Tensor, **kwargs: Any) -> Tensor:
            seen.update(kwargs)
            return x

    x, options = torch.zeros(2, 4, 8, 8), {"sigmas": torch.ones(3), "group_norm_wrapper": print}
    of_target = {"patches_replace": {"dit": {}}, "block_modifiers": [], "block_inner_modifiers": []}
    kwargs = {
        "guidance": torch.full((3,), 3.5),
        "transformer_options": options | of_target,
        "control": "some",
    }
    conditioning = Conditioning(torch.zeros(2, 5, 6), torch.zeros(2, 7))
    forge_forward(Reader(), x, torch.ones(2), conditioning, kwargs)
    assert seen["guidance"].tolist() == [3.5, 3.5]
    assert seen["y"].shape == (2, 7)
    assert seen["control"] is None
    assert seen["transformer_options"].keys() & (options | of_target) == options.keys()
