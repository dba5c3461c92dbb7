"""Rotary positions: how queries and keys are turned, and where a reference's keys stand.

Nothing is assumed of a network's own numbering: all is read from the rotations that it hands to its
attention, pairs of neighbouring dimensions each turned by an angle of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .layout import Layout

OWN, BESIDE, NONE, SOFT = POSITIONS = ("own", "beside", "none", "soft")
# Angle in radian from one token to its neighbour: pairs that turn faster tell places apart most
# sharply, and count for less, in proportion, where positions are soft.
SLOW = 0.1


class Rotation(NamedTuple):
    """Cosines and sines of tokens' pairs, each (..., M, D / 2)."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, matrices: Tensor) -> Rotation:
        """From a network's own (..., M, D / 2, 2, 2)."""
        return cls(matrices[..., 0, 0], matrices[..., 1, 0])

    def at(self, index: Tensor | slice) -> Rotation:
        """Of some tokens."""
        return Rotation(self.cos[..., index, :], self.sin[..., index, :])

    def then(self, other: Rotation) -> Rotation:
        """Both turns, one after the other."""
        return Rotation(
            self.cos * other.cos - self.sin * other.sin, self.sin * other.cos + self.cos * other.sin
        )

    def back(self) -> Rotation:
        """The turn back."""
        return Rotation(self.cos, -self.sin)

    def turn(self, tokens: Tensor) -> Tensor:
        """Tokens (..., M, D), turned; computed in float32."""
        pairs = tokens.float().view(*tokens.shape[:-1], -1, 2)
        a, b = pairs.unbind(-1)
        turned = torch.stack([self.cos * a - self.sin * b, self.sin * a + self.cos * b], -1)
        return turned.flatten(-2).to(tokens.dtype)


def places(layout: Layout, device: torch.device) -> Tensor:
    """(1, N, 4) of a picture's tokens: row, column, and of how many, for a recording to keep."""
    rows = torch.arange(layout.height, device=device).repeat_interleave(layout.width)
    columns = torch.arange(layout.width, device=device).repeat(layout.height)
    of = torch.tensor(layout.size, device=device).expand(layout.tokens, 2)
    return torch.cat([rows[:, None], columns[:, None], of], 1).float()[None]


def stand(kept: Tensor, layout: Layout, own: Rotation, position: str) -> Rotation | None:
    """How a reference's keys are turned; None for not at all.

    Args:
        kept: (1, M, 4) its tokens' places.
        layout: of the picture that sees them.
        own: of that picture's tokens, (N, D / 2).
        position: own (at the same place), beside (as if the reference stood to the right of the
            picture), none, or soft (at the same place, the fast pairs damped).
    """
    if position == NONE:
        return None
    # A reference of another size is laid over the picture.
    row, column = (
        ((kept[0, :, axis] + 0.5) * layout.size[axis] / kept[0, :, 2 + axis]).long()
        for axis in (0, 1)
    )
    found = own.at(row * layout.width + column)
    if position == BESIDE and layout.width > 1:
        angle = _angle(own, 1) * layout.width
        return found.then(Rotation(angle.cos(), angle.sin()))
    if position == SOFT:
        damping = _damping(own, layout)
        found = Rotation(found.cos * damping, found.sin * damping)
    return found


def _angle(own: Rotation, neighbour: int) -> Tensor:
    """(1, D / 2): by how much each pair turns from the first token to another."""
    step = own.at(slice(neighbour, neighbour + 1)).then(own.at(slice(0, 1)).back())
    return torch.atan2(step.sin, step.cos)


def _damping(own: Rotation, layout: Layout) -> Tensor:
    """(1, D / 2): what the pairs are multiplied by."""
    neighbours = (1 if layout.width > 1 else 0, layout.width if layout.height > 1 else 0)
    fastest = torch.maximum(*(_angle(own, each).abs() for each in neighbours))
    return SLOW / fastest.clamp(min=SLOW)
