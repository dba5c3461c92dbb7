"""A stand-in that calls its attention as SD3 does: positions within the tokens, each block through
a function of its module, two attentions in some.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .parts import CHANNELS, HEADS, TEXT, VECTOR, WIDTH, Stream, picture_of, tokens_of, waves


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(B, L, H * D), values (B, L, H, D) as SD3's."""
    q, k, v = (each.flatten(2).unflatten(2, (heads, -1)).transpose(1, 2) for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Half(nn.Module):
    """A block's part for text or picture."""

    def __init__(self, dual: bool = False) -> None:
        super().__init__()
        self.x_block_self_attn = dual
        self.attn, self.attn2 = Stream(), Stream() if dual else None

    def flat(self, stream: Any, x: Tensor, vec: Tensor) -> Any:
        q, k, v = stream.project(x, vec)
        return q.flatten(2), k.flatten(2), v


def block_mixing(context: Tensor, x: Tensor, context_block: Any, x_block: Any, c: Tensor) -> Any:
    """A block's work, where SD3's blocks have it."""
    text, image = (
        context_block.flat(context_block.attn, context, c),
        x_block.flat(x_block.attn, x, c),
    )
    q, k, v = (torch.cat(each, 1) for each in zip(text, image, strict=True))
    out = attention(q, k, v, HEADS)
    length = context.shape[1]
    if x_block.x_block_self_attn:
        out2 = attention(*x_block.flat(x_block.attn2, x, c), HEADS)
        x = x_block.attn2.answer(x, out2, c)
    x = x_block.attn.answer(x, out[:, length:], c)
    return context_block.attn.answer(context, out[:, :length], c), x


class Joint(nn.Module):
    """A block of both."""

    def __init__(self, dual: bool) -> None:
        super().__init__()
        self.context_block, self.x_block = Half(), Half(dual)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return block_mixing(*args, context_block=self.context_block, x_block=self.x_block, **kwargs)


class Sd3Shape(nn.Module):
    """Joint blocks all through; the first of them have an attention of the picture alone too."""

    def __init__(self, depth: int = 6, dual: int = 4) -> None:
        super().__init__()
        self.in_channels = CHANNELS
        self.img_in, self.txt_in = nn.Linear(4 * CHANNELS, WIDTH), nn.Linear(TEXT, WIDTH)
        self.vector_in, self.places = nn.Linear(VECTOR, WIDTH), nn.Linear(2, WIDTH)
        self.joint_blocks = nn.ModuleList(Joint(number < dual) for number in range(depth))
        self.final = nn.Linear(WIDTH, 4 * CHANNELS)

    def forward(self, x: Tensor, t: Tensor, y: Tensor, context: Tensor, **kwargs: Any) -> Tensor:
        height, width = x.shape[-2:]
        grid = torch.cartesian_prod(torch.arange(height // 2), torch.arange(width // 2))
        img, txt = self.img_in(tokens_of(x)) + self.places(grid / 4), self.txt_in(context)
        vec = waves(t / 1000, WIDTH) + self.vector_in(y)
        for block in self.joint_blocks:
            txt, img = block(txt, img, c=vec)
        return picture_of(self.final(img), height, width)
