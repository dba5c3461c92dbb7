"""The UNets that are measured: the layouts of SD 1.5 and SDXL, at full size or small."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from demo.bundled import CrossAttention, UNetModel, sdp_attention
from demo.model import fill_zero_layers

ADM = 2816


class SDXLUNet(UNetModel):
    """ldm's UNet with SDXL's layout: transformers of depth 0, 2 and 10 by level, and a vector of
    sizes. ldm's transformer takes one context for each block, sgm's one for all."""

    DEPTH = 10

    def __init__(self, **layout: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells that it has a label embedding
            layout["context_dim"] = [layout["context_dim"]] * self.DEPTH
            super().__init__(num_classes="continuous", transformer_depth=self.DEPTH, **layout)
        width = 4 * self.model_channels
        self.label_emb = nn.Sequential(nn.Linear(ADM, width), nn.SiLU(), nn.Linear(width, width))
        for module in list(self.modules()):
            blocks = getattr(module, "transformer_blocks", None)
            if blocks is not None and module.in_channels == 2 * self.model_channels:
                del blocks[2:]

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None
    ) -> Tensor:
        return super().forward(x, timesteps, [context] * self.DEPTH, y)


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
        kind = SDXLUNet if self.vector else UNetModel
        with torch.device(device):
            unet = kind(image_size=self.side, **self.layout).eval().requires_grad_(False)
            if device != "meta":
                fill_zero_layers(unet, std=0.02)
        unet.dtype = dtype  # ldm casts the UNet's input to it
        return unet.to(dtype)


_COMMON = {
    "in_channels": 4,
    "out_channels": 4,
    "num_res_blocks": 2,
    "use_spatial_transformer": True,
    "legacy": False,
}
_SD15 = _COMMON | {
    "attention_resolutions": [4, 2, 1],
    "channel_mult": [1, 2, 4, 4],
    "num_heads": 8,
    "transformer_depth": 1,
}
_SDXL = _COMMON | {
    "attention_resolutions": [4, 2],
    "channel_mult": [1, 2, 4],
    "num_heads": -1,
    "num_head_channels": 64,
    "use_linear_in_transformer": True,
}

FULL = (
    Shape("SD1.5 512x512", 64, 768, 0, _SD15 | {"model_channels": 320, "context_dim": 768}),
    Shape("SDXL 1024x1024", 128, 2048, ADM, _SDXL | {"model_channels": 320, "context_dim": 2048}),
)
SMALL = (
    Shape("SD1.5 small 256x256", 32, 64, 0, _SD15 | {"model_channels": 64, "context_dim": 64}),
    Shape("SDXL small 256x256", 32, 64, ADM, _SDXL | {"model_channels": 64, "context_dim": 64}),
)


@contextlib.contextmanager
def fused_attention() -> Any:
    """ldm's attention on torch's fused kernel, as the WebUIs run it."""
    original = CrossAttention.forward
    CrossAttention.forward = sdp_attention
    try:
        yield
    finally:
        CrossAttention.forward = original
