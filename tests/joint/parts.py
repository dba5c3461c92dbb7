"""What the stand-in transformers are made of; they compute what they like."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS, TEXT, VECTOR = 4, 24, 12
HEADS, WIDTH = 2, 32


def tokens_of(x: Tensor) -> Tensor:
    """(B, C, h, w) to (B, h / 2 * w / 2, 4 C)."""
    return F.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def picture_of(tokens: Tensor, height: int, width: int) -> Tensor:
    """The same back."""
    maps = tokens.transpose(1, 2).unflatten(2, (height // 2, width // 2))
    return F.pixel_shuffle(maps, 2)


def waves(values: Tensor, size: int) -> Tensor:
    """(B,) to (B, size)."""
    angles = values.float()[:, None] * torch.linspace(0.2, 3, size // 2)
    return torch.cat([angles.cos(), angles.sin()], 1)


class Stream(nn.Module):
    """One kind of token: its modulation, its queries, keys and values, its way out."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.modulation = nn.Linear(WIDTH, 3 * WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def project(self, x: Tensor, vec: Tensor) -> Any:
        shift, scale, _ = self.modulation(vec)[:, None].chunk(3, -1)
        q, k, v = (
            self.qkv(self.norm(x) * (1 + scale) + shift).unflatten(2, (3, HEADS, -1)).unbind(2)
        )
        return (F.normalize(q, dim=-1) * 4, F.normalize(k, dim=-1) * 4, v)

    def answer(self, x: Tensor, attended: Tensor, vec: Tensor) -> Tensor:
        x = x + self.modulation(vec)[:, None].chunk(3, -1)[2] * self.out(attended)
        return x + self.mlp(self.norm(x))
