"""A stand-in that calls its attention as Lumina and Z-Image do: text first, made longer up to a
multiple, as the picture's tokens are; queries and keys at their positions already.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .parts import CHANNELS, HEADS, TEXT, WIDTH, Stream, picture_of, tokens_of, waves


def attention_function(
    q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Any = None, **kwargs: Any
) -> Tensor:
    """(B, H, L, D) each, to (B, L, H * D)."""
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """The block's part that calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream()

    def forward(self, x: Tensor, mask: Any, vec: Tensor) -> Tensor:
        q, k, v = (each.transpose(1, 2) for each in self.stream.project(x, vec))
        return attention_function(q, k, v, HEADS, mask, skip_reshape=True)


class Block(nn.Module):
    """One stream of text and picture."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()

    def forward(self, x: Tensor, vec: Tensor) -> Tensor:
        return self.attention.stream.answer(x, self.attention(x, None, vec), vec)


class LuminaShape(nn.Module):
    """Refiners of text and picture by themselves, then layers of both."""

    def __init__(self, depth: int = 6, multiple: int = 8) -> None:
        super().__init__()
        self.in_channels, self.patch_size, self.pad_tokens_multiple = CHANNELS, 2, multiple
        self.img_in, self.txt_in = nn.Linear(4 * CHANNELS, WIDTH), nn.Linear(TEXT, WIDTH)
        self.places = nn.Linear(2, WIDTH)
        self.pad_token = nn.Linear(1, WIDTH)
        self.noise_refiner, self.context_refiner, self.layers = (
            nn.ModuleList(Block() for _ in range(count)) for count in (1, 1, depth)
        )
        self.final = nn.Linear(WIDTH, 4 * CHANNELS)

    def longer(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to a multiple of tokens."""
        missing = -tokens.shape[1] % self.pad_tokens_multiple
        more = self.pad_token(tokens.new_ones(1)).expand(len(tokens), missing, -1)
        return torch.cat([tokens, more], 1)

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor, **kwargs: Any) -> Tensor:
        height, width = x.shape[-2:]
        vec = waves(1 - timesteps, WIDTH)
        grid = torch.cartesian_prod(torch.arange(height // 2), torch.arange(width // 2))
        tokens = self.img_in(tokens_of(x)) + self.places(grid / 4)
        count = tokens.shape[1]
        text, image = self.longer(self.txt_in(context)), self.longer(tokens)
        for block in self.context_refiner:
            text = block(text, torch.zeros_like(vec))
        for block in self.noise_refiner:
            image = block(image, vec)
        both = torch.cat([text, image], 1)
        for block in self.layers:
            both = block(both, vec)
        return -picture_of(self.final(both[:, text.shape[1] :][:, :count]), height, width)
