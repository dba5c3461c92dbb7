"""A reference as the model sees it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .levels import NoiseSchedule, scale_input
from .mask import TokenMask

# What every UNet's latent sizes are divided by, so that its levels fit together.
CELLS = 8


@dataclass(frozen=True)
class Conditioning:
    """What the UNet reads beside the reference's latent.

    Attributes:
        context: (1, L, D) text.
        vector: (1, A) pooled text and sizes (SDXL), or None.
        concat: (1, c, h, w) more input channels (inpainting models), or None.

    Of several references at once all of them have a row each.
    """

    context: Tensor
    vector: Tensor | None = None
    concat: Tensor | None = None

    @property
    def shapes(self) -> Hashable:
        """What must agree for two to be rows of one call."""
        parts = (self.context, self.vector, self.concat)
        return tuple(None if each is None else tuple(each.shape) for each in parts)


def joined(each: list[Conditioning]) -> Conditioning:
    """Those of several references of the same shapes, one row for each."""
    if len(each) == 1:
        return each[0]

    def rows(name: str) -> Tensor | None:
        parts = [part for part in (getattr(one, name) for one in each) if part is not None]
        return torch.cat(parts) if parts else None

    context = rows("context")
    assert context is not None
    return Conditioning(context, rows("vector"), rows("concat"))


class UNetForward(Protocol):
    """The host's UNet without any hook: ``forward(unet, x, timesteps, conditioning, kwargs)``.

    All of `x` (K, C, h, w), `timesteps` (K,) and `conditioning` are references, one a row; `kwargs`
    are those of the target's own call.
    """

    def __call__(
        self,
        unet: nn.Module,
        x: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        kwargs: dict[str, Any],
    ) -> Tensor: ...


@dataclass(frozen=True)
class Reference:
    """The reference as the model sees it.

    Attributes:
        z0: (1, C, h, w) its latent, float32.
        noise: (1, C, h, w) its fixed noise, float32.
        conditioning: its own text and sizes.
        schedule: the model's timesteps and noise levels.
        prediction: what the network predicts, ``eps``, ``v`` or ``flow``.
        mask: which tokens are kept; None for all.
    """

    z0: Tensor
    noise: Tensor
    conditioning: Conditioning
    schedule: NoiseSchedule
    prediction: str = "eps"
    mask: TokenMask | None = None

    def row(self, latent: Tensor, sigma: float, x: Tensor) -> Tensor:
        """The UNet's input (1, C, h, w) for its latent at a noise level, as `x` is."""
        row = scale_input(latent, sigma, self.prediction).to(x.dtype)
        concat = self.conditioning.concat
        return row if concat is None else torch.cat([row, concat.to(row)], 1)

    def fitting(self, height: int, width: int) -> Reference:
        """The same for a UNet that is called with tiles of this latent size: of about a tile's
        area, in its own proportions. A latent that is no larger than a tile stays as it is."""
        h, w = self.z0.shape[-2:]
        share = math.sqrt(height * width / (h * w))
        if share >= 1:
            return self
        h, w = (max(round(each * share / CELLS), 1) * CELLS for each in (h, w))
        conditioning = self.conditioning
        if conditioning.concat is not None:
            concat = interpolate(conditioning.concat, (h, w), mode="area")
            conditioning = replace(conditioning, concat=concat)
        return replace(
            self,
            z0=interpolate(self.z0, (h, w), mode="area"),
            # A part of it, since what is scaled is no white noise any more.
            noise=self.noise[..., :h, :w],
            conditioning=conditioning,
            mask=None if self.mask is None else self.mask.resized(h, w),
        )
