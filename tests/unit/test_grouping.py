"""Which queries see which sources: regions on grids of any size."""

from __future__ import annotations

import pytest
import torch

from lafi.core.grouping import Groups, group
from lafi.errors import LafiError
from lafi.regions import Region

LEFT, RIGHT, TOP = Region(0, 0.5), Region(0.5, 1), Region(0, 1, 0, 0.5)
CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (69, 97), (1, 1), (5, 1)], ids=str)
@pytest.mark.parametrize("regions", [
    (LEFT, RIGHT), (LEFT, None), (LEFT, TOP), (Region(0.4, 0.41, 0.4, 0.41), RIGHT), (None, None),
], ids=str)  # fmt: skip
def test_every_token_is_in_one_group_and_sees_what_contains_its_centre(
    size: tuple[int, int], regions: tuple[Region | None, ...]
) -> None:
    height, width = size
    found = group(regions, height, width)
    positions = torch.cat(list(found.values())).tolist()
    assert sorted(positions) == list(range(height * width))
    for sources, queries in found.items():
        for position in queries.tolist():
            y, x = divmod(position, width)
            centre = (x + 0.5) / width, (y + 0.5) / height
            expected = [
                number
                for number, region in enumerate(regions)
                if region is None or region.contains(*centre)
            ]
            assert list(sources) == expected


def test_a_region_that_holds_every_token_needs_no_queries() -> None:
    [everything] = Groups().of([Region(0, 0.9), None], 4, (2, 2), CPU)
    assert everything.queries is None
    assert everything.sources == (0, 1)


def test_without_regions_no_size_is_needed() -> None:
    [everything] = Groups().of([None, None], 7, None, CPU)
    assert (everything.queries, everything.sources) == (None, (0, 1))


@pytest.mark.parametrize("size", [None, (3, 3)])
def test_tokens_that_are_not_the_pictures_are_refused(size: tuple[int, int] | None) -> None:
    with pytest.raises(LafiError, match="Token merging") as caught:
        Groups().of([LEFT], 8, size, CPU)
    assert caught.value.code == "region_does_not_fit"
