"""What LAFI's settings do not have: weights that change over the window, by depth or by level, and
reference keys that are changed before they are seen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lafi.core import hooks
from lafi.core.attention import Extra, Part, Projected
from lafi.core.sites import Site

from .methods import Method
from .tokens import FINEST
from .variants import moments


class Altered:
    """Changes what LAFI's weighted attention gets, while it is entered.

    Attributes:
        share: of the window that has passed, 0 to 1; to be set before each evaluation.
    """

    def __init__(self, method: Method, sites: Sequence[Site]) -> None:
        self.method, self.sites = method, sites
        self.share = 0.0
        self._position = self._tokens = self._count = 0

    def __enter__(self) -> Altered:
        self._attend = hooks.attend
        self._handles = [
            site.module.register_forward_pre_hook(functools.partial(self._enter, position))
            for position, site in enumerate(self.sites)
        ]
        hooks.attend = self._changed
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        hooks.attend = self._attend
        for handle in self._handles:
            handle.remove()
        if kind is None and not self._count:
            raise RuntimeError(f"{self.method.name}: nothing went through weighted attention")

    def _enter(self, position: int, module: nn.Module, args: tuple) -> None:
        self._position, self._tokens = position, args[0].shape[1]

    def _changed(
        self, own: Projected, heads: int, parts: Sequence[Part], upcast: bool = False
    ) -> Tensor:
        self._count += 1
        changed = [
            replace(part, extras=[self._extra(own, each) for each in part.extras]) for part in parts
        ]
        return self._attend(own, heads, changed, upcast)

    def _extra(self, own: Projected, extra: Extra) -> Extra:
        method, keys = self.method, extra.keys
        if method.keys_adain:  # StyleAligned, section 3.2
            mean, spread = moments(own.k, (1,))
            reference_mean, reference_spread = moments(keys, (1,))
            keys = (keys - reference_mean) / reference_spread * spread + mean
        factor = _between(method.over, self.share)
        factor *= _between(method.by_depth, self._position / max(len(self.sites) - 1, 1))
        factor *= method.finest if self._tokens == FINEST else 1
        return replace(extra, keys=method.sharpen * keys, weight=factor * extra.weight)


def _between(ends: tuple[float, float], share: float) -> float:
    """Evenly by the logarithm, as weights are felt."""
    first, last = torch.tensor(ends).log()
    return float(torch.lerp(first, last, share).exp())
