"""Which of the reference's tokens are kept beside LAFI's own mask: some of them, or their means."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from lafi.core.mask import TokenMask

FINEST = 256  # tokens of the finest level


@dataclass
class _Thinner:
    """Chooses tokens, (1, N, C) to (1, M, C), after a mask.

    Attributes:
        rate: share that is kept.
        within: chooses before; None for all tokens.
    """

    rate: float
    within: TokenMask | None = None

    @property
    def mask(self) -> Tensor | None:
        """What a recording's key asks of a token mask."""
        return None if self.within is None else self.within.mask

    def _first(self, tokens: Tensor) -> tuple[Tensor, int]:
        """What the mask keeps, and how many tokens of it are wanted."""
        tokens = tokens if self.within is None else self.within(tokens)
        return tokens, max(1, round(self.rate * tokens.shape[1]))


@dataclass
class RandomTokens(_Thinner):
    """A random share, drawn anew in every call (StoryDiffusion, ConsiStory)."""

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        tokens, kept = self._first(tokens)
        order = torch.randperm(tokens.shape[1], generator=self.generator)[:kept]
        return tokens[:, order.to(tokens.device)]


@dataclass
class DistinctTokens(_Thinner):
    """The share that says the most: each next token is the one that is farthest from all before."""

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        tokens, kept = self._first(tokens)
        points = tokens[0].float()
        apart = (points - points.mean(0)).norm(dim=1)
        order = [int(apart.argmax())]
        apart = torch.full_like(apart, torch.inf)
        for _ in range(kept - 1):
            apart = torch.minimum(apart, (points - points[order[-1]]).norm(dim=1))
            order.append(int(apart.argmax()))
        return tokens[:, order]


@dataclass
class MergedTokens(_Thinner):
    """Means of 2x2 neighbours at the finest level; other levels stay as they are."""

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        count = tokens.shape[1]
        if count != FINEST:
            return tokens if self.within is None else self.within(tokens)
        side = isqrt(count)
        grid = tokens.transpose(1, 2).unflatten(2, (side, side))
        kept = torch.ones(1, 1, side, side) if self.mask is None else self.mask[None, None]
        kept = kept.to(grid)
        sums, share = F.avg_pool2d(grid * kept, 2), F.avg_pool2d(kept, 2)
        means = (sums / share.clamp(min=1 / 8)).flatten(2).transpose(1, 2)
        return means[:, share.flatten() > 0]


THINNERS = {"random": RandomTokens, "distinct": DistinctTokens, "merged": MergedTokens}


def thinned(how: str, rate: float, mask: TokenMask | None):
    """A mask that keeps fewer tokens; with a rate of 1 the mask itself."""
    return mask if rate == 1 else THINNERS[how](rate, mask)
