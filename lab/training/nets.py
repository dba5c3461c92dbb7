"""The networks: ldm's own UNet and autoencoder classes at a small width."""

from __future__ import annotations

import contextlib
import io

import torch
from torch import Tensor, nn

from ..host.bundled import Decoder, Encoder, UNetModel, fuse
from ..host.model import SD1_UNET, SD1_VAE

UNET = SD1_UNET | {
    "model_channels": 64,
    "channel_mult": [1, 2, 2, 2],
    "num_heads": 4,
    "context_dim": 64,
    "use_checkpoint": False,
}
AUTOENCODER = SD1_VAE | {"resolution": 128, "ch": 128, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 0}
SCALE_FACTOR = 0.18215  # of SD 1.x: what is stored is scaled so that latents have unit variance


def build_unet() -> nn.Module:
    """The pixel world's UNet: SD 1.x topology, 12.8 M parameters."""
    unet = UNetModel(**UNET)
    fuse(unet)
    return unet


class Autoencoder(nn.Module):
    """ldm's encoder and decoder, with the two 1x1 convolutions of AutoencoderKL."""

    def __init__(self) -> None:
        super().__init__()
        with contextlib.redirect_stdout(io.StringIO()):  # ldm prints its layout
            self.encoder, self.decoder = Encoder(**AUTOENCODER), Decoder(**AUTOENCODER)
        self.quant_conv = nn.Conv2d(8, 8, 1)
        self.post_quant_conv = nn.Conv2d(4, 4, 1)

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in -1..1 to the mean latent (B, 4, H/8, W/8)."""
        return self.quant_conv(self.encoder(pixels))[:, :4]

    def decode(self, latent: Tensor) -> Tensor:
        """(B, 4, h, w) to (B, 3, 8h, 8w), about -1..1."""
        return self.decoder(self.post_quant_conv(latent))

    @torch.no_grad()
    def roundtrip(self, pixels: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) encoded and decoded again, on the CPU."""
        where = next(self.parameters()).device
        made = [self.decode(self.encode(each.to(where))).cpu() for each in pixels.split(16)]
        return torch.cat(made).clamp(-1, 1)
