"""The reference stream: the reference's latent at any noise level (paper, section 3.2, step 1).

Every latent here is in the variance-exploding form ``z0 + sigma * noise``, whatever the sampler:
a DDPM timestep with cumulative alpha ``a`` is the level ``sigma = sqrt((1 - a) / a)``, and the UNet
of all SD 1.x, 2.x and XL models reads ``x / sqrt(1 + sigma^2)`` at that level. So k-diffusion and
timestep samplers, eps- and v-prediction and zero terminal SNR are one case.
"""

from __future__ import annotations

import bisect
import copy
import itertools
import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

# The level from which the `denoise` stream runs by itself, about timestep 600 of 1000 in SD 1.5:
# enough noise left for the model to redraw detail, too little to lose the character.
DENOISE_START = 2.5

# (latent in variance-exploding form (1, C, h, w), sigma) -> the model's clean latent (1, C, h, w)
Denoiser = Callable[[Tensor, float], Tensor]


class NoiseSchedule:
    """A discrete schedule's link between timesteps and noise levels.

    Args:
        sigmas: (T,) rising noise levels, one for each timestep.

    Raises:
        ValueError: they fall (alphas, or levels in a sampler's order).
    """

    def __init__(self, sigmas: Tensor) -> None:
        levels: list[float] = sigmas.detach().cpu().double().log().tolist()
        if levels[0] >= levels[-1]:
            raise ValueError("a schedule's noise levels must rise with the timesteps")
        # Hosts that make a schedule's last level infinite may leave one above it.
        self.log_sigmas = list(itertools.accumulate(levels, max))

    @classmethod
    def from_alphas(cls, alphas_cumprod: Tensor) -> NoiseSchedule:
        """The schedule of (T,) cumulative products of a DDPM's alphas."""
        # On the CPU: not every device has float64.
        alphas = alphas_cumprod.detach().cpu().double()
        return cls(((1 - alphas) / alphas).sqrt())

    def sigma(self, timestep: float) -> float:
        """The noise level of a timestep; between two, by the logarithm, as k-diffusion does."""
        timestep = min(max(timestep, 0), len(self.log_sigmas) - 1)
        low = min(int(timestep), len(self.log_sigmas) - 2)
        share = timestep - low
        return math.exp((1 - share) * self.log_sigmas[low] + share * self.log_sigmas[low + 1])

    def timestep(self, sigma: float) -> float:
        """The timestep of a noise level; fractional between two."""
        level = math.log(max(sigma, 1e-10))
        high = min(max(bisect.bisect_left(self.log_sigmas, level), 1), len(self.log_sigmas) - 1)
        below, above = self.log_sigmas[high - 1 : high + 1]
        share = min(max((level - below) / (above - below), 0), 1) if below < above else 0
        return high - 1 + share

    def levels(self, top: float, count: int) -> list[float]:
        """`count` rising noise levels, evenly spaced in timesteps, the last one `top`."""
        last = self.timestep(top)
        return [self.sigma(last * (i + 1) / count) for i in range(count - 1)] + [top]


def scale_input(x: Tensor, sigma: float) -> Tensor:
    """What the UNet reads for a variance-exploding latent."""
    return x / math.sqrt(1 + sigma**2)


def clean_latent(x: Tensor, sigma: float, output: Tensor, prediction: str) -> Tensor:
    """The clean latent that a UNet's output stands for.

    Args:
        x: (B, C, h, w) variance-exploding latent that the UNet was shown.
        output: (B, C, h, w) what the UNet answered.
        prediction: ``eps`` or ``v``.
    """
    if prediction == "v":
        return x / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))
    return x - sigma * output


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
