"""A stand-in that calls its attention as Flux does: rotary positions within it, blocks of two
streams and blocks of one.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .parts import CHANNELS, HEADS, TEXT, VECTOR, WIDTH, Stream, picture_of, tokens_of, waves


def attention(q: Tensor, k: Tensor, v: Tensor, pe: Tensor) -> Tensor:
    """(B, H, L, D) each, to (B, L, H * D)."""

    def turn(x: Tensor) -> Tensor:
        return (pe @ x.unflatten(-1, (-1, 2))[..., None]).flatten(-3)

    return F.scaled_dot_product_attention(turn(q), turn(k), v).transpose(1, 2).flatten(2)


def rotations(places: Tensor) -> Tensor:
    """(L, 2) rows and columns to (1, 1, L, D / 2, 2, 2)."""
    speeds = 1 / 100 ** torch.linspace(0, 1, WIDTH // HEADS // 4)
    angles = (places[:, :, None].float() * speeds).flatten(1)
    turns = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], -1)
    return turns.view(1, 1, *angles.shape, 2, 2)


class Double(nn.Module):
    """A block with two streams."""

    def __init__(self) -> None:
        super().__init__()
        self.img, self.txt = Stream(), Stream()

    def forward(self, img: Tensor, txt: Tensor, vec: Tensor, pe: Tensor) -> tuple[Tensor, Tensor]:
        both = zip(self.txt.project(txt, vec), self.img.project(img, vec), strict=True)
        q, k, v = (torch.cat(each, 1).transpose(1, 2) for each in both)
        out = attention(q, k, v, pe=pe)
        length = txt.shape[1]
        answer = self.img.answer(img, out[:, length:], vec)
        return answer, self.txt.answer(txt, out[:, :length], vec)


class Single(nn.Module):
    """A block with one stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = Stream()

    def forward(self, x: Tensor, vec: Tensor, pe: Tensor) -> Tensor:
        q, k, v = (each.transpose(1, 2) for each in self.stream.project(x, vec))
        return self.stream.answer(x, attention(q, k, v, pe=pe), vec)


class FluxShape(nn.Module):
    """Text and picture in blocks of two streams, then in blocks of one."""

    def __init__(self, doubles: int = 2, singles: int = 4) -> None:
        super().__init__()
        self.in_channels = 4 * CHANNELS
        self.img_in, self.txt_in = nn.Linear(4 * CHANNELS, WIDTH), nn.Linear(TEXT, WIDTH)
        self.vector_in = nn.Linear(VECTOR, WIDTH)
        self.double_blocks = nn.ModuleList(Double() for _ in range(doubles))
        self.single_blocks = nn.ModuleList(Single() for _ in range(singles))
        self.final = nn.Linear(WIDTH, 4 * CHANNELS)

    def forward(
        self, x: Tensor, timestep: Tensor, context: Tensor, y: Tensor, guidance: Any = None,
        **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        height, width = x.shape[-2:]
        img, txt = self.img_in(tokens_of(x)), self.txt_in(context)
        vec = waves(timestep, WIDTH) + self.vector_in(y)
        vec = vec if guidance is None else vec + waves(guidance, WIDTH)
        grid = torch.cartesian_prod(torch.arange(height // 2), torch.arange(width // 2))
        pe = rotations(torch.cat([torch.zeros(txt.shape[1], 2), grid]))
        pe = pe.expand(len(x), *pe.shape[1:])
        for block in self.double_blocks:
            img, txt = block(img=img, txt=txt, vec=vec, pe=pe)
        both = torch.cat([txt, img], 1)
        for block in self.single_blocks:
            both = block(both, vec=vec, pe=pe)
        return picture_of(self.final(both[:, txt.shape[1] :]), height, width)
