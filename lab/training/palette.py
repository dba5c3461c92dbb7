"""Colours read where a limb must be, without a network: the nearest of the palette in CIELAB."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ..world import KEYPOINTS
from ..world.draw import FAR, NEAR
from ..world.identity import CLOTHES, RGB, TROUSERS

# (from, to, shares of the way): where sleeves and legs show.
_SPOTS = {
    "shirt": (("neck", "near elbow", (0.7, 1.0)), ("near elbow", "near hand", (0.4,))),
    "trousers": (("hip", "near knee", (0.5, 1.0)), ("near knee", "near foot", (0.4,))),
}
_PALETTES: dict[str, dict[str, RGB]] = {"shirt": CLOTHES, "trousers": TROUSERS}
_LIGHTS = (1.0, NEAR, FAR)


def limb_colours(cells: Tensor, keypoints: np.ndarray) -> dict[str, np.ndarray]:
    """The colours of shirt and trousers, (B,) indices into their palettes.

    Every spot votes for the palette's nearest colour in any of the lights that limbs are drawn in.

    Args:
        cells: (B, 3, h, w) in -1..1.
        keypoints: (B, 11, 2) joints in cells, (x, y).
    """
    pictures = lab((cells.permute(0, 2, 3, 1).numpy() + 1) / 2)
    index = {name: i for i, name in enumerate(KEYPOINTS)}
    found = {}
    for what, limbs in _SPOTS.items():
        spots = [
            (1 - share) * keypoints[:, index[a]] + share * keypoints[:, index[b]]
            for a, b, shares in limbs
            for share in shares
        ]
        found[what] = _vote(pictures, np.stack(spots, 1), list(_PALETTES[what].values()))
    return found


def _vote(pictures: np.ndarray, spots: np.ndarray, palette: list[RGB]) -> np.ndarray:
    near = np.array([(0, 0), (-1, 0), (1, 0)])
    at = (spots[:, :, None].round().astype(int) + near).reshape(len(spots), -1, 2)
    rows = np.arange(len(pictures))[:, None]
    x = at[..., 0].clip(0, pictures.shape[2] - 1)
    y = at[..., 1].clip(0, pictures.shape[1] - 1)
    seen = pictures[rows, y, x]  # (B, spots, 3)
    known = lab(np.array(palette)[:, None] * np.array(_LIGHTS)[:, None] / 255)
    apart = np.linalg.norm(seen[:, :, None, None] - known, axis=-1).min(3)  # (B, spots, palette)
    return np.exp(-apart / 6).sum(1).argmax(1)


def lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) in 0..1 to CIELAB (D65)."""
    rgb = np.clip(rgb, 0, 1)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )
