"""Which queries of a layer see which sources, where sources act in regions of the picture.

Queries are grouped, not masked: exact, and no dearer than without regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import LafiError
from ..regions import Region


@dataclass(frozen=True)
class Group:
    """Queries that see the same.

    Attributes:
        queries: (n,) their positions in the layer; None for all.
        sources: positions of the sources that they see.
    """

    queries: Tensor | None
    sources: tuple[int, ...]


def acting(groups: Sequence[Group]) -> list[int]:
    """The positions of the sources that any query sees: a region may hold no token of a layer."""
    return sorted({source for each in groups for source in each.sources})


class Groups:
    """The groups of a pass, made once for each size of layer."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], list[Group]] = {}

    def of(
        self,
        regions: Sequence[Region | None],
        count: int,
        size: tuple[int, int] | None,
        device: torch.device,
    ) -> list[Group]:
        """The groups of a layer.

        Args:
            regions: each source's; None is the whole picture.
            count: the layer's tokens.
            size: its height and width, if known.

        Raises:
            LafiError: `region_does_not_fit` where tokens are not the picture's, one for each place.
        """
        if all(region is None for region in regions):
            return [Group(None, tuple(range(len(regions))))]
        if size is None or size[0] * size[1] != count:
            raise LafiError(
                "region_does_not_fit",
                f"a reference's region does not fit a layer of {count} tokens.",
                "Token merging changes the number of tokens: switch it off, or leave out the "
                "regions.",
            )
        key = tuple(regions), size, device
        if key not in self._known:
            found = group(regions, *size)
            self._known[key] = [
                Group(None if len(found) == 1 else queries.to(device), sources)
                for sources, queries in found.items()
            ]
        return self._known[key]


def group(
    regions: Sequence[Region | None], height: int, width: int
) -> dict[tuple[int, ...], Tensor]:
    """Which sources are seen together, and the positions (n,) of the tokens that see them.

    A token belongs to a region if its centre lies inside. Every token is in one group.
    """
    inside = torch.stack([
        torch.ones(height * width, dtype=torch.bool)
        if region is None
        else torch.tensor(region.cells(height, width)).flatten()
        for region in regions
    ])  # fmt: skip
    combinations, each = torch.unique(inside, dim=1, return_inverse=True)
    return {
        tuple(combinations[:, number].nonzero().flatten().tolist()):
            (each == number).nonzero().flatten()
        for number in range(combinations.shape[1])
    }  # fmt: skip
