"""The reference stream: the reference's latent at any noise level (paper, section 3.2, step 1),
always in the variance-exploding form of `lafi.core.levels`.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

# The level from which the `denoise` stream runs by itself, about timestep 600 of 1000 in SD 1.5:
# enough noise left for the model to redraw detail, too little to lose the character.
DENOISE_START = 2.5

# (latent in variance-exploding form (1, C, h, w), sigma) -> the model's clean latent (1, C, h, w)
Denoiser = Callable[[Tensor, float], Tensor]


class ReferenceStream(Protocol):
    """Where the reference's latent comes from."""

    needs_output: bool
    """Whether `advance` wants the UNet's answer, so that its pass must run to the end."""

    def latent(self, sigma: float) -> Tensor:
        """The latent (1, C, h, w) at a noise level, in variance-exploding form."""

    def advance(self, sigma: float, clean: Tensor) -> None:
        """Takes the clean latent that the model predicted at the latest level."""


class NoiseStream:
    """``z0 + sigma * noise`` with one fixed noise for the whole run."""

    needs_output = False

    def __init__(self, z0: Tensor, noise: Tensor) -> None:
        self.z0, self.noise = z0, noise

    def latent(self, sigma: float) -> Tensor:
        return self.z0 + sigma * self.noise

    def advance(self, sigma: float, clean: Tensor) -> None:
        """Nothing to do: every level stands for itself."""


class InversionStream:
    """The latents on the model's own deterministic path from `z0` up to a level (DDIM inversion;
    Song et al. 2021, section 4.3).

    The path is kept as noise directions, ``(x - z0) / sigma``: they change slowly, so that levels
    between two of the path's points are read by linear interpolation.

    Args:
        z0: (K, C, h, w) the reference, or several at once.
        denoise: the model with their conditioning.
        levels: rising noise levels of the path.
        passing: the same, asked for the path's own latent at every level, the last one too; what
            a recording at that level needs.
    """

    needs_output = False

    def __init__(
        self,
        z0: Tensor,
        denoise: Denoiser,
        levels: list[float],
        passing: Denoiser | None = None,
    ) -> None:
        self.z0, self.levels = z0, levels
        self.directions: list[Tensor] = []
        # The first step starts at sigma 0, where no direction is defined: ask at its end.
        x, sigma = z0, 0.0
        clean = denoise(z0, levels[0])
        for level in levels:
            direction = (x - clean) / (sigma or level)
            x, sigma = x + (level - sigma) * direction, level
            self.directions.append((x - z0) / sigma)
            if passing is not None:
                clean = passing(x, sigma)
            elif level < levels[-1]:
                clean = denoise(x, sigma)

    def split(self) -> list[InversionStream]:
        """Each row's path by itself."""
        if len(self.z0) == 1:
            return [self]
        return [self._of(row) for row in range(len(self.z0))]

    def _of(self, row: int) -> InversionStream:
        one = copy.copy(self)
        one.z0 = self.z0[row : row + 1]
        one.directions = [each[row : row + 1].clone() for each in self.directions]
        return one

    def latent(self, sigma: float) -> Tensor:
        high = min(max(bisect.bisect_left(self.levels, sigma), 1), len(self.levels) - 1)
        if len(self.levels) == 1:
            return self.z0 + sigma * self.directions[0]
        below, above = self.levels[high - 1], self.levels[high]
        share = min(max((sigma - below) / (above - below), 0), 1)
        direction = torch.lerp(self.directions[high - 1], self.directions[high], share)
        return self.z0 + sigma * direction

    def advance(self, sigma: float, clean: Tensor) -> None:
        """Nothing to do: the path is complete."""


class DenoiseStream:
    """Noised to a starting level, then denoised by its own deterministic step (DDIM, eta 0) beside
    the target. Above that level it is `NoiseStream`.

    Args:
        z0: (1, C, h, w) the reference.
        noise: (1, C, h, w) its fixed noise.
        start: the starting level.
    """

    needs_output = True

    def __init__(self, z0: Tensor, noise: Tensor, start: float = DENOISE_START) -> None:
        self.z0, self.noise, self.start = z0, noise, start
        self._x = z0 + start * noise
        self._sigma = start
        self._clean: Tensor | None = None

    def latent(self, sigma: float) -> Tensor:
        if sigma > self.start:
            return self.z0 + sigma * self.noise
        if self._clean is None:
            self._x = self.z0 + sigma * self.noise
        else:
            # Also right for a rising level (Restart, the second half of a Heun step): the
            # deterministic path has no direction.
            self._x = self._clean + (sigma / self._sigma) * (self._x - self._clean)
        self._sigma = sigma
        return self._x

    def advance(self, sigma: float, clean: Tensor) -> None:
        if sigma <= self.start:
            self._clean = clean
