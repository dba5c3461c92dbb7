"""What fits into a device's memory."""

from __future__ import annotations

import pytest

from lafi.core.memory import size_that_fits

GIB = 2**30


@pytest.mark.parametrize(("wanted", "needed", "available", "size"), [
    (1, GIB, 4 * GIB, 1),
    (1, GIB + 1, 4 * GIB, 0.5),
    (1, 4 * GIB, 4 * GIB, 0.5),
    (1, 5 * GIB, 4 * GIB, 0.25),
    (1, 99 * GIB, 4 * GIB, 0.25),
    (0.75, GIB, 4 * GIB, 0.75),
    (0.3, 99 * GIB, 4 * GIB, 0.25),
    (0.25, 99 * GIB, 4 * GIB, 0.25),
    (1, 99 * GIB, 0, 1),
])  # fmt: skip
def test_a_reference_is_shown_smaller_where_it_would_not_fit(
    wanted: float, needed: int, available: int, size: float
) -> None:
    assert size_that_fits(wanted, needed, available) == size
