"""Reads the exported checkpoint and judges back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from ..host.checkpoint import part_of
from ..host.tokenizer import Tokenizer
from .export import CHECKPOINT, JUDGES, TARGET
from .judges import Judges
from .nets import Autoencoder, build_unet
from .text import TextModel


@dataclass(frozen=True)
class PixelModel:
    """The model's parts, in float32, ready to sample."""

    unet: nn.Module
    autoencoder: Autoencoder
    text: TextModel
    tokenizer: Tokenizer
    alphas_cumprod: Tensor

    def context(self, captions: list[str]) -> Tensor:
        """(B, 77, 64) of captions."""
        return self.text(self.tokenizer(captions))

    def __call__(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        """The UNet's answer (B, 4, h, w), as training's own model gives it."""
        answer: Tensor = self.unet(x, timesteps, context)
        return answer


def load_model(path: Path = TARGET / CHECKPOINT) -> PixelModel:
    """The model of an exported checkpoint; strict about every parameter."""
    state = load_file(path)
    unet, autoencoder, text = build_unet(), Autoencoder(), TextModel()
    unet.load_state_dict(part_of(state, "model.diffusion_model."))
    autoencoder.load_state_dict(part_of(state, "first_stage_model."))
    text.load_state_dict(part_of(state, "cond_stage_model.transformer.text_model."))
    for part in (unet, autoencoder, text):
        part.eval().requires_grad_(False)
    return PixelModel(unet, autoencoder, text, Tokenizer(), state["alphas_cumprod"])


def load_judges(path: Path = TARGET / JUDGES) -> Judges:
    """The exported judges."""
    judges = Judges()
    judges.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    )
    return judges.eval().requires_grad_(False)
