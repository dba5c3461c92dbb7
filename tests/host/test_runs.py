"""Whole sampling runs: promises 7 and 9, through the demonstration's embedded host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import Tensor

from lab.host.bundled import sampling
from lab.host.embedded import SAMPLERS, CFGDenoiser, EmbeddedHost, Request, k_denoiser
from lab.host.model import Model, RandomText, sd_alphas_cumprod
from lafi.core.schedule import Window
from lafi.settings import LafiSettings

from . import harness
from .harness import SIDE, WIDTH, Case

STEPS = 6
CUTOFF = 50
# As Restart sampling does: down, up again, down.
RESTART = (14.0, 8.0, 4.0, 1.5, 6.0, 3.0, 1.0, 0.3)
REFERENCE = Image.effect_noise((SIDE * 8, SIDE * 8), 90).convert("RGB")


class LatentModel(Model):
    """The latent is the picture: what the sampler made is compared, not what a decoder rounds."""

    def decode(self, latent: Tensor) -> Tensor:
        return latent

    def encode(self, pixels: Tensor) -> Tensor:
        return torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def model_of(case: Case) -> Model:
    text, no_vae = RandomText(WIDTH), torch.nn.Identity()
    return LatentModel(case.unet, no_vae, text, sd_alphas_cumprod(), case.prediction, False)


def picture(settings: LafiSettings | None, **request: object) -> Tensor:
    """What the embedded host makes."""
    base = Request("a knight runs", steps=STEPS, size=SIDE * 8)
    host = EmbeddedHost(model_of(harness.case("sd1")))
    return host.generate(replace(base, **request), settings, REFERENCE)[0]


@pytest.mark.parametrize("settings", [
    {}, {"stream": "noise"}, {"stream": "denoise"}, {"fidelity": 0}, {"fidelity": 0.5},
    {"layers": "all"}, {"strength": 1}, {"start": 20}, {"depth": 25}, {"refresh": 2},
], ids=str)  # fmt: skip
def test_the_same_request_twice(settings: dict[str, object]) -> None:
    chosen = LafiSettings(**{"enabled": True, **settings})
    state = torch.get_rng_state()
    first = picture(chosen)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(picture(chosen), first)
    plain_settings = LafiSettings(enabled=True)
    assert chosen == plain_settings or not torch.equal(picture(plain_settings), first)


def test_another_noise_seed_is_another_picture() -> None:
    assert not torch.equal(
        picture(LafiSettings(enabled=True, stream="noise", noise_seed=1)),
        picture(LafiSettings(enabled=True, stream="noise", noise_seed=2)),
    )


# ---- samplers ---------------------------------------------------------------------------------


def by_sigmas(name: str) -> Callable[..., Tensor]:
    def sample(denoiser: CFGDenoiser, x: Tensor, extra: dict) -> Tensor:
        sigmas = denoiser.inner_model.get_sigmas(STEPS)
        run = getattr(sampling, f"sample_{name}")
        return run(denoiser, x * sigmas[0], sigmas, extra_args=extra, disable=True)

    return sample


def dpm_fast(denoiser: CFGDenoiser, x: Tensor, extra: dict) -> Tensor:
    return sampling.sample_dpm_fast(
        denoiser, x * 14.0, 0.03, 14.0, STEPS, extra_args=extra, disable=True
    )


def dpm_adaptive(denoiser: CFGDenoiser, x: Tensor, extra: dict) -> Tensor:
    return sampling.sample_dpm_adaptive(
        denoiser, x * 14.0, 0.03, 14.0, extra_args=extra, disable=True, rtol=0.5, atol=0.5
    )


def restart(denoiser: CFGDenoiser, x: Tensor, extra: dict) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = x * RESTART[0]
    for sigma, following in zip(RESTART, (*RESTART[1:], 0.0), strict=True):
        direction = (x - denoiser(x, x.new_full((1,), sigma), **extra)) / sigma
        if following > sigma:
            noise = torch.randn(x.shape, generator=generator)
            x = x + (following**2 - sigma**2) ** 0.5 * noise
        else:
            x = x + (following - sigma) * direction
    return x


# Name: (the run, its number of evaluations, or None where the sampler itself decides)
RUNS = {
    **{name: (by_sigmas(name), each * (STEPS - 1) + 1) for name, each in SAMPLERS.items()},
    "lms": (by_sigmas("lms"), STEPS),
    "dpmpp_2m_sde": (by_sigmas("dpmpp_2m_sde"), STEPS),
    "dpm_fast": (dpm_fast, STEPS),
    "dpm_adaptive": (dpm_adaptive, None),
    "restart": (restart, len(RESTART)),
}


@pytest.mark.parametrize("stream", ["noise", "inversion", "denoise"])
@pytest.mark.parametrize("name", RUNS)
def test_injection_goes_on_and_off_once(name: str, stream: str) -> None:
    sample, evaluations = RUNS[name]
    case = harness.case("sd1")
    model = model_of(case)
    announced = evaluations or STEPS
    window = Window(0, CUTOFF)
    hooked: list[bool] = []
    session = case.session(case.reference(), window=window, stream=stream)
    denoiser = CFGDenoiser(
        k_denoiser(model), session, announced, lambda: hooked.append(bool(case.unet._forward_hooks))
    )
    x = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    extra = {"cond": model.text("a knight"), "uncond": model.text(""), "scale": 2.0}
    with torch.random.fork_rng(devices=[]), torch.no_grad(), session:
        torch.manual_seed(0)
        result = sample(denoiser, x, extra)
    report = session.report
    assert result.isfinite().all()
    assert evaluations in (None, len(hooked))
    assert hooked == [window.contains(index, announced) for index in range(len(hooked))]
    assert len(hooked) > sum(hooked) > 0
    assert report.evaluations == len(hooked)
    assert (report.injected, report.skipped) == (sum(hooked), len(hooked) - sum(hooked))
    assert (report.recorded, report.replayed) == (sum(hooked), 0)
    assert report.switched == 2
    assert report.sites == [site.name for site in session.plan.sites]
