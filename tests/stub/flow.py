"""A transformer of flow matching in the stub's Forge."""

from __future__ import annotations

from typing import Any

import torch
from backend.patcher.unet import KModel, UnetPatcher
from modules import sd_models
from torch import Tensor, nn

from lab.host.model import RandomText
from tests.joint.flux_shape import FluxShape
from tests.joint.parts import TEXT, VECTOR

LEVELS = torch.arange(1, 1001) / 1000


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
        """What the network reads."""
        return sigma * self.multiplier

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """The latent as it is."""
        return noise

    def calculate_denoised(self, sigma: Tensor, output: Tensor, x: Tensor) -> Tensor:
        """The clean latent that a velocity stands for."""
        return x - output * sigma.view(-1, 1, 1, 1)


def holder() -> Any:
    """The host's holder of the network."""
    model: Any = sd_models.model_data.sd_model
    return model.forge_objects_original.unet.model


def load_transformer() -> None:
    """Puts one in place of the UNet."""
    torch.manual_seed(5)
    model: Any = sd_models.model_data.sd_model
    made = KModel(Network(), FlowPrediction())  # type: ignore[arg-type]
    model.forge_objects_original.unet = UnetPatcher(made)
    model.forge_objects = model.forge_objects_original.shallow_copy()
    model._text = RandomText(TEXT)
    # The levels that the sampler walks down.
    model.alphas_cumprod = 1 / (1 + LEVELS**2)
    model.__class__ = type("Flux", (type(model),), {"is_sd1": False})
