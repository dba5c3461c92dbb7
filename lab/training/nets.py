"""The networks: ldm's own UNet and autoencoder classes at a small width.

ldm comes from ``stable-diffusion-sdkit`` (Stability AI's code, unchanged where it matters here).
"""

from __future__ import annotations

import sys
import types

import torch
import torch.nn.functional as F
from torch import Tensor, nn

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 64,
    "attention_resolutions": [4, 2, 1],
    "num_res_blocks": 2,
    "channel_mult": [1, 2, 2, 2],
    "num_heads": 4,
    "use_spatial_transformer": True,
    "transformer_depth": 1,
    "context_dim": 64,
    "use_checkpoint": False,
    "legacy": False,
}
AUTOENCODER = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 128,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 0,
    "attn_resolutions": [],
    "dropout": 0.0,
}
SCALE_FACTOR = 0.18215  # of SD 1.x: what is stored is scaled so that latents have unit variance


def _import_ldm() -> None:
    """Makes ldm importable without pytorch_lightning, which it needs as a base class only."""
    if "pytorch_lightning" not in sys.modules:
        lightning = types.ModuleType("pytorch_lightning")
        lightning.LightningModule = nn.Module  # type: ignore[attr-defined]
        sys.modules["pytorch_lightning"] = lightning


def _fast_attention(
    self: nn.Module, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """CrossAttention.forward with PyTorch's own kernels: the same result, twice as fast.

    On a CPU the fused kernel's backward pass is slower than plain products.
    """
    assert mask is None
    context = x if context is None else context
    q, k, v = (
        each.unflatten(2, (self.heads, -1)).transpose(1, 2)
        for each in (self.to_q(x), self.to_k(context), self.to_v(context))
    )
    if torch.is_grad_enabled() and not x.is_cuda:
        weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)).softmax(-1)
        out = weights.to(v.dtype) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return self.to_out(out.transpose(1, 2).flatten(2))


def build_unet() -> nn.Module:
    """The toy UNet: SD 1.x topology, 12.8 M parameters."""
    _import_ldm()
    from ldm.modules import attention
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    attention.CrossAttention.forward = _fast_attention
    return UNetModel(**UNET)


class Autoencoder(nn.Module):
    """ldm's encoder and decoder, with the two 1x1 convolutions of AutoencoderKL."""

    def __init__(self) -> None:
        super().__init__()
        _import_ldm()
        from ldm.modules.diffusionmodules.model import Decoder, Encoder

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
