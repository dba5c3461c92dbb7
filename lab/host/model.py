"""A model as a WebUI holds it: UNet, VAE, text conditioning and noise schedule.

Here it is built small and with random weights; `lab.host.checkpoint` fills it from a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .bundled import AutoencoderKL, UNetModel, make_beta_schedule

WORDS = 16
# What all UNets of SD 1.x's layout share: 16 self-attention layers, 9 of them in the decoder.
SD1_UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "attention_resolutions": [4, 2, 1],
    "num_res_blocks": 2,
    "use_spatial_transformer": True,
    "transformer_depth": 1,
    "legacy": False,
}
# And all autoencoders with SD's factor 8 and four latent channels.
SD1_VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "attn_resolutions": [],
    "dropout": 0.0,
}


@dataclass(frozen=True)
class Model:
    """What sampling needs; k-diffusion reads `alphas_cumprod` and calls `apply_model`.

    Attributes:
        text: a prompt to its conditioning (1, L, D).
        alphas_cumprod: (T,) cumulative products of the schedule's alphas.
        prediction: what the UNet predicts, ``eps`` or ``v``.
        trained: False for random weights.
        scale_factor: brings the VAE's latents to unit variance.
    """

    unet: nn.Module
    vae: nn.Module
    text: Callable[[str], Tensor]
    alphas_cumprod: Tensor
    prediction: str
    trained: bool
    scale_factor: float = 0.18215

    def apply_model(self, x: Tensor, timesteps: Tensor, cond: Tensor) -> Tensor:
        """The UNet's answer (B, C, h, w), as k-diffusion asks for it."""
        return self.unet(x, timesteps, context=cond)

    def encode(self, pixels: Tensor) -> Tensor:
        """(1, 3, H, W) in 0..1 to a latent (1, 4, H/8, W/8)."""
        return self.vae.encode(pixels * 2 - 1).mode() * self.scale_factor

    def decode(self, latent: Tensor) -> Tensor:
        """(1, 4, h, w) to pixels (1, 3, 8h, 8w) in 0..1."""
        return ((self.vae.decode(latent / self.scale_factor) + 1) / 2).clamp(0, 1)


def build_unet(**changes: object) -> UNetModel:
    """An ldm UNet with SD 1.x's layout, narrower."""
    layout = {
        "model_channels": 64,
        "channel_mult": [1, 2, 2, 2],
        "num_heads": 8,
        "context_dim": 128,
    }
    return UNetModel(**(SD1_UNET | layout | changes)).eval()


def build_vae(**changes: object) -> nn.Module:
    """ldm's autoencoder with SD's factor 8 and four latent channels, narrower."""
    layout = {"ch": 32, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 1}
    with contextlib.redirect_stdout(io.StringIO()):  # ldm prints its layout
        layout = SD1_VAE | layout | changes
        return AutoencoderKL(layout, {"target": "torch.nn.Identity"}, embed_dim=4).eval()


def sd_betas() -> Tensor:
    """(1000,) the schedule of SD 1.x and 2.x, float64."""
    return torch.from_numpy(make_beta_schedule("linear", 1000, 0.00085, 0.012))


def sd_alphas_cumprod() -> Tensor:
    """(1000,) the cumulative products of its alphas."""
    return torch.cumprod(1 - sd_betas(), 0).float()


class RandomText:
    """A stand-in for a text encoder: every word has a random but fixed embedding.

    Args:
        width: size D of an embedding.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, prompt: str) -> Tensor:
        """A prompt to (1, 16, D); further words are left out, missing ones are the empty word."""
        words = prompt.lower().split()[:WORDS]
        words += [""] * (WORDS - len(words))
        return torch.stack([self._embedding(word) for word in words])[None]

    def _embedding(self, word: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:7], "big")
        return torch.randn(self.width, generator=torch.Generator().manual_seed(seed))


def fill_zero_layers(module: nn.Module, std: float) -> None:
    """Gives random values to what ldm initialises to zero, where training would begin.

    With zeros in them, attention would not reach the output at all.
    """
    for parameter in module.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=std)


@torch.no_grad()
def sharpen_attention(unet: nn.Module, gain: float) -> None:
    """Makes a random UNet's self-attention selective, as a trained one's is.

    As initialised it is close to a plain average over all tokens, whatever those hold.
    """
    for name, parameter in unet.named_parameters():
        if name.endswith(("attn1.to_q.weight", "attn1.to_k.weight")):
            parameter.mul_(gain)


def random_model(seed: int = 0) -> Model:
    """A small model with random weights; the same seed gives the same model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet, vae = build_unet(), build_vae()
        fill_zero_layers(unet, std=0.1)
        sharpen_attention(unet, gain=4)
    return Model(unet, vae, RandomText(128), sd_alphas_cumprod(), "v", trained=False)
