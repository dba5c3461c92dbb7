"""The token mask: which of the reference's tokens are recorded at all.

Masked tokens are gathered, not hidden: fewer keys to attend to, less to store, no background.
"""

from __future__ import annotations

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
        self._indices: dict[int, Tensor] = {}

    def __call__(self, tokens: Tensor) -> Tensor:
        """(1, N, C) to (1, M, C): the tokens that the mask keeps."""
        count = tokens.shape[1]
        if count not in self._indices:
            self._indices[count] = self._kept(count).to(tokens.device)
        return tokens.index_select(1, self._indices[count].to(tokens.device))

    def _kept(self, count: int) -> Tensor:
        level = self.mask.float()[None, None]
        while level.shape[-2] * level.shape[-1] > count:
            # A maximum keeps thin parts; the ceiling is what strided convolutions do.
            level = F.max_pool2d(level, 2, ceil_mode=True)
        if level.shape[-2] * level.shape[-1] != count:
            raise LafiError(
                "mask_does_not_fit",
                f"the reference mask does not fit a layer of {count} tokens.",
                "Token merging changes the number of tokens: switch it off, or leave out the mask.",
            )
        return level.flatten().nonzero().squeeze(1)
