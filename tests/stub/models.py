"""Small checkpoints as the hosts hold them, around a real ldm UNet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import backend.memory_management  # noqa: F401 (the host has it loaded)
import torch
from backend.patcher.unet import KModel, Prediction, UnetPatcher
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from lab.host.model import RandomText, sd_alphas_cumprod
from tests.host import harness


class FirstStage(nn.Module):
    """A VAE that only scales: three colours and their mean."""

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to (B, 4, H/8, W/8)."""
        small = avg_pool2d(pixels, 8)
        return torch.cat([small, small.mean(1, keepdim=True)], 1)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, 4, h, w) to (B, 3, 8h, 8w)."""
        return interpolate(latent[:, :3], scale_factor=8)


class Checkpoint:
    """What both kinds of host have."""

    is_sd1 = True
    sd_model_hash = "0123456789"
    parameterization = "v"

    def __init__(self) -> None:
        self.first_stage_model: FirstStage | None = FirstStage()
        self._vae = self.first_stage_model
        self.alphas_cumprod = sd_alphas_cumprod()
        self._text = RandomText(harness.WIDTH)

    def encode_first_stage(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) to (B, 4, h/8, w/8)."""
        return self._vae.encode(pixels)

    def decode_first_stage(self, latent: Tensor) -> Tensor:
        """(B, 4, h, w) to (B, 3, 8h, 8w)."""
        return self._vae.decode(latent)

    def get_learned_conditioning(self, prompts: list[str]) -> Tensor:
        """(B, L, D)"""
        return torch.cat([self._text(prompt) for prompt in prompts])


class A1111Checkpoint(Checkpoint):
    """The UNet as a plain module."""

    def __init__(self) -> None:
        super().__init__()
        self.model = SimpleNamespace(diffusion_model=harness.case("sd1").unet)

    def apply_model(self, x: Tensor, timesteps: Tensor, cond: dict[str, Any]) -> Tensor:
        """(B, 4, h, w) at timesteps (B,)."""
        context = torch.cat(cond["c_crossattn"], 1)
        answer: Tensor = self.model.diffusion_model(x, timesteps, context=context)
        return answer


class ForgeObjects(SimpleNamespace):
    """UNet and VAE, replaced before each batch."""

    def shallow_copy(self) -> ForgeObjects:
        """The same objects in another holder."""
        return ForgeObjects(**vars(self))


class ForgeCheckpoint(Checkpoint):
    """The UNet in a patcher."""

    def __init__(self) -> None:
        super().__init__()
        model = KModel(harness.case("sd1").unet, Prediction(self.alphas_cumprod))
        vae = SimpleNamespace(first_stage_model=self.first_stage_model)
        # Forge f2 keeps the name, and nothing behind it.
        self.first_stage_model = None
        self.forge_objects_original = ForgeObjects(unet=UnetPatcher(model), vae=vae)
        self.forge_objects = self.forge_objects_original.shallow_copy()


CHECKPOINTS = {"a1111": A1111Checkpoint, "forge": ForgeCheckpoint}
