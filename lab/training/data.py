"""Rendered pictures as tensors, and colours as latents.

A latent holds a cell's colour in channels 0 to 2, turned and scaled so that each has mean 0 and
variance 1 over the world; channel 3 is 0.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from ..world import Picture, render, training_pictures

STATISTICS = 40  # training batches that decide the transform


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(H, W, 3) bytes to (3, H, W) in -1..1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def to_bytes(pictures: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 to (B, H, W, 3) bytes."""
    scaled = (pictures.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().byte().permute(0, 2, 3, 1).cpu().numpy()


def render_batch(pictures: Iterable[Picture]) -> Tensor:
    """Pictures of one shape as their cells' colours, (B, 3, h, w) in -1..1."""
    return torch.stack([to_tensor(render(each)) for each in pictures])


@functools.cache
def colour_transform() -> tuple[Tensor, Tensor]:
    """Weights (3, 3) and offsets (3,) from a colour in -1..1 to latent channels 0 to 2."""
    batches = [render_batch(training_pictures(number)) for number in range(STATISTICS)]
    flat = torch.cat([each.permute(0, 2, 3, 1).reshape(-1, 3) for each in batches]).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    weights = vectors.flip(1).T / values.flip(0).sqrt()[:, None]
    weights = weights * weights.sum(1, keepdim=True).sign()  # eigenvectors have no sign
    return weights.float(), -(weights @ mean).float()


def to_latents(cells: Tensor) -> Tensor:
    """Colours (B, 3, h, w) in -1..1 to latents (B, 4, h, w) of variance 1."""
    weights, offsets = colour_transform()
    three = torch.einsum("ij,bjhw->bihw", weights, cells) + offsets.view(3, 1, 1)
    return torch.cat([three, torch.zeros_like(three[:, :1])], 1)


def to_colours(latents: Tensor) -> Tensor:
    """Latents (B, 4, h, w) to colours (B, 3, h, w), about -1..1; the way back of `to_latents`."""
    weights, offsets = (each.to(latents) for each in colour_transform())
    centred = latents[:, :3] - offsets.view(3, 1, 1)
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(weights), centred)


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """(B, H, W, 3) as one picture of rows of `columns`; B must be a multiple of it."""
    rows = pictures.reshape(-1, columns, *pictures.shape[1:])
    return np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)
