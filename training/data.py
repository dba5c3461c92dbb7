"""Rendered pictures as tensors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from .draw import render
from .world import Picture


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) bytes to (3, H, W) in -1..1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 to (B, H, W, 3) bytes."""
    scaled = (pictures.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().byte().permute(0, 2, 3, 1).cpu().numpy()


def render_batch(pictures: Iterable[Picture]) -> Tensor:
    """Pictures drawn, (B, 3, H, W) in -1..1."""
    return torch.stack([to_tensor(render(each).pixels) for each in pictures])


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """(B, H, W, 3) as one picture of rows of `columns`; B must be a multiple of it."""
    rows = pictures.reshape(-1, columns, *pictures.shape[1:])
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
