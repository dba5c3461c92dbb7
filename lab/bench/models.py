"""The UNets that are measured: the layouts of SD 1.5 and SDXL, at full size or small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..host.bundled import SGMUNetModel, UNetModel
from ..host.model import SD1_UNET, fill_zero_layers

ADM = 2816


@dataclass(frozen=True)
class Shape:
    """A UNet and the pictures it is measured on.

    Attributes:
        side: of the square latent.
        context: channels of the text conditioning.
        vector: channels of the pooled conditioning, 0 for none.
    """

    name: str
    side: int
    context: int
    vector: int
    layout: dict[str, Any]

    def build(self, device: str, dtype: torch.dtype) -> nn.Module:
        """The UNet, with random weights that let attention reach the output."""
        kind = SGMUNetModel if self.vector else UNetModel
        with torch.device(device):
            unet = kind(**self.layout).eval().requires_grad_(False)
            if device != "meta":
                fill_zero_layers(unet, std=0.02)
        unet.dtype = dtype  # ldm casts the UNet's input to it
        return unet.to(dtype)


_SD15 = SD1_UNET | {"image_size": 64, "channel_mult": [1, 2, 4, 4], "num_heads": 8}
_SDXL = {
    "in_channels": 4,
    "out_channels": 4,
    "num_res_blocks": 2,
    "attention_resolutions": [4, 2],
    "channel_mult": [1, 2, 4],
    "num_head_channels": 64,
    "transformer_depth": [0, 2, 10],
    "use_linear_in_transformer": True,
    "num_classes": "sequential",
    "adm_in_channels": ADM,
}

FULL = (
    Shape("SD1.5 512x512", 64, 768, 0, _SD15 | {"model_channels": 320, "context_dim": 768}),
    Shape("SDXL 1024x1024", 128, 2048, ADM, _SDXL | {"model_channels": 320, "context_dim": 2048}),
)
SMALL = (
    Shape("SD1.5 small 256x256", 32, 64, 0, _SD15 | {"model_channels": 64, "context_dim": 64}),
    Shape("SDXL small 256x256", 32, 64, ADM, _SDXL | {"model_channels": 64, "context_dim": 64}),
)
