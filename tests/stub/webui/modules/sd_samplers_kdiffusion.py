"""Euler and Heun as the hosts run them: each evaluation calls the callback, then the UNet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from . import sd_samplers_common, shared
from .script_callbacks import CFGDenoiserParams, cfg_denoiser_callback
from .sd_models import model_data


class CompVisVDenoiser(nn.Module):
    """A1111's wrapper: noise levels and clean latents around a model that knows timesteps."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner_model = model
        self.sigmas = ((1 - model.alphas_cumprod) / model.alphas_cumprod) ** 0.5

    def sigma_to_t(self, sigma: Tensor) -> Tensor:
        """The nearest timesteps."""
        nearest: Tensor = (sigma.log() - self.sigmas.log()[:, None]).abs().argmin(0)
        return nearest.float()

    def forward(self, x: Tensor, sigma: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, 4, h, w) at noise levels (B,) to clean latents."""
        level = sigma.view(-1, 1, 1, 1)
        scaled = x / (level**2 + 1) ** 0.5
        output: Tensor = self.inner_model.apply_model(scaled, self.sigma_to_t(sigma), cond)
        return x / (level**2 + 1) - output * level / (level**2 + 1) ** 0.5


class CFGDenoiser:
    """One evaluation: A1111 puts cond rows before uncond rows, Forge after them."""

    p: Any
    steps: int
    total_steps: int

    def __init__(self, sampler: KDiffusionSampler) -> None:
        self.sampler = sampler
        self.step = 0
        self.init_latent: Tensor | None = None
        self.inner_model = CompVisVDenoiser(model_data.sd_model)

    def __call__(
        self, x: Tensor, sigma: Tensor, cond: Tensor, uncond: Tensor, cond_scale: float
    ) -> Tensor:
        """(B, 4, h, w) at noise levels (B,) to guided clean latents."""
        state = shared.state
        if state.interrupted or state.skipped:
            raise sd_samplers_common.InterruptedException
        forge = hasattr(model_data.sd_model, "forge_objects")
        rows, levels = (x, sigma) if forge else (torch.cat([x, x]), torch.cat([sigma, sigma]))
        params = CFGDenoiserParams(
            rows, None, levels, state.sampling_step, state.sampling_steps, cond, uncond, self
        )
        cfg_denoiser_callback(params)
        if forge:
            positive, negative = _forge_call(x, sigma, cond, uncond)
        else:
            concat = x.new_zeros(2 * len(x), 5, 1, 1)
            conds = {"c_crossattn": [torch.cat([cond, uncond])], "c_concat": [concat]}
            positive, negative = self.inner_model(rows, levels, conds).chunk(2)
        denoised = negative + cond_scale * (positive - negative)
        self.sampler.last_latent = denoised
        self.step += 1
        return denoised


def _forge_call(x: Tensor, sigma: Tensor, cond: Tensor, uncond: Tensor) -> tuple[Tensor, Tensor]:
    patcher = model_data.sd_model.forge_objects.unet
    options = {
        **patcher.model_options["transformer_options"],
        "cond_or_uncond": [1, 0],
        "sigmas": sigma,
        "cond_mark": torch.tensor([1.0, 0.0]).repeat_interleave(len(x)),
    }
    both = patcher.model.apply_model(
        torch.cat([x, x]),
        torch.cat([sigma, sigma]),
        c_crossattn=torch.cat([uncond, cond]),
        transformer_options=options,
    )
    negative, positive = both.chunk(2)
    return positive, negative


class KDiffusionSampler(sd_samplers_common.Sampler):
    """A sampler by noise levels."""

    def __init__(self, func: Callable[..., Tensor], evaluations_per_step: int) -> None:
        super().__init__(func)
        self.evaluations_per_step = evaluations_per_step
        self.model_wrap_cfg = CFGDenoiser(self)

    def sample(self, p: Any, x: Tensor, conditioning: Tensor, uncond: Tensor) -> Any:
        """A pass from pure noise x (B, 4, h, w)."""
        sigmas = self._sigmas(p.steps)
        return self._run(p, p.steps, x * sigmas[0], sigmas, conditioning, uncond)

    def sample_img2img(
        self, p: Any, x: Tensor, noise: Tensor, conditioning: Tensor, uncond: Tensor
    ) -> Any:
        """A pass that begins with a picture's latent x (B, 4, h, w)."""
        begun = min(int(p.denoising_strength * p.steps), p.steps - 1)
        sigmas = self._sigmas(p.steps)[p.steps - begun - 1 :]
        self.model_wrap_cfg.init_latent = x
        start = x + noise * sigmas[0]
        return self._run(p, begun + 1, start, sigmas, conditioning, uncond)

    def _sigmas(self, steps: int) -> Tensor:
        levels = self.model_wrap_cfg.inner_model.sigmas
        spaced = torch.linspace(len(levels) - 1, 0, steps).long()
        return torch.cat([levels[spaced], levels.new_zeros(1)])

    def _run(
        self, p: Any, steps: int, x: Tensor, sigmas: Tensor, cond: Tensor, uncond: Tensor
    ) -> Any:
        self.initialize(p)
        self.last_latent = x
        extra = {"cond": cond, "uncond": uncond, "cond_scale": p.cfg_scale}
        return self.launch_sampling(
            steps,
            lambda: self.func(
                self.model_wrap_cfg, x, sigmas, extra_args=extra, callback=self.callback_state
            ),
        )


def sample_euler(
    model: CFGDenoiser, x: Tensor, sigmas: Tensor, extra_args: Any, callback: Any
) -> Tensor:
    """One evaluation a step."""
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        direction = (x - model(x, sigma.repeat(len(x)), **extra_args)) / sigma
        callback(step)
        x = x + (following - sigma) * direction
    return x


def sample_heun(
    model: CFGDenoiser, x: Tensor, sigmas: Tensor, extra_args: Any, callback: Any
) -> Tensor:
    """Two evaluations a step, one in the last."""
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        direction = (x - model(x, sigma.repeat(len(x)), **extra_args)) / sigma
        callback(step)
        ahead = x + (following - sigma) * direction
        if following > 0:
            second = (ahead - model(ahead, following.repeat(len(x)), **extra_args)) / following
            direction = (direction + second) / 2
        x = x + (following - sigma) * direction
    return x


SAMPLERS = {"Euler": (sample_euler, 1), "Heun": (sample_heun, 2)}


def create_sampler(name: str) -> KDiffusionSampler:
    """A sampler for one pass."""
    return KDiffusionSampler(*SAMPLERS[name])
