"""Forge's holder of the UNet, and the model inside."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from backend import memory_management  # noqa: F401 (there before any model, as in the hosts)


class Prediction(nn.Module):
    """Links noise levels, timesteps and what the UNet predicts (v)."""

    def __init__(self, alphas_cumprod: Tensor) -> None:
        super().__init__()
        self.sigmas = ((1 - alphas_cumprod) / alphas_cumprod).sqrt()

    def timestep(self, sigma: Tensor) -> Tensor:
        """The nearest timestep."""
        distance = sigma.log() - self.sigmas.log()[:, None]
        return distance.abs().argmin(dim=0).view(sigma.shape)

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """What the UNet reads."""
        return noise / (sigma.view(-1, 1, 1, 1) ** 2 + 1) ** 0.5

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """The clean latent that an answer stands for."""
        sigma = sigma.view(-1, 1, 1, 1)
        return x / (sigma**2 + 1) - output * sigma / (sigma**2 + 1) ** 0.5


class KModel(nn.Module):
    """The UNet behind noise levels and clean latents."""

    def __init__(self, unet: nn.Module, predictor: Prediction) -> None:
        super().__init__()
        self.diffusion_model, self.predictor = unet, predictor

    def apply_model(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        """(B, C, h, w) at noise levels (B,) to clean latents."""
        output = self.diffusion_model(
            self.predictor.calculate_input(t, x),
            self.predictor.timestep(t).float(),
            context=c_crossattn,
            control=control,
            transformer_options=transformer_options or {},
            **kwargs,
        )
        return self.predictor.calculate_denoised(t, output, x)


class UnetPatcher:
    """Holds a model and what extensions ask of it."""

    def __init__(self, model: KModel) -> None:
        self.model = model
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.extra_preserved_memory_during_sampling = 0

    def clone(self) -> UnetPatcher:
        """Another holder of the same model."""
        other = UnetPatcher(self.model)
        other.model_options = copy.deepcopy(self.model_options)
        other.extra_preserved_memory_during_sampling = self.extra_preserved_memory_during_sampling
        return other

    def add_extra_preserved_memory_during_sampling(self, memory_in_bytes: int) -> None:
        """Announces memory."""
        self.extra_preserved_memory_during_sampling += memory_in_bytes
