"""What a pass is told to do, and where it may keep what it records."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .bank import Bank
from .batching import Batching
from .injection import ContextHook
from .schedule import Window
from .sites import Site


@dataclass(frozen=True)
class Plan:
    """What a pass does.

    Attributes:
        sites: the sites that inject.
        window: when.
        strength: weight on the reference's keys.
        stream: noise, inversion or denoise.
        positive_only: inject in cond rows only.
        refresh: how many evaluations a recording serves; 1 is exact.
        fused: let the reference be one more row of the target's own UNet call where possible; a
            `Batching` does it where that is faster.
        context_hook: the host's own treatment of a context before to_k and to_v.
        upcast: compute weighted attention in float32.
    """

    sites: tuple[Site, ...]
    window: Window = field(default_factory=Window)
    strength: float = 1.0
    stream: str = "noise"
    positive_only: bool = False
    refresh: int = 1
    fused: bool | Batching = False
    context_hook: ContextHook | None = None
    upcast: bool = False

    def estimate(self, unet: nn.Module, height: int, width: int) -> int:
        """Bytes of the reference's keys and values at a latent size; no mask assumed."""
        top: Any = next(unet.parameters())
        channels = next(each for each in unet.modules() if isinstance(each, nn.Conv2d)).out_channels
        total = 0
        for site in self.sites:
            key: Any = site.module.to_k
            # Channels grow with the downsampling in all UNets of this layout.
            factor = max(1, key.in_features // channels)
            tokens = math.ceil(height / factor) * math.ceil(width / factor)
            total += 2 * tokens * key.out_features * top.element_size()
        return total


@dataclass(frozen=True)
class Replay:
    """Where recordings are kept, and what they depend on beside the reference itself.

    Attributes:
        bank: the recordings.
        identity: model, weight patches and whatever else decides what the UNet answers now.
    """

    bank: Bank
    identity: Hashable
