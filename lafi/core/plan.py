"""What a pass is told to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from .attention import ContextHook
from .batching import Batching
from .joint.families import find_family
from .schedule import Window
from .sites import Site


@dataclass(frozen=True)
class Plan:
    """What a pass does.

    Attributes:
        sites: the sites that inject.
        window: when.
        stream: noise, inversion or denoise.
        fidelity: how much less the uncond rows see of the reference: 0 as much as the cond rows, 1
            nothing, so that guidance amplifies it.
        refresh: how many evaluations a recording serves; 1 is exact, 0 as many as lose nothing
            that could be measured.
        fused: let the reference be one more row of the target's own UNet call where possible; a
            `Batching` does it where that is faster.
        position: where a reference's tokens stand, in a network with rotary positions: own, beside,
            none or soft.
        context_hook: the host's own treatment of a context before to_k and to_v.
        size: height and width of the picture's latent; None where every reference has it.
        upcast: compute weighted attention in float32.
        progress: see `ReferenceRunner`.
    """

    sites: tuple[Site, ...]
    window: Window = field(default_factory=Window)
    stream: str = "noise"
    fidelity: float = 0.0
    refresh: int = 1
    fused: bool | Batching = False
    position: str = "own"
    context_hook: ContextHook | None = None
    size: tuple[int, int] | None = None
    upcast: bool = False
    progress: Callable[[int, int], None] = lambda done, total: None

    def share(self, cond: bool) -> float:
        """How much of a source's strength a row sees."""
        return 1 if cond else 1 - self.fidelity

    def estimate(self, unet: nn.Module, height: int, width: int) -> int:
        """Bytes of the reference's keys and values at a latent size; no mask assumed."""
        family = find_family(unet)
        if family is not None:
            channels = sum(_widest(site.module) for site in self.sites)
            return 2 * math.prod(family.size(height, width)) * channels * _bytes(unet)
        # Not by name: other extensions wrap whole blocks.
        blocks = {id(getattr(each, "attn1", None)): each for each in unet.modules()}
        widths = [_width(blocks.get(id(site.module)), site) for site in self.sites]
        first = next((each for each in unet.modules() if isinstance(each, nn.Conv2d)), None)
        channels = min(widths, default=1) if first is None else first.out_channels
        total = 0
        for each in widths:
            # Channels grow with the downsampling in all UNets of this layout.
            factor = max(1, each // max(channels, 1))
            total += 2 * math.ceil(height / factor) * math.ceil(width / factor) * each
        return total * _bytes(unet)


def _width(block: nn.Module | None, site: Site) -> int:
    """Channels of a site's tokens: what its block normalises, since quantised layers do not tell
    what they read."""
    shape = getattr(getattr(block, "norm1", None), "normalized_shape", None)
    return int(shape[-1]) if shape else int(getattr(site.module.to_k, "in_features", 0))


def _widest(block: nn.Module) -> int:
    """Channels of a transformer's tokens: the most that anything in a block normalises."""
    shapes = (getattr(each, "normalized_shape", None) for each in block.modules())
    return max((int(shape[-1]) for shape in shapes if shape), default=0)


def _bytes(unet: nn.Module) -> int:
    """Of one number as the UNet computes."""
    computing = getattr(unet, "computation_dtype", None)
    if isinstance(computing, torch.dtype):
        return computing.itemsize
    # Weights of one byte are stored so, not computed; packed ones are no floats at all.
    floats = (each for each in unet.parameters() if each.is_floating_point())
    return max(next((each.element_size() for each in floats), 2), 2)
