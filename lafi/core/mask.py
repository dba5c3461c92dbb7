"""The token mask: which of the reference's tokens are recorded, or which are its figure's.

Masked tokens are gathered, not hidden: fewer keys to attend to, less to store, no background.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import LafiError


class TokenMask:
    """Keeps the tokens under a mask, at any of the UNet's resolutions.

    Args:
        mask: (h, w) booleans at the latent's size; True keeps.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask.bool().cpu()
        self._indices: dict[tuple[int, tuple[int, int] | None], Tensor] = {}

    def __call__(self, tokens: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(1, N, C) to (1, M, C): the tokens that the mask keeps.

        Args:
            size: the layer's height and width; without it, whatever halvings of the mask give N.
        """
        key = tokens.shape[1], size
        if key not in self._indices:
            self._indices[key] = self._chosen(*key).to(tokens.device)
        return tokens.index_select(1, self._indices[key].to(tokens.device))

    def resized(self, height: int, width: int) -> TokenMask:
        """The same mask for a latent of another size."""
        smaller = F.adaptive_max_pool2d(self.mask.float()[None, None], (height, width))[0, 0]
        return type(self)(smaller)

    def _chosen(self, count: int, size: tuple[int, int] | None) -> Tensor:
        """(M,) positions of the tokens, in their new order."""
        return self._kept(count, size).nonzero().squeeze(1)

    def _kept(self, count: int, size: tuple[int, int] | None) -> Tensor:
        """(count,) booleans."""
        level = self.mask.float()[None, None]
        while level.shape[-2] * level.shape[-1] > count:
            # A maximum keeps thin parts; the ceiling is what strided convolutions do.
            level = F.max_pool2d(level, 2, ceil_mode=True)
        if size is not None and size != tuple(level.shape[-2:]) and size[0] * size[1] == count:
            # A layer that is not a halving of the latent: another extension scales in between.
            level = F.adaptive_max_pool2d(self.mask.float()[None, None], size)
        if level.shape[-2] * level.shape[-1] != count:
            raise LafiError(
                "mask_does_not_fit",
                f"the reference mask does not fit a layer of {count} tokens.",
                "Token merging changes the number of tokens: switch it off, or leave out the mask.",
            )
        return level.flatten() > 0


class FigureMask(TokenMask):
    """Keeps all tokens, those under the mask first: the figure, then its background.

    The background is seen, as what ends the figure, and later only its place (`attention`): without
    it outlines are lost, with it to the end it comes through (docs/evidence.md).
    """

    def background(self, count: int, size: tuple[int, int] | None = None) -> int:
        """How many of `count` tokens are not the figure's."""
        return int((~self._kept(count, size)).sum())

    def _chosen(self, count: int, size: tuple[int, int] | None) -> Tensor:
        kept = self._kept(count, size)
        return torch.cat([kept.nonzero(), (~kept).nonzero()]).squeeze(1)
