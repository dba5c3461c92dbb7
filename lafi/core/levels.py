"""Noise levels and predictions: the one place that knows eps, v and flow.

Every level is a sigma of the variance-exploding form, and every latent is ``z0 + sigma * noise``,
whatever the model and the sampler:

- A DDPM timestep with cumulative alpha ``a`` is the level ``sigma = sqrt((1 - a) / a)``, and the
  UNet of all SD 1.x, 2.x and XL models reads ``x / sqrt(1 + sigma^2)`` there.
- A level ``s`` of flow matching, where the network reads ``(1 - s) z0 + s noise``, is
  ``sigma = s / (1 - s)``, and that is ``x / (1 + sigma)``. Its end, ``s = 1``, is infinite: nothing
  of the picture is left there.

So k-diffusion and timestep samplers, eps- and v-prediction, zero terminal SNR and flow are one
case; even the deterministic path (DDIM, Euler along a flow) is the same one.
"""

from __future__ import annotations

import bisect
import itertools
import math

from torch import Tensor

# What stands for an infinite level where its logarithm is needed.
LARGEST = 1e6


def flow_sigma(level: float) -> float:
    """The sigma of a level of flow matching from 0 to 1; infinite at 1."""
    return level / (1 - level) if level < 1 else math.inf


def flow_level(sigma: float) -> float:
    """The level of flow matching of a sigma."""
    return sigma / (1 + sigma) if sigma < math.inf else 1.0


def scale_input(x: Tensor, sigma: float, prediction: str = "eps") -> Tensor:
    """What the network reads for a variance-exploding latent."""
    return x / (1 + sigma if prediction == "flow" else math.sqrt(1 + sigma**2))


def clean_latent(x: Tensor, sigma: float, output: Tensor, prediction: str) -> Tensor:
    """The clean latent that a network's output stands for.

    Args:
        x: (B, C, h, w) variance-exploding latent that the network was shown.
        output: (B, C, h, w) what the network answered.
        prediction: ``eps``, ``v`` or ``flow`` (the velocity ``noise - z0``).
    """
    if prediction == "flow":
        return (x - sigma * output) / (1 + sigma)
    if prediction == "v":
        return x / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))
    return x - sigma * output


class NoiseSchedule:
    """A discrete schedule's link between timesteps and noise levels.

    Args:
        sigmas: (T,) rising noise levels, one for each timestep.
        multiplier: of flow matching: what the network reads is this times the level ``s``; None
            where it reads the timestep itself.

    Raises:
        ValueError: they fall (alphas, or levels in a sampler's order).
    """

    def __init__(self, sigmas: Tensor, multiplier: float | None = None) -> None:
        levels: list[float] = sigmas.detach().cpu().double().log().tolist()
        if levels[0] >= levels[-1]:
            raise ValueError("a schedule's noise levels must rise with the timesteps")
        # Hosts that make a schedule's last level infinite may leave one above it.
        self.log_sigmas = list(itertools.accumulate(levels, max))
        self.multiplier = multiplier

    @classmethod
    def from_alphas(cls, alphas_cumprod: Tensor) -> NoiseSchedule:
        """The schedule of (T,) cumulative products of a DDPM's alphas."""
        # On the CPU: not every device has float64.
        alphas = alphas_cumprod.detach().cpu().double()
        return cls(((1 - alphas) / alphas).sqrt())

    @classmethod
    def from_flow(cls, levels: Tensor, multiplier: float = 1.0) -> NoiseSchedule:
        """The schedule of (T,) rising levels of flow matching, as an even run goes through them."""
        levels = levels.detach().cpu().double()
        return cls((levels / (1 - levels)).clamp(max=LARGEST), multiplier)

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

    def reads(self, timestep: float) -> float:
        """What the network reads for a timestep."""
        if self.multiplier is None:
            return timestep
        return self.multiplier * flow_level(self.sigma(timestep))

    def levels(self, top: float, count: int) -> list[float]:
        """`count` rising noise levels, evenly spaced in timesteps, the last one `top`."""
        last = self.timestep(top)
        return [self.sigma(last * (i + 1) / count) for i in range(count - 1)] + [top]
