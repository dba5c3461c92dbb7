"""Which of the reference's tokens are kept beside LAFI's own mask: some of them, or their means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from lafi.core.mask import TokenMask

FINEST = 256  # tokens of the finest level


@dataclass
class Thinner:
    """Makes fewer of some tokens, (1, N, C) to (1, M, C), after a mask.

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


@dataclass
class Chosen(Thinner, ABC):
    """Some of the tokens: the same of a layer's keys and of its values."""

    _order: dict[int, Tensor] = field(default_factory=dict)

    def begin(self) -> None:
        """An evaluation begins: all is chosen anew, once for each resolution."""
        self._order.clear()

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        tokens = tokens if self.within is None else self.within(tokens)
        count = tokens.shape[1]
        if count not in self._order:
            self._order[count] = self._choose(tokens, max(1, round(self.rate * count)))
        return tokens[:, self._order[count].to(tokens.device)]

    @abstractmethod
    def _choose(self, tokens: Tensor, kept: int) -> Tensor:
        """(kept,) positions."""


@dataclass
class RandomTokens(Chosen):
    """A random share, drawn anew in every evaluation (StoryDiffusion, ConsiStory)."""

    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def _choose(self, tokens: Tensor, kept: int) -> Tensor:
        return torch.randperm(tokens.shape[1], generator=self.generator)[:kept]


@dataclass
class DistinctTokens(Chosen):
    """The share that says the most: each next token is the one that is farthest from all before."""

    def _choose(self, tokens: Tensor, kept: int) -> Tensor:
        points = tokens[0].float()
        apart = (points - points.mean(0)).norm(dim=1)
        order = [int(apart.argmax())]
        apart = torch.full_like(apart, torch.inf)
        for _ in range(kept - 1):
            apart = torch.minimum(apart, (points - points[order[-1]]).norm(dim=1))
            order.append(int(apart.argmax()))
        return torch.tensor(order)


@dataclass
class MergedTokens(Thinner):
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
