"""What the whole A1111 family shares: encoding and conditioning, by the host's own functions."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from modules import devices, extra_networks, prompt_parser, sd_samplers_common, shared
from torch import Tensor, nn

from ..core.memory import total_bytes
from ..core.reference import Conditioning, UNetForward
from ..core.replay.key import Identity
from ..core.rng import seeded
from ..core.sites import Site, input_channels
from ..errors import LafiError
from .alone import alone
from .identity import Weights, structure, switch_hypertile_off

INPAINTING_CHANNELS = 9
# Samplers that evaluate once for each interval between timesteps rather than for each timestep.
BETWEEN_TIMESTEPS = ("ddim", "ddim_cfgpp")


class WebUIHost(ABC):
    """Base of the adapters; see `lafi.hosts.base.Host`."""

    @abstractmethod
    def unet(self) -> nn.Module:
        """The UNet that samples."""

    def model(self) -> Any:
        """The checkpoint that is loaded now, without loading one."""
        from modules.sd_models import model_data

        model = getattr(model_data, "sd_model", None)
        if model is None:
            raise LafiError("no_model", "no checkpoint is loaded.", "Choose one first.")
        return model

    def family(self) -> str:
        model = self.model()
        names = {"is_sdxl": "SDXL", "is_sd2": "SD 2.x", "is_sd1": "SD 1.x", "is_sd3": "SD 3"}
        known = [name for flag, name in names.items() if getattr(model, flag, False)]
        return known[0] if known else type(model).__name__

    def checkpoint(self) -> Hashable:
        return getattr(self.model(), "sd_model_hash", None)

    def encode(self, pixels: Tensor) -> Tensor:
        # The autoencoder samples its posterior from a global generator.
        with seeded(torch.device(devices.device)), torch.no_grad():
            latent = sd_samplers_common.images_tensor_to_samples(pixels).float()
        if torch.isnan(latent).any():
            raise LafiError(
                "vae_nan", "the VAE cannot encode the reference image.", "Choose another VAE."
            )
        return latent

    def conditioning(self, prompt: str, width: int, height: int, z0: Tensor) -> Conditioning:
        model = self.model()
        text, _ = extra_networks.parse_prompt(prompt)
        prompts = prompt_parser.SdConditioning([text], width=width, height=height)
        with torch.no_grad():
            schedule = prompt_parser.get_learned_conditioning(model, prompts, 1)
            cond = prompt_parser.reconstruct_cond_batch(schedule, 0)
        context, vector = (
            (cond["crossattn"], cond["vector"]) if isinstance(cond, dict) else (cond, None)
        )
        return Conditioning(context, vector, self._concat(z0))

    def context_hook(self) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        return None

    def upcast_attention(self) -> bool:
        return bool(getattr(shared.opts, "upcast_attn", False))

    def memory(self) -> int:
        return total_bytes(torch.device(devices.device))

    def quieten(self, sites: Sequence[Site]) -> Callable[[], None]:
        """Switches HyperTile off where injection is on: it cuts what a mask chooses from."""
        return switch_hypertile_off(site.module for site in sites)

    @abstractmethod
    def model_key(self) -> tuple:
        """Changes whenever weights, VAE or UNet change."""

    @abstractmethod
    def patches(self) -> Hashable | None:
        """What else decides the UNet's answers in this host; None if that cannot be known."""

    def identity(self) -> Identity:
        weights = Weights()

        def now() -> Hashable | None:
            unet = self.unet()
            modules, patches = structure(unet), self.patches()
            if modules is None or patches is None:
                return None
            return (*self.model_key(), modules, weights(unet), patches)

        return now

    def forward(self) -> UNetForward:
        return unhooked_forward

    def evaluations(self, denoiser: Any) -> int:
        sampler, announced = denoiser.sampler, denoiser.total_steps
        if hasattr(sampler, "get_timesteps"):
            # A run that starts from a picture has one timestep less than it announces; any other
            # has what fits into the schedule, which need not be the number of steps.
            started = denoiser.init_latent is not None
            count = len(sampler.get_timesteps(denoiser.p, announced))
            count = announced - 1 if started else count
            return max(1, count - (sampler.func.__name__ in BETWEEN_TIMESTEPS))
        if announced > denoiser.steps:
            # Second-order samplers are announced with two evaluations a step; the last has one.
            return announced - 1
        steps_begun = shared.state.sampling_step + 1
        if denoiser.step > steps_begun and walks_levels(sampler.func):
            # More evaluations than announced: go on as the steps so far did.
            return round(denoiser.steps * denoiser.step / steps_begun)
        return announced

    def is_adaptive(self, denoiser: Any) -> bool:
        # Such a sampler is given the ends of the noise levels, but neither levels nor their number.
        parameters = inspect.signature(denoiser.sampler.func).parameters
        return "sigma_min" in parameters and "n" not in parameters

    def _concat(self, z0: Tensor) -> Tensor | None:
        channels = input_channels(self.unet())
        if channels == z0.shape[1]:
            return None
        if channels == INPAINTING_CHANNELS:
            # Nothing of the reference is to be painted over, and all of it is known.
            return torch.cat([torch.zeros_like(z0[:, :1]), z0], 1)
        raise LafiError(
            "unsupported_model",
            f"the UNet reads {channels} channels (depth, edit and upscaler models, IC-Light).",
            "Choose a text-to-image or inpainting checkpoint, or switch LAFI off.",
        )


def walks_levels(sampler: Callable) -> bool:
    """Whether a sampler goes from one noise level of the run to the next and reports each step."""
    return "sigmas" in inspect.signature(sampler).parameters


def unhooked_forward(
    unet: nn.Module, x: Tensor, timesteps: Tensor, conditioning: Conditioning, kwargs: dict
) -> Tensor:
    """The UNet class's own forward: ControlNet replaces the instance's; hooks see only calls."""
    extra = {}
    if conditioning.vector is not None:
        extra["y"] = conditioning.vector.to(x)
    elif kwargs.get("y") is not None:
        extra["y"] = kwargs["y"][:1].expand(x.shape[0], -1)
    with alone(unet, x):
        return type(unet).forward(unet, x, timesteps, context=conditioning.context.to(x), **extra)
