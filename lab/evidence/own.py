"""A picture's own tokens, kept while it is sampled, as a later picture's reference."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from lafi.core.mask import FigureMask
from lafi.core.replay.key import Key
from lafi.core.sites import Site
from lafi.core.tokens import SiteTokens, Tokens


class OwnTokens:
    """Takes the first row's tokens in every evaluation; then stands where a session looks for its
    bank and has a recording at each of those levels.

    Attributes:
        mask: which tokens are handed out; None for all.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self.mask: FigureMask | None = None
        self._levels: dict[float, dict[str, Tensor]] = {}
        self._level = 0.0
        # Before the session's own hooks, which give the layer other rows.
        self._handles = [
            site.module.register_forward_pre_hook(functools.partial(self._take, site.name))
            for site in sites
        ]

    def begin(self, sigma: float) -> None:
        """Takes the noise level of the evaluation that comes."""
        self._level = sigma
        self._levels[sigma] = {}

    def remove(self) -> None:
        """Takes the hooks away; what was taken stays."""
        for handle in self._handles:
            handle.remove()

    def find(self, key: Key, sites: Collection[str], device: torch.device) -> Tokens:
        """The tokens of the nearest level."""
        sigma = key.level[0]  # type: ignore[index]
        taken = self._levels[min(self._levels, key=lambda each: abs(each - sigma))]
        return {name: self._chosen(taken[name]) for name in sites}

    def _chosen(self, tokens: Tensor) -> SiteTokens:
        if self.mask is None:
            return SiteTokens({"keys": tokens, "values": tokens})
        kept, background = self.mask(tokens), self.mask.background(tokens.shape[1])
        return SiteTokens({"keys": kept, "values": kept}, background=background)

    def keep(self, *_: object) -> None:
        """Nothing is recorded beside them."""

    def _take(self, site: str, module: nn.Module, args: tuple) -> None:
        # The last call of an evaluation is the picture's; those before are its reference's.
        self._levels[self._level][site] = args[0][:1]
