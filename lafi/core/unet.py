"""A UNet's self-attention layers.

They are found by structure (which modules hold transformer blocks, and where those stand), never by
token count or by a table of model names, so that pruned models (SSD-1B) and refiners work as they
are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..errors import LafiError
from .site import DECODER, ENCODER, MIDDLE, Site, replaced


def unet_sites(unet: nn.Module) -> tuple[Site, ...]:
    """All self-attention sites of a UNet with the layout of ldm and sgm, in order of execution.

    Raises:
        LafiError: `unsupported_model` when there is no decoder with self-attention,
            `unsupported_unet` when it makes videos, `attention_replaced` when another extension has
            put something else in place of an attention layer.
    """
    if not hasattr(unet, "output_blocks"):
        raise LafiError(
            "unsupported_model",
            f"{type(unet).__name__} has no UNet decoder.",
            "LAFI works with SD 1.x, SD 2.x and SDXL checkpoints; choose one, or switch LAFI off.",
        )
    moving = next((each for each in unet.modules() if "Temporal" in type(each).__name__), None)
    if moving is not None:
        raise LafiError(
            "unsupported_unet",
            f"the UNet makes videos: it has motion modules ({type(moving).__name__}).",
            "Switch AnimateDiff off, or switch LAFI off.",
        )
    parts = ((ENCODER, "input_blocks"), (MIDDLE, "middle_block"), (DECODER, "output_blocks"))
    sites = tuple(site for part, name in parts for site in _sites_of_part(unet, part, name))
    if not any(site.part == DECODER for site in sites):
        raise LafiError(
            "unsupported_model",
            f"the decoder of {type(unet).__name__} has no self-attention.",
            "Choose another checkpoint, or switch LAFI off.",
        )
    return sites


def _sites_of_part(unet: nn.Module, part: str, root: str) -> Iterator[Site]:
    block = -1
    for path, module in getattr(unet, root).named_modules(prefix=root):
        # Nothing below a SpatialTransformer holds transformer blocks again.
        transformer_blocks = getattr(module, "transformer_blocks", None)
        if transformer_blocks is None:
            continue
        names = [f"{path}.transformer_blocks.{i}.attn1" for i in range(len(transformer_blocks))]
        found = [
            (name, each.attn1)
            for name, each in zip(names, transformer_blocks, strict=True)
            if _has_self_attention(each, name)
        ]
        block += bool(found)
        yield from (Site(name, part, block, attention, module) for name, attention in found)


def _has_self_attention(block: nn.Module, name: str) -> bool:
    attention = getattr(block, "attn1", None)
    # x4-upscaler models turn attn1 into a second cross-attention.
    if attention is None or getattr(block, "disable_self_attn", False):
        return False
    if not all(hasattr(attention, projection) for projection in ("to_q", "to_k", "to_v")):
        raise replaced(name)
    return True


def unet_channels(unet: nn.Module) -> int:
    """How many channels a UNet's first layer reads."""
    blocks: Any = unet.input_blocks
    return int(blocks[0][0].weight.shape[1])
